#!/usr/bin/env python3
"""What this machine's kernel may lack, on Debian's in a virtual machine: VLANs, ipvlan, dummy, netem. No KVM is needed."""
import argparse
import os
import pathlib
import shutil
import signal
import socket
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "TutorialTests"))
import machines  # noqa: E402
from hosts import Failure  # noqa: E402

NEEDED = ("strip", "qemu-system-x86_64", "mmdebstrap", "mkfs.ext4", "busybox", "setpriv")
PREPARE = """
    ln -sf /root/weft/weft /usr/local/bin/weft; ln -sf /root/weft/weft /usr/local/bin/pipework
    ip link add eth9 type veth peer name cable; ip link set cable up; ip link set eth9 up
    for n in 1 2; do ip netns add c$n; ip -n c$n link set lo up; done
    for v in 7 8; do
        ip link add link cable name cable.$v type vlan id $v; ip addr add 10.9.$v.254/24 dev cable.$v
        ip link set cable.$v up
    done
    """
ATTACH = """
    pipework eth9 /run/netns/c1 10.9.7.1/24 @7
    weft attach --type ipvlan --vlan 8 eth9 netns:c2 10.9.8.2/24
    pipework dummy -i du0 /run/netns/c1 192.168.21.101/24@192.168.21.1
    ip -n c1 -d link show eth1 | grep -q 'macvlan mode bridge'
    ip -n c2 -d link show eth1 | grep -q 'ipvlan  *mode l2'
    ip -n c1 route show default | grep -q 'via 192.168.21.1 dev du0'
    ip -d link show eth9.7 | grep -q 'vlan protocol 802.1Q id 7'
    """


def check(machine):
    machine.run(PREPARE)
    before = machine.run("ip -o link | sed 's/@if.*//'")
    machine.run(ATTACH, limit=120)
    machine.until("VLAN 7 reaches the macvlan", "ping -qc1 -W1 10.9.7.1")
    machine.until("VLAN 8 reaches the ipvlan", "ping -qc1 -W1 10.9.8.2")
    machine.run("pipework tc /run/netns/c1 qdisc add dev eth1 root netem loss 30%; "
                "ip netns exec c1 tc qdisc show dev eth1 | grep -q 'netem.*loss 30%'")
    machine.run("ip link add link eth9 name eth9.9 type vlan id 10")
    status, output = machine.attempt("pipework eth9 -i eth3 /run/netns/c1 0/0 @9")
    if status != 1 or "eth9.9 exists but is not VLAN 9" not in output:
        raise Failure(f"status {status}: {output}")
    machine.run("ip link del eth9.9; weft detach netns:c1")
    # The other container ends by itself: its VLAN is undone with it.
    machine.run("ip netns del c2")
    machine.until("nothing is left", f"test \"$(ip -o link | sed 's/@if.*//')\" = '{before}'")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--daemon", default=str(ROOT / ".build/debug/weftd"))
    arguments = parser.parse_args()
    os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"
    if os.geteuid() != 0:
        print("attach, machine: skipped, needs root")
        return 0
    missing = [program for program in NEEDED if not shutil.which(program)]
    if missing:
        print(f"attach, machine: not installed: {', '.join(missing)}; see Scripts/install-dependencies.sh",
              file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with socket.socket() as probe, tempfile.TemporaryDirectory() as directory:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        try:
            machines.prepare()
            machines.make_disk(os.path.abspath(arguments.daemon), None)
            # A number that the image has no address for.
            machine = machines.Machine(9, directory, f"listen=127.0.0.1:{port}")
            try:
                machine.connect()
                check(machine)
            finally:
                machine.close()
        except Failure as failure:
            print(f"attach, machine: {failure}", file=sys.stderr)
            return 1
    print("attach, machine: passed")
    return 0


sys.exit(main())
