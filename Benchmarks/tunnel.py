#!/usr/bin/env python3
"""Compares the userspace tunnel with a stock flanneld's udp backend and the kernel's vxlan, in turns, on two hosts.

Build first: swift build -c release --package-path Benchmarks/Tunnel. Needs root, iproute2, iperf3 and ping, for flanneld
etcd and etcdctl as well."""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time

import etcd
import testbed as lab

HERE = os.path.dirname(os.path.abspath(__file__))
BENCH = f"{HERE}/Tunnel/.build/release/TunnelBench"
CONFIG = json.dumps({"Network": "10.0.0.0/16", "SubnetMin": "10.0.1.0", "SubnetMax": "10.0.20.0", "Backend": {"Type": "udp"}})


def subnet_file(host, mtu):
    with open(host.subnet_file, "w", encoding="ascii") as file:
        file.write(f"FLANNEL_SUBNET=10.0.{host.number}.1/24\nFLANNEL_MTU={mtu}\n")


def start_tunnel(host, other, _):
    host.enter()
    try:
        host.process = host.testbed.start(
            [BENCH, "tunnel", "flannel0", host.address, "8285", f"10.0.{host.number}.0", f"10.0.{host.number}.0/24",
             f"10.0.{other.number}.0/24={other.address}"], host.log)
    finally:
        host.testbed.go_home()
    for _ in range(100):
        if os.path.exists(host.log) and "offloads" in open(host.log, encoding="ascii").read():
            break
        time.sleep(0.05)
    ip = lambda *words: lab.run("ip", "-n", host.namespace, *words)
    ip("addr", "add", f"10.0.{host.number}.0/32", "dev", "flannel0")
    ip("link", "set", "flannel0", "mtu", "1472", "up")
    ip("route", "add", "10.0.0.0/16", "dev", "flannel0")
    subnet_file(host, 1472)


def start_vxlan(host, other, _):
    ip = lambda *words: lab.run("ip", "-n", host.namespace, *words)
    ip("link", "add", "flannel.1", "address", f"02:00:00:00:00:0{host.number}", "type", "vxlan", "id", "1", "dstport", "8472",
       "local", host.address, "dev", "eth0", "nolearning")
    ip("addr", "add", f"10.0.{host.number}.0/32", "dev", "flannel.1")
    ip("link", "set", "flannel.1", "mtu", "1450", "up")
    ip("neigh", "add", f"10.0.{other.number}.0", "lladdr", f"02:00:00:00:00:0{other.number}", "dev", "flannel.1", "nud",
       "permanent")
    lab.run("bridge", "-n", host.namespace, "fdb", "add", f"02:00:00:00:00:0{other.number}", "dev", "flannel.1", "dst",
            other.address)
    ip("route", "add", f"10.0.{other.number}.0/24", "via", f"10.0.{other.number}.0", "dev", "flannel.1", "onlink")
    subnet_file(host, 1450)


def start_flanneld(host, _, options):
    host.start(options.flanneld)
    for _ in range(200):
        if host.subnet():
            break
        time.sleep(0.05)
    # It misses the leases that are made while it begins to watch.
    time.sleep(1)


STARTS = {"tunnel": start_tunnel, "flanneld": start_flanneld, "vxlan": start_vxlan}


def inside(namespace, *words):
    return subprocess.run(["ip", "netns", "exec", namespace, *words], check=True, capture_output=True, text=True).stdout


def measure(bed, name, options):
    hosts = [bed.host(1), bed.host(2)]
    try:
        STARTS[name](hosts[0], hosts[1], options)
        STARTS[name](hosts[1], hosts[0], options)
        (client, _), (answerer, address) = hosts[0].container(), hosts[1].container()
        inside(client, "ping", "-c", "3", "-i", "0.2", "-q", address)
        figures = {"RTT idle, ms": float(
            re.search(r"= [\d.]+/([\d.]+)/", inside(client, "ping", "-c", "200", "-i", "0.01", "-q", address)).group(1))}
        for streams in (1, 4):
            server = bed.start(["ip", "netns", "exec", answerer, "iperf3", "-s", "-1"], f"{bed.directory}/iperf.log")
            time.sleep(0.5)
            result = inside(client, "iperf3", "-c", address, "-J", "-t", str(options.seconds), "-P", str(streams))
            server.wait()
            title = f"TCP, {streams} stream{'s' if streams > 1 else ''}, Gbit/s"
            figures[title] = json.loads(result)["end"]["sum_received"]["bits_per_second"] / 1e9
        for kind, words in (("of one size", []), ("of varied sizes", ["varied"]), ("cut by the kernel", ["segmented"])):
            log = f"{bed.directory}/drain.log"
            drain = bed.start(["ip", "netns", "exec", answerer, BENCH, "drain"], log)
            time.sleep(0.3)
            inside(client, BENCH, "blast", address, str(options.seconds), *words)
            drain.wait()
            with open(log, encoding="ascii") as file:
                received = re.findall(r"received (\d+)", file.read())
            figures[f"UDP packets of 64 bytes, {kind}, thousand/s"] = int(received[-1]) / 1e3
        return figures
    finally:
        for host in hosts:
            host.remove()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flanneld", default=os.environ.get("FLANNELD"), help="without it, it is left out")
    parser.add_argument("--etcd", default="/usr/bin/etcd")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4, help="how long each transfer takes (4)")
    options = parser.parse_args()
    if not os.path.exists(BENCH):
        sys.exit(f"{BENCH} is missing: swift build -c release --package-path {HERE}/Tunnel")
    names = [name for name in STARTS if name != "flanneld" or options.flanneld]
    figures = {name: {} for name in names}
    bed = lab.Testbed()
    try:
        server = etcd.Server(bed, options.etcd, "v3") if options.flanneld else None
        if server:
            server.client.put(f"{etcd.PREFIX}/config", CONFIG)
        for _ in range(options.rounds):
            for name in names:
                if server:
                    server.client.delete_own()
                for title, value in measure(bed, name, options).items():
                    figures[name].setdefault(title, []).append(value)
            print(f"load average {os.getloadavg()[0]:.1f}", file=sys.stderr)
    finally:
        bed.close()
    print(f"| measure, median of {options.rounds} | {' | '.join(names)} |\n| --- |{' --- |' * len(names)}")
    for title in figures[names[0]]:
        print(f"| {title} | {' | '.join(f'{statistics.median(figures[name][title]):.3g}' for name in names)} |")


if __name__ == "__main__":
    main()
