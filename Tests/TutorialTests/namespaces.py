"""Hosts as namespaces of this machine: each with processes, mounts, network and Docker engine of its own."""
import contextlib
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import scenario
from hosts import Failure, Host

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENDPOINTS = "http://172.30.0.11:2379,http://172.30.0.12:2379"
# The first process of a host. It takes in what its daemons leave behind, and all ends with it.
INIT = """
mount -t tmpfs tmpfs /run
mkdir -p /etc/docker /run/lock
mount -t tmpfs tmpfs /etc/docker
mount --bind "$1/srv" /srv
ip link set lo up
sysctl -qw net.ipv4.ip_forward=0
exec python3 -c 'import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); print("up", flush=True); signal.pause()'
"""


class NamespaceHost(Host):
    def __init__(self, number, directory, daemon):
        super().__init__(f"host{number}", f"172.30.0.{10 + number}")
        self.directory = f"{directory}/{self.name}"
        self.group = f"/weft-tutorial-{os.getpid()}-{self.name}"
        os.makedirs(f"{self.directory}/srv")
        self.running = {}
        self.init = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork",
             "--kill-child", "--mount-proc", "sh", "-ec", INIT, "sh", self.directory],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True)
        words = self.init.stdout.readline()
        if words != "up\n":
            raise Failure(f"{self.name} does not start: {words}{self.init.stdout.read()}")
        children = pathlib.Path(f"/proc/{self.init.pid}/task/{self.init.pid}/children").read_text().split()
        self.pid = children[0]
        peers = ",".join(f"host{n}=http://172.30.0.{10 + n}:2380" for n in (1, 2))
        self.commands = {
            "etcd": f"""exec etcd --name {self.name} --enable-v2 --data-dir {self.directory}/etcd
                --listen-client-urls http://{self.address}:2379,http://127.0.0.1:2379
                --advertise-client-urls http://{self.address}:2379 --listen-peer-urls http://{self.address}:2380
                --initial-advertise-peer-urls http://{self.address}:2380 --initial-cluster {peers}""",
            "flanneld": f"exec {daemon} --etcd-endpoints={ENDPOINTS} --etcd-prefix=/coreos.com/network "
                        f"--iface={self.interface} --ip-masq",
            "docker": f"""set -a; . /run/flannel/docker_opts.env; exec dockerd --data-root={self.directory}/docker
                --exec-root=/run/docker-exec --storage-driver=vfs --exec-opt=native.cgroupdriver=cgroupfs
                --cgroup-parent={self.group} $DOCKER_OPTS""",
        }
        # What a unit's ExecStartPost and Type say.
        self.posts = {"flanneld": f"{ROOT}/Packaging/mk-docker-opts.sh -d /run/flannel/docker_opts.env -c"}

    def enter(self, *words):
        return ["nsenter", "--target", self.pid, "--mount", "--net", "--uts", "--ipc", "--pid", "--", *words]

    def attempt(self, script, limit=60):
        try:
            done = subprocess.run(
                self.enter("sh", "-ec", script), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, timeout=limit, check=False, text=True, errors="replace")
        except subprocess.TimeoutExpired as late:
            raise Failure(f"{self.name}: not done within {limit} s: {script}\n{late.output}") from late
        return done.returncode, done.stdout

    def log_path(self, service):
        return f"{self.directory}/{service}.log"

    def log(self, service):
        path = pathlib.Path(self.log_path(service))
        return "\n".join(path.read_text(errors="replace").splitlines()[-15:]) if path.exists() else ""

    def complaints(self):
        lines = pathlib.Path(self.log_path("flanneld")).read_text().splitlines()
        return "\n".join(line for line in lines if re.match(r"\S+ (WARNING|ERROR|CRITICAL) ", line))

    # Services, as a unit of Type=notify would have it.

    def service(self, action, *names):
        for name in names:
            if action in ("stop", "restart"):
                self.stop(name)
            if action in ("start", "restart"):
                self.start(name)

    def stop(self, name):
        process, pid = self.running.pop(name)
        self.run(f"kill {pid}")
        try:
            process.wait(60)
        except subprocess.TimeoutExpired as late:
            raise Failure(f"{self.name}: {name} does not end") from late

    def start(self, name):
        with tempfile.TemporaryDirectory(dir=f"{self.directory}/srv") as folder, \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices, \
                open(self.log_path(name), "ab") as log:
            notices.bind(f"{folder}/notify")
            inside = f"/srv/{os.path.basename(folder)}/notify"
            command = " ".join(self.commands[name].split())
            process = subprocess.Popen(
                self.enter(
                    "env", f"NOTIFY_SOCKET={inside}", "sh", "-c", f"echo $$ >/run/tutorial.{name}.pid; {command}"),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
            end = time.monotonic() + 60
            while True:
                if process.poll() is not None:
                    raise Failure(f"{self.name}: {name} ends with status {process.returncode}")
                if time.monotonic() > end:
                    raise Failure(f"{self.name}: {name} is not ready within 60 s")
                if select.select([notices], [], [], 0.2)[0] and b"READY=1" in notices.recv(4096).split(b"\n"):
                    break
        self.running[name] = process, self.run(f"cat /run/tutorial.{name}.pid")
        if name in self.posts:
            self.run(self.posts[name])

    def close(self):
        """Ends all that runs on the host, and waits for it: its namespaces, mounts and interfaces go with it."""
        self.init.send_signal(signal.SIGKILL)
        self.init.wait()
        for process, _ in self.running.values():
            process.wait()
        # Control groups outlive the namespaces.
        end = time.monotonic() + 10
        while True:
            left = [path for base in ("/sys/fs/cgroup", "/sys/fs/cgroup/*")
                    for path in pathlib.Path("/").glob(f"{base}{self.group}"[1:])]
            if not left or time.monotonic() > end:
                break
            for path in left:
                for folder, _, _ in os.walk(path, topdown=False):
                    with contextlib.suppress(OSError):
                        os.rmdir(folder)


@contextlib.contextmanager
def hosts(daemon):
    """Two hosts on one cable."""
    # Not in /run, which each host has for itself.
    directory = tempfile.mkdtemp(prefix="weft-tutorial.", dir="/var/tmp")
    made = []
    try:
        for number in (1, 2):
            made.append(NamespaceHost(number, directory, daemon))
        first, second = made
        subprocess.run(
            ["ip", "link", "add", "eth0", "netns", first.pid, "type", "veth", "peer", "name", "eth0", "netns",
             second.pid], check=True)
        for host in made:
            host.run(f"ip addr add {host.address}/24 dev eth0")
            host.run("ip link set eth0 up; ip route add default via 172.30.0.1")
        yield made
    finally:
        for host in made:
            host.close()
        shutil.rmtree(directory, ignore_errors=True)


def run(daemon, api):
    with hosts(daemon) as made, scenario.reporting(made):
        tutorial = scenario.Tutorial(made, api)
        tutorial.rules()
        tutorial.registry()
        tutorial.network()
        tutorial.docker()
        tutorial.containers()
        tutorial.check_talk()
        tutorial.check_edges()
        tutorial.restart_network()
        tutorial.restart_docker()
        tutorial.delete_device()
        tutorial.check_rules()
        tutorial.check_logs()
