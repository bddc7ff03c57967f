#!/usr/bin/env python3
"""The classic tutorial (etcd, flannel, Docker on two hosts) followed to the letter, with weftd in flanneld's place.

    run.py namespaces   two hosts as namespaces of this machine, a real etcd and dockerd in each
    run.py machines     two virtual machines with systemd, made by machine/image.sh
    run.py prepare      makes the machines' system, which takes a minute, and no more; `machines` does it too

--daemon names another daemon than the one that `swift build` made; --etcd-api 3 writes the config with etcd's v3 API;
--release installs a tree that `make release` made on the machines.
"""
import argparse
import os
import pathlib
import shutil
import signal
import sys

import machines
import namespaces
from hosts import Failure

ROOT = pathlib.Path(__file__).resolve().parents[2]
NEEDED = {
    "namespaces": ("etcd", "etcdctl", "dockerd", "docker", "busybox", "ip", "iptables", "nsenter", "unshare", "ping"),
    "prepare": ("mmdebstrap", "busybox", "mkfs.ext4"),
    "machines": ("strip", "qemu-system-x86_64", "mmdebstrap", "mkfs.ext4", "busybox"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ground", choices=NEEDED)
    parser.add_argument("--daemon", default=str(ROOT / ".build/debug/weftd"))
    parser.add_argument("--etcd-api", type=int, choices=(2, 3), default=2)
    parser.add_argument("--release", type=os.path.abspath)
    arguments = parser.parse_args()
    os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"
    if os.geteuid() != 0:
        print(f"tutorial, {arguments.ground}: skipped, needs root")
        return 0
    missing = [program for program in NEEDED[arguments.ground] if not shutil.which(program)]
    if missing:
        print(f"tutorial, {arguments.ground}: not installed: {', '.join(missing)}; see Scripts/install-dependencies.sh",
              file=sys.stderr)
        return 1
    # So that what was started ends with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        if arguments.ground == "prepare":
            machines.prepare()
            return 0
        print(f"tutorial, {arguments.ground}:", flush=True)
        daemon = os.path.abspath(arguments.daemon)
        if arguments.ground == "namespaces":
            namespaces.run(daemon, arguments.etcd_api)
        else:
            machines.run(daemon, arguments.etcd_api, arguments.release)
    except Failure as failure:
        print(f"tutorial, {arguments.ground}: {failure}", file=sys.stderr)
        return 1
    print(f"tutorial, {arguments.ground}: passed")
    return 0


sys.exit(main())
