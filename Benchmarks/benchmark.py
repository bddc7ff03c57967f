#!/usr/bin/env python3
"""Compares weftd with a stock flanneld, in turns, on one machine. run.sh checks what this needs and calls it."""
import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time

import etcd
import measures
from measures import median
from testbed import Testbed


class Results:
    """Figures by measure and daemon, as a table and as JSON lines."""

    def __init__(self, daemons, path):
        self.daemons = daemons
        self.file = open(path, "a", encoding="utf-8") if path else None
        self.rows = []

    def add(self, measure, unit, figures, target="", digits=2):
        """figures: {daemon: number, text or None}"""
        self.rows.append((measure, unit, figures, target, digits))
        if self.file:
            for daemon, value in figures.items():
                self.file.write(json.dumps({"measure": measure, "daemon": daemon, "value": value, "unit": unit}) + "\n")
            self.file.flush()
        shown = ", ".join(f"{daemon} {self.text(value, digits)}" for daemon, value in figures.items())
        print(f"{measure}: {shown} {unit}", file=sys.stderr, flush=True)

    def raw(self, measure, daemon, values):
        """Single runs, for the file alone."""
        if self.file:
            self.file.write(json.dumps({"measure": measure, "daemon": daemon, "runs": values}) + "\n")

    @staticmethod
    def text(value, digits):
        if value is None:
            return "none"
        return value if isinstance(value, str) else f"{value:.{digits}f}"

    def table(self):
        header = ["measure", *self.daemons, "unit", "target"]
        rows = [header, ["---"] * len(header)]
        for measure, unit, figures, target, digits in self.rows:
            cells = [self.text(figures[name], digits) if name in figures else "" for name in self.daemons]
            rows.append([measure, *cells, unit, target])
        return "\n".join("| " + " | ".join(row) + " |" for row in rows)


class Benchmark:
    def __init__(self, options, programs, results):
        self.options, self.programs, self.results = options, programs, results

    def with_server(self, body):
        testbed = Testbed()
        try:
            body(testbed, etcd.Server(testbed, self.options.etcd, self.options.api))
        finally:
            testbed.close()

    def network(self, backend):
        return etcd.Network(backend, self.options.dual)

    def converge(self, backend, count, target, memory_target):
        """Start with leases present; on the host that the last run leaves, what needs a running daemon."""
        network = self.network(backend)

        def body(testbed, server):
            server.client.put(f"{etcd.PREFIX}/config", network.config())
            server.client.put_leases(count, network)
            measure = measures.Converge(testbed, server, network, count)
            times = {name: [] for name in self.programs}
            memory = {name: [] for name in self.programs}
            # A daemon that does not get there in a minute gets two more chances, not ten minutes.
            for _ in range(self.options.runs):
                for name, program in self.programs.items():
                    if len(times[name]) >= 3 and not any(times[name]):
                        continue
                    host, seconds = measure.once(program, 60)
                    times[name].append(seconds)
                    if count <= 1000 and host.process.poll() is None:
                        time.sleep(1)
                        memory[name].append(host.memory())
                    host.remove()
            title = f"{network}: start with {count:,} leases, exec to all in the kernel"
            for name in self.programs:
                self.results.raw(title, name, times[name])
            self.results.add(title, "s", {name: median(times[name]) for name in self.programs}, target, 3)
            if memory_target:
                for position, (word, goal) in enumerate(zip(["resident", "anonymous", "of files"], memory_target)):
                    figures = {name: median([each[position] for each in memory[name]]) for name in self.programs}
                    self.results.add(f"{network}: memory with {count:,} leases, {word}", "MiB", figures, goal, 1)

        self.with_server(body)

    def events(self, count=1000):
        network = self.network("vxlan")

        def body(testbed, server):
            server.client.put(f"{etcd.PREFIX}/config", network.config())
            server.client.put_leases(count, network)
            own = measures.put_to_watch(server, self.options.events)
            figures, spare = {}, count
            for name, program in self.programs.items():
                host, seconds = measures.Converge(testbed, server, network, count).once(program, 60)
                if seconds is not None:
                    times = measures.put_to_route(server, host, network, spare, self.options.events)
                    figures[name] = median(times)
                spare += self.options.events
                host.remove()
            own += measures.put_to_watch(server, self.options.events)
            self.results.add("etcd's own put to watch, p50", "ms", {name: median(own) for name in self.programs})
            self.results.add("new lease: put to its route, p50", "ms", figures)
            ratios = {name: figures[name] / median(own) for name in figures if figures[name]}
            self.results.add("new lease: put to its route / put to watch", "×", ratios, "≤ 1.5")

        self.with_server(body)

    def churn(self):
        network = self.network("vxlan")

        def body(testbed, server):
            server.client.put(f"{etcd.PREFIX}/config", network.config())
            server.client.put_leases(100, network)
            exact, left = {}, {}
            for name, program in self.programs.items():
                server.client.delete_own()
                count = len(server.client.leases())
                host, _ = measures.Converge(testbed, server, network, count).once(program, 60)
                outcomes = []
                for lap in range(self.options.runs):
                    outcomes.append(measures.churn(server, host, network, 2000 + lap % 2 * 500))
                good = [seconds for seconds, _ in outcomes if seconds is not None]
                exact[name] = f"{len(good)} of {len(outcomes)}"
                left[name] = max(count for _, count in outcomes)
                host.remove()
            self.results.add("1,000 puts and deletes at once: exact afterwards", "runs", exact, "all")
            self.results.add("1,000 puts and deletes at once: entries wrong at most", "", left, "0", 0)

        self.with_server(body)

    def together(self, count=30):
        network = self.network("vxlan")

        def body(testbed, server):
            server.client.put(f"{etcd.PREFIX}/config", network.config())
            outcomes = {
                name: measures.together(testbed, server, program, count) for name, program in self.programs.items()
            }
            for key, words in [("subnets", "have a subnet"), ("running", "still run"), ("complete", "have all routes")]:
                figures = {name: outcome[key] for name, outcome in outcomes.items()}
                self.results.add(f"{count} hosts join at once: {words}", "hosts", figures, str(count), 0)
            figures = {name: outcome["seconds"] for name, outcome in outcomes.items()}
            self.results.add(f"{count} hosts join at once: exec to all routes", "s", figures)

        self.with_server(body)

    def throughput(self, backend):
        network = self.network(backend)

        def body(testbed, server):
            server.client.put(f"{etcd.PREFIX}/config", network.config())
            for streams in [1, 4]:
                rates = {name: [] for name in self.programs}
                for _ in range(self.options.transfers):
                    for name, program in self.programs.items():
                        rates[name].append(
                            measures.throughput(testbed, server, program, streams, self.options.seconds))
                title = f"{network}: TCP, {streams} stream{'s' if streams > 1 else ''}"
                for name in self.programs:
                    self.results.raw(title, name, rates[name])
                self.results.add(title, "Gbit/s", {name: median(rates[name]) for name in self.programs}, "equal")

        self.with_server(body)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weftd", required=True)
    parser.add_argument("--flanneld", help="without it, weftd alone is measured")
    parser.add_argument("--etcd", default="/usr/bin/etcd")
    parser.add_argument("--api", choices=["v3", "v2"], default="v3", help="etcd's API (v3; flanneld up to v0.17 knows v2 alone)")
    parser.add_argument("--dual", action="store_true", help="leases of both families")
    parser.add_argument("--json", help="file to which figures are added, a JSON object a line")
    parser.add_argument("--runs", type=int, default=10, help="runs of each start and of the churn (10)")
    parser.add_argument("--events", type=int, default=100, help="new leases whose latency is taken (100)")
    parser.add_argument("--transfers", type=int, default=3, help="TCP transfers of each kind (3)")
    parser.add_argument("--seconds", type=int, default=5, help="how long each takes (5)")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="start, large, events, churn, together, tcp")
    options = parser.parse_args()
    # A run that is told to end removes its namespaces on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    programs = {"weftd": os.path.abspath(options.weftd)}
    if options.flanneld:
        programs = {"flanneld": os.path.abspath(options.flanneld), **programs}
    results = Results(list(programs), options.json)
    benchmark = Benchmark(options, programs, results)
    parts = {
        "start": lambda: [
            benchmark.converge("vxlan", 1000, "≤ 0.12", ("≤ 26", "≤ 6", "")),
            benchmark.converge("host-gw", 1000, "", None),
        ],
        "large": lambda: benchmark.converge("vxlan", 10000, "≤ 0.6", None),
        "events": benchmark.events,
        "churn": benchmark.churn,
        "together": benchmark.together,
        "tcp": lambda: [benchmark.throughput("vxlan"), benchmark.throughput("host-gw")],
    }
    for name in options.only or parts:
        if name not in parts:
            parser.error(f"--only {name}: there is {', '.join(parts)}")
        parts[name]()
    versions = [subprocess.run([path, "--version"], capture_output=True, text=True, check=False) for path in programs.values()]
    names = ", ".join(f"{name} {(run.stdout + run.stderr).strip()}" for name, run in zip(programs, versions))
    print(f"{names}; Linux {platform.release()}, {os.cpu_count()} processors\n")
    print(results.table())


if __name__ == "__main__":
    main()
