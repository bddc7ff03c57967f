#!/usr/bin/env python3
"""The udp backend's kernel plane on Debian's kernel: in a virtual machine, which needs no KVM, with hosts as namespaces.

Beside it the userspace plane and, where FLANNELD names a flanneld of v0.20.2, a stock host. The machine's system is that of
the tutorial's tests. --keep leaves the machine running on a failure, to look at.
"""
import argparse
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "TutorialTests"))
import machines  # noqa: E402
from hosts import Failure, answered  # noqa: E402

NEEDED = ("strip", "qemu-system-x86_64", "mmdebstrap", "mkfs.ext4", "busybox")
AUTO = '{"Network":"10.5.0.0/16","Backend":{"Type":"udp"}}'
# Milliseconds between two pings: what is lost is told in them.
INTERVAL = 50
# The longest gap of a change of the plane, in milliseconds.
LONGEST = 5000


class Lab:
    """Hosts h1, h2 … in one machine, a container c1, c2 … on each."""

    def __init__(self, machine, stock):
        self.machine = machine
        self.stock = stock
        self.started = time.monotonic()

    def step(self, text):
        print(f"  {time.monotonic() - self.started:5.0f} s  {text}", flush=True)

    def run(self, script, limit=60):
        return self.machine.run(f". /root/lab.sh\n{script}", limit)

    def until(self, what, script, expected=None, limit=20):
        return self.machine.until(what, f". /root/lab.sh\n{script}", limit, expected)

    def start(self, number, program="/root/weft/weftd"):
        self.run(f"daemon {number} {program}")

    def ready(self, number, expected="ready"):
        return self.until(f"h{number} is ready", f"ready {number}", expected)

    def plane(self, number, plane):
        return self.until(f"h{number} uses the {plane} plane", f"ready {number}", f"(?s)^ready.*data plane: {plane}")

    def address(self, number):
        return self.run(f"address {number}")

    def log(self, number):
        return self.machine.attempt(f"tail -n 25 /tmp/h{number}.log")[1]

    def talks(self, one, other, size=500_000):
        """Pings, and a TCP stream each way."""
        for source, target in ((one, other), (other, one)):
            self.until(f"c{source} reaches c{target}", f"ip netns exec c{source} ping -c1 -W1 {self.address(target)}")
            self.run(f"transfer {source} {target} {self.address(target)} {size}")

    @contextlib.contextmanager
    def pinging(self, one, other, most):
        """Pings from before the body to after it; of those after the first answer at most `most` may be lost."""
        file = f"/tmp/ping{one}{other}"
        self.run(f"""ip netns exec c{one} ping -n -i {INTERVAL / 1000} {self.address(other)} >{file} 2>&1 &
            echo $! >{file}.pid""")
        self.until(f"c{one} pings c{other}", f"grep -q 'icmp_seq=5 ' {file}")
        yield
        seen = answered(self.run(f"cat {file}"))
        self.until(f"c{one} still pings c{other}",
                   f"tail -n 1 {file} | sed -n 's/.*icmp_seq=\\([0-9]*\\) .*/\\1/p' | "
                   f"awk '{{ exit !($1 > {max(seen) + 20}) }}'")
        self.run(f"kill $(cat {file}.pid)")
        seen = answered(self.run(f"cat {file}"))
        missing = set(range(1, max(seen))) - seen
        print(f"             lost {len(missing)} of {max(seen)} pings, one each {INTERVAL} ms", flush=True)
        if len(missing) > most:
            raise Failure(f"of {max(seen)} pings {len(missing)} were lost, {most} may be: {sorted(missing)}")

    def device(self, number, kind, name="flannel0"):
        self.until(f"h{number} has an {kind} {name}", f"ip -n h{number} -d link show {name}", rf"(?s)UP.*\s{kind} ")


def make_disk(daemon, stock):
    def more(folder):
        (folder / "root").mkdir()
        shutil.copy(HERE / "lab.sh", folder / "root/lab.sh")
        if stock:
            shutil.copy(stock, folder / "root/flanneld")
    machines.make_disk(daemon, None, more)


@contextlib.contextmanager
def machine(processors=2):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        # A number that the image has no address for.
        made = machines.Machine(9, directory, f"listen=127.0.0.1:{port}", processors)
        try:
            made.connect()
            yield made
        finally:
            made.close()


# The tests, in this order, in one lab.


def planes_meet(lab):
    lab.step("a kernel plane; a userspace plane, since another tunnel is in the way; stock flannel")
    lab.run(f"lab; put config '{AUTO}'; for n in 1 2 3; do host $n; done")
    # Of tunnels without remote there can be one for a local address, so that the kernel refuses Weft's.
    lab.run("ip -n h2 link add other type ipip local 172.30.0.12")
    lab.start(1)
    lab.start(2)
    lab.ready(1)
    lab.plane(1, "kernel, since the kernel has Foo-over-UDP")
    lab.plane(2, "userspace, since the kernel plane failed: .*File exists")
    lab.device(1, "ipip")
    lab.device(2, "tun")
    lab.run("container 1; container 2")
    lab.talks(1, 2)
    if lab.stock:
        lab.start(3, "/root/flanneld")
        lab.until("stock has a subnet", "cat /run/h3/subnet.env", "FLANNEL_SUBNET")
        lab.run("container 3")
        lab.talks(1, 3, 200_000)
        lab.talks(2, 3, 200_000)


def packets_are_right(lab):
    lab.step("unknown destinations, large packets, TTL, spoofed sources")
    target = lab.address(2)
    text = lab.machine.attempt(f"ip netns exec c1 ping -M do -s 1445 -c1 -W2 {target}")[1]
    if "mtu=1472" not in text and "mtu = 1472" not in text:
        raise Failure(f"a packet larger than 1472 is not answered with the MTU: {text}")
    lab.run(f"ip netns exec c1 ping -M do -s 1444 -c1 -W2 {target}")
    # Fragments, made by the container, and put together by the other.
    lab.run(f"ip netns exec c1 ping -s 4000 -c1 -W2 {target}")
    # A hop of each host, none of the network between them.
    hops = lab.run(f"ip netns exec c1 ping -t 2 -c1 -W2 {target} || true")
    if "Time to live exceeded" not in hops:
        raise Failure(f"TTL 2 does not end at the other host: {hops}")
    # rp_filter: a packet in a peer's name by the right way passes, one in this host's own name does not.
    if lab.run("ip netns exec h1 sysctl -n net.ipv4.conf.flannel0.rp_filter") != "1":
        raise Failure("rp_filter of flannel0 is not 1")


def paths_mtu(lab):
    lab.step("a smaller MTU on the way is learnt")
    lab.run("ip -n h1 route add 172.30.0.12/32 dev eth0 mtu 1400")
    text = lab.machine.attempt(f"ip netns exec c1 ping -M do -s 1400 -c2 -W2 {lab.address(2)}")[1]
    if not re.search(r"mtu ?= ?1372", text):
        raise Failure(f"the path's MTU is not told to the container: {text}")
    # One without DF goes in fragments.
    lab.run(f"ip netns exec c1 ping -M dont -s 1400 -c1 -W2 {lab.address(2)}")
    lab.run("ip -n h1 route del 172.30.0.12/32")


def faults(lab):
    target = lab.address(2)
    for what, script in (
        ("flannel0 is deleted", "ip -n h1 link del flannel0"),
        ("flannel0 is set down", "ip -n h1 link set flannel0 down"),
        ("its routes are flushed", "ip -n h1 route flush dev flannel0"),
        ("its addresses are flushed", "ip -n h1 addr flush dev flannel0"),
        ("its MTU is changed", "ip -n h1 link set flannel0 mtu 900"),
        ("the FOU port is removed", "ip netns exec h1 ip fou del port 8285"),
        ("the FOU port is another's",
         "ip netns exec h1 ip fou del port 8285; ip netns exec h1 ip fou add port 8285 ipproto 47"),
        ("the tunnel sends elsewhere",
         "ip -n h1 link change flannel0 type ipip local 172.30.0.11 encap fou encap-sport auto encap-dport 9999"),
        ("it is another kind of device", "ip -n h1 link del flannel0; ip -n h1 link add flannel0 type bridge"),
        ("the external interface flaps", "ip -n h1 link set eth0 down; ip -n h1 link set eth0 up"),
    ):
        lab.step(f"{what}: healed")
        lab.run(script)
        lab.until("it is as it was", "ip -n h1 -d link show flannel0; ip netns exec h1 ip fou show; "
                  "ip -n h1 route show proto 119; ip -n h1 addr show dev flannel0",
                  r"(?s)UP[^>]*> mtu 1472 .*ipip ipip remote any local 172.30.0.11 ttl 64 pmtudisc encap fou .*dport 8285 "
                  r".*port 8285 ipproto 4\s.*10\.5\.0\.0/16 dev flannel0 .*via 172.30.0.12 dev flannel0 "
                  r".*inet 10\.5\.\d+\.0/32")
        lab.until("containers talk", f"ip netns exec c1 ping -c1 -W1 {target}")
        lab.ready(1)


def address_changes(lab):
    lab.step("the host gets another address: the same device goes on with it")
    index = lab.run("cat /dev/null; ip netns exec h1 cat /sys/class/net/flannel0/ifindex")
    lab.run("ip -n h1 addr add 172.30.0.21/24 dev eth0; ip -n h1 addr del 172.30.0.11/24 dev eth0; "
            "ip -n h1 addr show dev eth0 | grep -q 172.30.0.21 || ip -n h1 addr add 172.30.0.21/24 dev eth0")
    lab.until("the tunnel has it", "ip -n h1 -d link show flannel0", "local 172.30.0.21 ")
    lab.until("containers talk", f"ip netns exec c1 ping -c1 -W1 {lab.address(2)}")
    if lab.run("ip netns exec h1 cat /sys/class/net/flannel0/ifindex") != index:
        raise Failure("the device was made anew")
    lab.run("ip -n h1 addr add 172.30.0.11/24 dev eth0; ip -n h1 addr del 172.30.0.21/24 dev eth0; "
            "ip -n h1 addr show dev eth0 | grep -q 172.30.0.11 || ip -n h1 addr add 172.30.0.11/24 dev eth0")
    lab.until("the tunnel has the old one", "ip -n h1 -d link show flannel0", "local 172.30.0.11 ")
    lab.until("containers talk", f"ip netns exec c1 ping -c1 -W1 {lab.address(2)}")


def restarts(lab):
    for name in ("TERM", "KILL"):
        lab.step(f"the daemon of the kernel plane is ended with SIG{name} and started: nothing is lost")
        with lab.pinging(2, 1, most=0):
            lab.run(f"stop 1 {name}")
            lab.start(1)
            lab.ready(1)


def plane_changes(lab):
    # A change takes half a second in an emulated machine, and some two where that is one of many on its host.
    most = LONGEST // INTERVAL
    lab.step("to the userspace plane on living hosts")
    with lab.pinging(1, 2, most):
        lab.run("put config '" + AUTO.replace('"udp"', '"udp","DataPlane":"userspace"') + "'")
        lab.plane(1, "userspace")
        lab.device(1, "tun")
    if "8285" in lab.run("ip netns exec h1 ip fou show"):
        raise Failure("the FOU port is there still")
    lab.talks(1, 2)
    lab.step("back to the kernel plane")
    with lab.pinging(1, 2, most):
        lab.run(f"put config '{AUTO}'")
        lab.plane(1, "kernel")
        lab.device(1, "ipip")
    lab.talks(1, 2)


def failure_half_way(lab):
    lab.step("a tunnel that the kernel refuses half way: the userspace plane goes on")
    lab.run("put config '" + AUTO.replace('"udp"', '"udp","DataPlane":"userspace"') + "'")
    lab.plane(1, "userspace")
    index = lab.run("ip netns exec h1 cat /sys/class/net/flannel0/ifindex")
    lab.run("ip -n h1 link add other type ipip local 172.30.0.11")
    with lab.pinging(1, 2, most=LONGEST // INTERVAL):
        lab.run("put config '" + AUTO.replace('"udp"', '"udp","DataPlane":"kernel"') + "'")
        lab.plane(1, "userspace, since the kernel plane failed")
    if lab.run("ip netns exec h1 cat /sys/class/net/flannel0/ifindex") != index:
        raise Failure("the TUN device was made anew")
    lab.run("ip -n h1 link del other; ip -n h2 link del other")
    lab.run(f"put config '{AUTO}'")
    lab.plane(1, "kernel")
    lab.plane(2, "kernel")
    lab.talks(1, 2)


def port_is_taken(lab):
    lab.step("a port that another program has is named, and taken when it is free")
    lab.run("stop 1 TERM; ip netns exec h1 ip fou del port 8285; hold 1 8285")
    lab.run("put config '" + AUTO.replace('"udp"', '"udp","DataPlane":"kernel"') + "'")
    lab.until("the port is held", "ip netns exec h1 ss -Hlun 'sport = :8285'", "8285")
    lab.start(1)
    lab.until("the error names cause and remedy", "ready 1 2>&1; cat /tmp/h1.log",
              "another program has this UDP port: find it with ss -aunp and stop it")
    lab.run("kill $(cat /run/h1/holder)")
    lab.plane(1, "kernel")
    lab.until("containers talk", f"ip netns exec c1 ping -c1 -W1 {lab.address(2)}")


def backend_changes(lab):
    lab.step("another backend: device and port go")
    lab.run("""put config '{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}'""")
    lab.until("flannel.1 is there", "ip -n h1 link show flannel.1", "UP")
    lab.until("nothing of udp's is left", "ip -n h1 -o link; ip netns exec h1 ip fou show; echo end",
              r"(?s)^((?!flannel0|port 8285).)*end$")


def dual_stack(lab):
    lab.step("both families: the userspace plane on both hosts, with its reason")
    lab.run("for n in 1 2; do stop $n TERM; done; pkill -x flanneld || true; ip -all netns del; "
            "etcdctl --endpoints http://172.30.0.1:2379 del --prefix /coreos.com/network >/dev/null; rm -rf /run/h[123]; "
            # A namespace's interfaces go some time after it.
            "while ip -o link | grep -q ': up[0-9]@'; do sleep 0.1; done; for n in 1 2; do host $n; done; "
            """put config '{"EnableIPv6":true,"Network":"10.5.0.0/16","IPv6Network":"fd00:10::/48",
                "Backend":{"Type":"udp"}}'""")
    for number in (1, 2):
        lab.start(number)
    for number in (1, 2):
        lab.plane(number, "userspace, since the network has IPv6")
    lab.run("container 1; container 2")
    lab.talks(1, 2, 200_000)
    address = lab.run("address6 2")
    lab.until("IPv6 reaches", f"ip netns exec c1 ping -c1 -W1 {address}")
    lab.run(f"transfer 1 2 {address} 200000")


TESTS = (
    planes_meet, packets_are_right, paths_mtu, faults, address_changes, restarts, plane_changes, failure_half_way,
    port_is_taken, backend_changes, dual_stack)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--daemon", default=str(ROOT / ".build/debug/weftd"))
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"
    if os.geteuid() != 0:
        print("udp planes: skipped, needs root")
        return 0
    missing = [program for program in NEEDED if not shutil.which(program)]
    if missing:
        print(f"udp planes: not installed: {', '.join(missing)}; see Scripts/install-dependencies.sh", file=sys.stderr)
        return 1
    # So that what was started ends with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    print("udp planes:", flush=True)
    stock = os.environ.get("FLANNELD")
    try:
        machines.prepare()
        make_disk(os.path.abspath(arguments.daemon), stock)
        with machine() as made:
            lab = Lab(made, stock)
            try:
                for test in TESTS:
                    test(lab)
            except Failure:
                for number in (1, 2, 3):
                    print(f"--- h{number}:\n{lab.log(number)}")
                if arguments.keep:
                    print(f"console: {made.socket_path}; press return to end", flush=True)
                    input()
                raise
    except Failure as failure:
        print(f"udp planes: {failure}", file=sys.stderr)
        return 1
    print("udp planes: passed")
    return 0


sys.exit(main())
