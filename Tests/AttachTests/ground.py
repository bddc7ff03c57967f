"""A host of its own for weft attach: namespaces for mounts, network and processes, in which engines and switches run."""
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The first process of the host. It takes in what others leave behind, and all ends with it.
INIT = """
mount -t tmpfs tmpfs /run
mkdir -p /run/netns /run/lock /run/openvswitch
mount -t tmpfs tmpfs /var/lib/weft 2>/dev/null || { mkdir -p /var/lib/weft && mount -t tmpfs tmpfs /var/lib/weft; }
mount --bind "$1" /srv
ip link set lo up
exec python3 -c 'import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); print("up", flush=True); signal.pause()'
"""


class Failure(Exception):
    """Something that did not come out as it must."""


class Ground:
    """The host. Its /srv is a directory of ours, with `weft` and `pipework` in it, and the records are under /run."""

    def __init__(self, weft):
        self.directory = tempfile.mkdtemp(prefix="weft-attach.", dir="/var/tmp")
        self.group = f"/weft-attach-{os.getpid()}"
        self.init = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork",
             "--kill-child", "--mount-proc", "sh", "-ec", INIT, "sh", self.directory],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True)
        words = self.init.stdout.readline()
        if words != "up\n":
            raise Failure(f"the host does not start: {words}{self.init.stdout.read()}")
        self.pid = pathlib.Path(f"/proc/{self.init.pid}/task/{self.init.pid}/children").read_text().split()[0]
        self.background = []
        os.symlink(weft, f"{self.directory}/weft")
        os.symlink(weft, f"{self.directory}/pipework")

    def enter(self, script):
        variables = ["env", "PATH=/srv:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                     "OVS_RUNDIR=/run/openvswitch"]
        return ["nsenter", "--target", self.pid, "--mount", "--net", "--uts", "--ipc", "--pid", "--", *variables,
                "sh", "-ec", script]

    def attempt(self, script, limit=120):
        try:
            # What goes on in the background keeps an output of its own, or this would wait for it.
            with tempfile.TemporaryFile("w+") as output:
                done = subprocess.run(self.enter(script), stdin=subprocess.DEVNULL, stdout=output,
                                      stderr=subprocess.STDOUT, timeout=limit, check=False)
                output.seek(0)
                return done.returncode, output.read()
        except subprocess.TimeoutExpired as late:
            raise Failure(f"not done within {limit} s: {script}") from late

    def run(self, script, limit=120):
        status, output = self.attempt(script, limit)
        if status != 0:
            raise Failure(f"status {status} of: {script}\n{output}")
        return output.strip()

    def refused(self, script, pattern):
        """It has to fail, and to say why."""
        status, output = self.attempt(script)
        if status == 0 or not re.search(pattern, output):
            raise Failure(f"status {status}, not a refusal with {pattern!r}, of: {script}\n{output}")

    def until(self, what, script, expected=None, limit=60):
        end = time.monotonic() + limit
        while True:
            status, output = self.attempt(script)
            if status == 0 and (expected is None or re.search(expected, output)):
                return output.strip()
            if time.monotonic() > end:
                raise Failure(f"{what}: status {status} of: {script}\n{output}\n{self.watcher_log()}")
            time.sleep(0.1)

    def watcher_log(self):
        return self.attempt("cat /run/weft/attach/watcher.log 2>/dev/null || true")[1]

    def start(self, name, command, ready):
        log = open(f"{self.directory}/{name}.log", "ab")
        process = subprocess.Popen(self.enter(f"exec {command}"), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   start_new_session=True)
        self.background.append(process)
        try:
            self.until(f"{name} starts", ready)
        except Failure as failure:
            text = pathlib.Path(f"{self.directory}/{name}.log").read_text(errors="replace")
            raise Failure(f"{failure}\n{text[-2000:]}") from failure

    # What the host has.

    def state(self):
        """The host's interfaces, addresses and routes, but for what Docker has."""
        return self.run("ip -o link | sed -E 's/^[0-9]+: //; s/@if[0-9]+//; s/link-netns.*//; s/(state|group) [^ ]+//g' "
                        "| grep -vE '^(veth|docker0)' | awk '{print $1, $2, $3, $4, $5, $6, $7}' | sort; ip route | grep -v docker0 || true")

    def container(self, name, command="sleep infinity"):
        """A process in a network namespace of its own: its number."""
        # Until it is in its namespace, its number stands for the host's.
        return self.run(f"unshare --net --uts --fork --kill-child sh -c 'ip link set lo up; exec {command}' "
                        ">/dev/null 2>&1 & p=$!; "
                        'until [ "$(readlink /proc/$p/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done; '
                        "echo $p")

    def same(self, before):
        self.until("nothing is left", f"true", limit=0)
        end = time.monotonic() + 30
        while self.state() != before:
            if time.monotonic() > end:
                raise Failure(f"left behind:\n{self.state()}\ninstead of:\n{before}\n{self.watcher_log()}")
            time.sleep(0.1)

    def close(self):
        self.init.send_signal(signal.SIGKILL)
        self.init.wait()
        for process in self.background:
            process.wait()
        end = time.monotonic() + 10
        while True:
            left = [path for base in ("sys/fs/cgroup", "sys/fs/cgroup/*")
                    for path in pathlib.Path("/").glob(f"{base}{self.group}")]
            if not left or time.monotonic() > end:
                break
            for path in left:
                for folder, _, _ in os.walk(path, topdown=False):
                    try:
                        os.rmdir(folder)
                    except OSError:
                        pass
            time.sleep(0.1)
        shutil.rmtree(self.directory, ignore_errors=True)
