"""What is measured. Each function builds what it needs on a testbed and returns figures."""
import concurrent.futures
import json
import select
import socket
import statistics
import subprocess
import time

import etcd
import kernel


def families(network):
    return [socket.AF_INET, socket.AF_INET6] if network.dual else [socket.AF_INET]


def wanted(leases, network, own):
    """The routes, neighbours and forwarding entries that a host should hold for these leases."""
    routes, neighbours, forwarding = {}, {}, {}
    for name, value in leases.items():
        if value["PublicIP"] == own:
            continue
        for key, family in zip(name.split("&"), families(network)):
            first, length = key.rsplit("-", 1)
            data, address = ("BackendData", "PublicIP") if family == socket.AF_INET else ("BackendV6Data", "PublicIPv6")
            gateway = first if network.backend == "vxlan" else value[address]
            routes[f"{first}/{length}"] = socket.inet_pton(family, gateway).hex()
            if network.backend == "vxlan":
                mac = value[data]["VtepMAC"].replace(":", "")
                neighbours[first] = mac
                forwarding[mac] = value[address]
    return routes, neighbours, forwarding


def held(poll, network):
    routes, neighbours = {}, {}
    for family in families(network):
        routes |= poll.routes(family)
        if network.backend == "vxlan":
            neighbours |= poll.neighbours(family)
    return routes, neighbours, poll.neighbours(kernel.AF_BRIDGE) if network.backend == "vxlan" else {}


def differences(one, other):
    return sum(len(set(left.items()) ^ set(right.items())) for left, right in zip(one, other))


class Converge:
    """A number of leases in etcd, then one daemon: seconds from exec to every route, neighbour and forwarding entry."""

    def __init__(self, testbed, server, network, count):
        self.testbed, self.server, self.network, self.count = testbed, server, network, count

    def once(self, program, limit):
        """-> host with the daemon running, seconds or None"""
        self.server.client.delete_own()
        host = self.testbed.host(1)
        poll = host.kernel()
        began = time.monotonic()
        host.start(program, self.server.api)
        seconds = None
        pause = 0.001 if self.count <= 1000 else 0.01
        while time.monotonic() - began < limit and host.process.poll() is None:
            if self.is_complete(poll):
                seconds = time.monotonic() - began
                break
            time.sleep(pause)
        poll.close()
        return host, seconds

    def is_complete(self, poll):
        both = families(self.network)
        if not all(poll.count_routes(family) >= self.count for family in both):
            return False
        return self.network.backend != "vxlan" or (
            all(len(poll.neighbours(family)) >= self.count for family in both)
            and len(poll.neighbours(kernel.AF_BRIDGE)) >= self.count * len(both))


def exact(server, host, network, limit=10):
    """Waits until the kernel holds exactly what the leases say; seconds, or None, and how many entries differ."""
    poll = host.kernel()
    began = time.monotonic()
    goal = wanted(server.client.leases(), network, host.address)
    while True:
        count = differences(goal, held(poll, network))
        elapsed = time.monotonic() - began
        if count == 0 or elapsed > limit or host.process.poll() is not None:
            poll.close()
            return (elapsed if count == 0 else None), count
        time.sleep(0.02)


def put_to_watch(server, count):
    """Milliseconds from sending a put to etcdctl's watch of it."""
    watch = etcd.Watch(server, "/weft-bench/")
    client = server.connect()
    # The watch is there when it answers to a put.
    while not watch.drain(0.2):
        client.put("/weft-bench/start", "x")
    while watch.drain(0.3):
        pass
    times = []
    for index in range(count):
        began = time.monotonic()
        client.send_put(f"/weft-bench/{index}", etcd.Network("vxlan").lease(index)[1])
        watch.drain(5)
        times.append((time.monotonic() - began) * 1e3)
        client.answer()
        time.sleep(0.02)
        watch.drain(0)
    watch.stop()
    client.delete_all("/weft-bench/")
    return times


def put_to_route(server, host, network, first, count):
    """Milliseconds from sending the put of a new lease to the kernel's word of its route."""
    news = host.kernel(kernel.RTMGRP_IPV4_ROUTE)
    client = server.connect()
    times = []
    for index in range(first, first + count):
        name, value = network.lease(index)
        subnet = name.split("-")[0]
        began = time.monotonic()
        client.send_put(f"{etcd.PREFIX}/subnets/{name}", value)
        while time.monotonic() - began < 10:
            if select.select([news.socket], [], [], 1)[0] and subnet in news.route_news():
                times.append((time.monotonic() - began) * 1e3)
                break
        client.answer()
        time.sleep(0.02)
    news.close()
    return times


def churn(server, host, network, first, operations=1000):
    """Puts and deletes leases over eight connections as fast as etcd takes them; what `exact` says afterwards."""
    lanes = 8
    each = operations // lanes // 2

    def lane(number):
        client = server.connect()
        base = first + number * each
        for index in range(base, base + each):
            client.put_lease(index, network)
            # Every third lease stays for the next lap.
            if index % 3:
                client.delete_lease(index, network)
            else:
                client.put_lease(index, network)

    with concurrent.futures.ThreadPoolExecutor(lanes) as pool:
        # Threads start in this thread's namespace, where etcd is reached.
        list(pool.map(lane, range(lanes)))
    return exact(server, host, network)


def together(testbed, server, program, count, limit=30):
    """Starts daemons on as many hosts at once: how many hold a subnet of their own, run, and have all routes."""
    server.client.delete_own()
    hosts = [testbed.host(number) for number in range(1, count + 1)]
    polls = [host.kernel() for host in hosts]
    began = time.monotonic()
    for host in hosts:
        host.start(program, server.api)
    complete, seconds = 0, None
    while time.monotonic() - began < limit:
        complete = sum(poll.count_routes() >= count - 1 for poll in polls)
        if complete == count:
            seconds = time.monotonic() - began
            break
        time.sleep(0.05)
    subnets = {host.subnet()[0] for host in hosts if host.subnet()}
    running = sum(host.process.poll() is None for host in hosts)
    for poll in polls:
        poll.close()
    for host in hosts:
        host.remove()
    server.client.delete_own()
    return {"subnets": len(subnets), "running": running, "complete": complete, "seconds": seconds}


def throughput(testbed, server, program, streams, seconds, limit=15):
    """Gbit/s of TCP between containers of two hosts."""
    server.client.delete_own()
    hosts = [testbed.host(1), testbed.host(2)]
    try:
        polls = [host.kernel() for host in hosts]
        deadline = time.monotonic() + limit
        for host in hosts:
            host.start(program, server.api)
            # One after the other: how they get along at once is measured elsewhere.
            while not host.subnet() and time.monotonic() < deadline:
                time.sleep(0.05)
        while not all(host.subnet() and poll.count_routes() >= 1 for host, poll in zip(hosts, polls)):
            if time.monotonic() > deadline:
                return None
            time.sleep(0.05)
        for poll in polls:
            poll.close()
        (client, _), (answerer, address) = hosts[0].container(), hosts[1].container()
        subprocess.run(["ip", "netns", "exec", client, "ping", "-c", "3", "-i", "0.2", "-q", address], check=True,
                       stdout=subprocess.DEVNULL)
        testbed.start(["ip", "netns", "exec", answerer, "iperf3", "-s", "-1"], f"{testbed.directory}/iperf.log")
        time.sleep(0.5)
        result = subprocess.run(
            ["ip", "netns", "exec", client, "iperf3", "-c", address, "-J", "-t", str(seconds), "-P", str(streams)],
            check=True, stdout=subprocess.PIPE)
        return json.loads(result.stdout)["end"]["sum_received"]["bits_per_second"] / 1e9
    finally:
        for host in hosts:
            host.remove()
        server.client.delete_own()


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None
