#!/usr/bin/env python3
"""weft attach and pipework's command lines with real containers: pipework's README, Docker, containerd, DHCP, Open vSwitch.

    run.py [--weft PROGRAM] [PART ...]      parts: docker, containerd, dhcp, storm, openvswitch

A part whose programs are not installed is skipped, and says so; with --all it is a failure.
"""
import argparse
import os
import pathlib
import shutil
import signal
import sys

import parts
from ground import ROOT, Failure, Ground


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", default=list(parts.ALL))
    parser.add_argument("--weft", default=str(ROOT / ".build/debug/weft"))
    parser.add_argument("--all", action="store_true", help="nothing may be skipped")
    arguments = parser.parse_args()
    os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"
    if os.geteuid() != 0:
        print("attach: skipped, needs root")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    for name in arguments.part:
        needed, part = parts.ALL[name]
        missing = [program for program in needed if not shutil.which(program)]
        if missing:
            print(f"attach, {name}: skipped, not installed: {', '.join(missing)}")
            if arguments.all:
                return 1
            continue
        if name == "openvswitch" and not os.path.exists("/dev/net/tun"):
            print(f"attach, {name}: skipped, a switch in user space needs /dev/net/tun")
            if arguments.all:
                return 1
            continue
        ground = Ground(os.path.abspath(arguments.weft))
        try:
            part(ground)
        except Failure as failure:
            print(f"attach, {name}: {failure}", file=sys.stderr)
            return 1
        finally:
            ground.close()
        print(f"attach, {name}: passed", flush=True)
    return 0


sys.exit(main())
