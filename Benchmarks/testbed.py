"""Hosts as network namespaces joined by a bridge, all with names that begin with "wb" and this process's id."""
import os
import re
import shutil
import subprocess
import tempfile

import kernel


def run(*words, **options):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, **options)


class Testbed:
    def __init__(self):
        self.name = f"wb{os.getpid()}"
        self.directory = tempfile.mkdtemp(prefix="weft-bench.")
        self.switch = f"{self.name}-sw"
        self.switch_address = "172.30.0.1"
        self.namespaces = []
        self.processes = []
        self._namespace(self.switch)
        self._ip(self.switch, "link", "add", "br0", "type", "bridge")
        self._ip(self.switch, "addr", "add", f"{self.switch_address}/16", "dev", "br0")
        self._ip(self.switch, "link", "set", "br0", "up")
        # The benchmark itself lives on the switch, from where it reaches etcd.
        kernel.enter(self.switch)

    def _ip(self, namespace, *words):
        run("ip", "-n", namespace, *words)

    def _namespace(self, name):
        run("ip", "netns", "add", name)
        self.namespaces.append(name)
        self._ip(name, "link", "set", "lo", "up")

    def go_home(self):
        kernel.enter(self.switch)

    def start(self, command, log, environment=None):
        with open(log, "ab") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True)
        self.processes.append(process)
        return process

    def host(self, number):
        return Host(self, number)

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        for name in self.namespaces:
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.directory, ignore_errors=True)


class Host:
    """A namespace with eth0 on the switch."""

    def __init__(self, testbed, number):
        self.testbed = testbed
        self.number = number
        self.namespace = f"{testbed.name}-{number}"
        self.address = f"172.30.0.{10 + number}"
        self.directory = f"{testbed.directory}/{number}"
        self.subnet_file = f"{self.directory}/subnet.env"
        self.log = f"{self.directory}/log"
        self.process = None
        os.makedirs(self.directory, exist_ok=True)
        testbed._namespace(self.namespace)
        run("ip", "-n", testbed.switch, "link", "add", f"v{number}", "type", "veth", "peer", "name", "eth0", "netns",
            self.namespace)
        run("ip", "-n", testbed.switch, "link", "set", f"v{number}", "master", "br0", "up")
        testbed._ip(self.namespace, "addr", "add", f"{self.address}/16", "dev", "eth0")
        testbed._ip(self.namespace, "addr", "add", f"fd00:172::{number:x}/64", "dev", "eth0", "nodad")
        testbed._ip(self.namespace, "link", "set", "eth0", "up")
        testbed._ip(self.namespace, "route", "add", "default", "via", testbed.switch_address)
        run("ip", "netns", "exec", self.namespace, "sysctl", "-qw", "net.ipv4.ip_forward=1")

    def enter(self):
        kernel.enter(self.namespace)

    def kernel(self, groups=0):
        """A netlink socket in this host; the thread goes home afterwards."""
        self.enter()
        try:
            return kernel.Kernel(groups)
        finally:
            self.testbed.go_home()

    def start(self, program, api="v3"):
        """Starts the daemon; flanneld speaks the one API that it knows. The thread goes home afterwards."""
        self.enter()
        try:
            self.process = self.testbed.start(
                [program, f"--etcd-endpoints=http://{self.testbed.switch_address}:2379", "--iface=eth0", "--ip-masq",
                 f"--subnet-file={self.subnet_file}"],
                self.log, {"PATH": os.environ["PATH"], "FLANNELD_ETCD_API": api})
        finally:
            self.testbed.go_home()

    def subnet(self):
        """FLANNEL_SUBNET and FLANNEL_MTU; None until the daemon has written them."""
        try:
            with open(self.subnet_file, encoding="ascii") as file:
                values = dict(line.strip().split("=", 1) for line in file)
            return values["FLANNEL_SUBNET"], values["FLANNEL_MTU"]
        except (OSError, KeyError, ValueError):
            return None

    def container(self):
        """A namespace on a bridge with the host's subnet; returns its name and address."""
        subnet, mtu = self.subnet()
        gateway, length = subnet.split("/")
        address = gateway.rsplit(".", 1)[0] + ".2"
        name = f"{self.namespace}-c"
        testbed = self.testbed
        testbed._namespace(name)
        testbed._ip(self.namespace, "link", "add", "docker0", "mtu", mtu, "type", "bridge")
        testbed._ip(self.namespace, "addr", "add", subnet, "dev", "docker0")
        testbed._ip(self.namespace, "link", "add", "c1", "mtu", mtu, "type", "veth", "peer", "name", "eth0", "mtu", mtu,
                    "netns", name)
        testbed._ip(self.namespace, "link", "set", "c1", "master", "docker0", "up")
        testbed._ip(self.namespace, "link", "set", "docker0", "up")
        testbed._ip(name, "addr", "add", f"{address}/{length}", "dev", "eth0")
        testbed._ip(name, "link", "set", "eth0", "up")
        testbed._ip(name, "route", "add", "default", "via", gateway)
        return name, address

    def memory(self):
        """Resident memory of the daemon in MiB: all, anonymous, of files."""
        with open(f"/proc/{self.process.pid}/smaps_rollup", encoding="ascii") as file:
            fields = dict(re.findall(r"^(\w+):\s+(\d+) kB", file.read(), re.M))
        total, anonymous = int(fields["Rss"]) / 1024, int(fields["Anonymous"]) / 1024
        return total, anonymous, total - anonymous

    def remove(self):
        """Kills the daemon and removes the namespaces, and with them all that the daemon made."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for name in [f"{self.namespace}-c", self.namespace]:
            if name in self.testbed.namespaces:
                run("ip", "netns", "del", name)
                self.testbed.namespaces.remove(name)
        subprocess.run(["ip", "-n", self.testbed.switch, "link", "del", f"v{self.number}"], stderr=subprocess.DEVNULL,
                       check=False)
        shutil.rmtree(self.directory, ignore_errors=True)
