"""Hosts as virtual machines with systemd as their first process, emulated: no KVM is needed, nor used."""
import base64
import contextlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import scenario
from hosts import Failure, Host

ROOT = pathlib.Path(__file__).resolve().parents[2]
IMAGE = pathlib.Path(__file__).resolve().parent / "machine/image.sh"
OUT = ROOT / ".build/tutorial"


class Machine(Host):
    slowness = 5

    def __init__(self, number, directory, cable, processors=1):
        super().__init__(f"host{number}", f"172.30.0.{10 + number}")
        self.directory = directory
        self.socket_path = f"{directory}/{self.name}.console"
        self.serial_path = f"{directory}/{self.name}.serial"
        self.requests = 0
        self.lock = threading.Lock()
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-accel", "tcg", "-m", "1024", "-smp", str(processors),
             "-nodefaults", "-no-user-config", "-display", "none", "-kernel", str(OUT / "vmlinuz"),
             "-initrd", str(OUT / "initrd"),
             "-append", f"console=ttyS0 quiet loglevel=4 systemd.hostname={self.name} systemd.show_status=error "
                        "apparmor=0 mitigations=off",
             "-drive", f"file={OUT}/root.ext4,format=raw,if=virtio,snapshot=on",
             "-serial", f"file:{self.serial_path}",
             "-chardev", f"socket,id=console,path={self.socket_path},server=on,wait=off", "-serial", "chardev:console",
             "-netdev", f"socket,id=cable,{cable}",
             "-device", f"virtio-net-pci,netdev=cable,addr=3,mac=52:54:00:00:00:{10 + number}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.console = None

    def connect(self):
        """Waits for the machine's console to answer."""
        end = time.monotonic() + 180
        while self.console is None:
            if self.process.poll() is not None:
                raise Failure(f"{self.name}: qemu ends with {self.process.returncode}: {self.process.stdout.read()}")
            try:
                connection = socket.socket(socket.AF_UNIX)
                connection.connect(self.socket_path)
                connection.settimeout(1)
                self.console = connection
            except OSError:
                time.sleep(0.1)
        self.received = b""
        while time.monotonic() < end:
            try:
                if self.attempt("true", limit=5)[0] == 0:
                    return
            except Failure:
                pass
        raise Failure(f"{self.name} does not boot; its serial line ends with:\n{self.serial()}")

    def serial(self):
        return "\n".join(pathlib.Path(self.serial_path).read_text(errors="replace").splitlines()[-30:])

    def attempt(self, script, limit=60):
        with self.lock:
            self.requests += 1
            number = str(self.requests).encode()
            self.console.sendall(number + b" " + base64.b64encode(script.encode()) + b"\n")
            end = time.monotonic() + limit * self.slowness
            while time.monotonic() < end:
                while b"\n" in self.received:
                    line, self.received = self.received.split(b"\n", 1)
                    words = line.split()
                    if len(words) >= 3 and words[:2] == [b"=", number]:
                        output = base64.b64decode(words[3]) if len(words) > 3 else b""
                        return int(words[2]), output.decode(errors="replace")
                with contextlib.suppress(TimeoutError):
                    self.received += self.console.recv(1 << 16)
        raise Failure(f"{self.name}: not done within {limit * self.slowness} s: {script}")

    def service(self, action, *names):
        for name in names:
            status, output = self.attempt(f"systemctl {action} {name}", limit=60)
            if status != 0:
                raise Failure(f"{self.name}: systemctl {action} {name}: {output}\n{self.log(name)}")

    def log(self, service):
        return self.attempt(f"journalctl -q --no-pager -o short-monotonic -n 20 -u {service}")[1]

    def complaints(self):
        return self.run("journalctl -q --no-pager -p warning -u flanneld -u weftd")

    def reboot(self):
        boot = self.run("cat /proc/sys/kernel/random/boot_id")
        self.run("systemd-run -q --on-active=1 systemctl reboot")
        end = time.monotonic() + 240
        while time.monotonic() < end:
            with contextlib.suppress(Failure):
                if self.attempt("cat /proc/sys/kernel/random/boot_id", limit=2)[1].strip() not in ("", boot):
                    return
        raise Failure(f"{self.name} does not boot again; its serial line ends with:\n{self.serial()}")

    def close(self):
        self.process.kill()
        self.process.wait()


def prepare():
    """Makes the base system, unless it is there and newer than its recipe."""
    complete = OUT / "complete"
    recipes = [IMAGE, *(path for path in (IMAGE.parent / "root").rglob("*") if path.is_file())]
    if complete.exists() and all(path.stat().st_mtime < complete.stat().st_mtime for path in recipes):
        return
    if subprocess.run([IMAGE, "base", OUT], check=False).returncode != 0:
        raise Failure("the machines' system cannot be made; the reason is above")


def make_disk(daemon, release, more=None):
    """A disk with a release tree in /root/weft: the given one, or one that is made of the debug build. `more` is called
    with a folder that is laid over the root."""
    with tempfile.TemporaryDirectory() as directory:
        libraries = pathlib.Path(directory, "libraries")
        libraries.mkdir()
        if more:
            more(libraries)
        if release is None:
            release = pathlib.Path(directory, "release")
            debug_release(daemon, release, libraries)
        if subprocess.run([IMAGE, "disk", OUT, release, libraries], check=False).returncode != 0:
            raise Failure("the machines' disk cannot be made; the reason is above")


def debug_release(daemon, release, libraries):
    """A tree as `make release` makes it, of programs that take the Swift runtime from `libraries`."""
    shutil.copytree(ROOT / "Packaging", release)
    shutil.copytree(ROOT / "docs", release / "docs")
    for program, source in (("weftd", daemon), ("weft", ROOT / ".build/debug/weft")):
        subprocess.run(["strip", "-o", release / program, source], check=True)
        needed = subprocess.run(["ldd", source], stdout=subprocess.PIPE, text=True, check=False).stdout
        for library in re.findall(r"=> (/\S*/lib/swift/\S+\.so)", needed):
            place = libraries / library[1:]
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, place)


@contextlib.contextmanager
def hosts():
    """Two machines on one cable."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = []
    with tempfile.TemporaryDirectory() as directory:
        try:
            made.append(Machine(1, directory, f"listen=127.0.0.1:{port}"))
            time.sleep(1)
            made.append(Machine(2, directory, f"connect=127.0.0.1:{port}"))
            for host in made:
                host.connect()
                host.interface = host.until(
                    "the uplink has its address", f"ip -o -4 address show to {host.address} | awk '{{print $2}}'",
                    expected=r"\w", limit=10)
            yield made
        finally:
            for host in made:
                host.close()


def run(daemon, api, release=None):
    prepare()
    make_disk(daemon, release)
    with hosts() as made, scenario.reporting(made):
        tutorial = scenario.Tutorial(made, api)
        machine = MachineSteps(tutorial)
        machine.install()
        tutorial.registry()
        tutorial.network()
        machine.check_order()
        tutorial.docker()
        tutorial.containers()
        tutorial.check_talk()
        tutorial.check_edges()
        tutorial.restart_network()
        machine.restart_networkd()
        tutorial.delete_device()
        tutorial.check_rules()
        tutorial.check_logs()
        machine.reboot()
        machine.use_packaged_unit()
        tutorial.check_rules()


class MachineSteps:
    """What only a machine with systemd has."""

    def __init__(self, tutorial):
        self.tutorial = tutorial
        self.hosts = tutorial.hosts

    def install(self):
        self.tutorial.step("the machines are up: install.sh, the tutorial's units, the operator's rules")
        self.tutorial.everywhere(self.install_one)

    def install_one(self, host):
        files = scenario.FILES
        failed = host.run("systemctl --failed --no-legend")
        if failed:
            raise Failure(f"{host.name}: units have failed before anything was done: {failed}")
        host.run("cd /root/weft && ./install.sh && udevadm control --reload")
        host.put("/etc/systemd/system/flanneld.service",
                 (files / "flanneld.service").read_text().replace("INTERFACE", host.interface))
        host.put("/etc/systemd/system/docker.service.d/flannel.conf", (files / "docker-flannel.conf").read_text())
        host.put("/etc/systemd/system/operator-rules.service", (files / "operator-rules.service").read_text())
        host.put("/usr/local/etc/rules.sh", (files / "rules.sh").read_text())
        host.put("/etc/systemd/system/etcd.service.d/network.conf", (files / "etcd-network.conf").read_text())
        etcd = (files / "etcd.env").read_text().replace("HOST", host.name).replace("ADDRESS", host.address)
        host.run(f"cat >>/etc/default/etcd <<'END'\n{etcd}END\n")
        host.run("systemctl -q daemon-reload; systemctl -q enable operator-rules etcd flanneld docker", limit=60)
        host.service("start", "operator-rules")

    def check_order(self):
        """`systemctl start flanneld` came back when the lease was there, and docker is not started before that."""
        for host in self.hosts:
            shown = host.run("systemctl show flanneld -p ActiveState -p Type -p StatusText -p Before")
            for wanted in ("ActiveState=active", "Type=notify", "docker.service"):
                if wanted not in shown:
                    raise Failure(f"{host.name}: flanneld is not as the unit says: {shown}")
            if host.attempt("systemctl is-active docker")[0] == 0:
                raise Failure(f"{host.name}: docker runs before flanneld")

    def restart_networkd(self):
        self.tutorial.step("systemd-networkd restarts, udev looks again at flannel.1: nothing is lost")
        for host, other in self.tutorial.pairs():
            with host.pinging("web", other.container_address("web")):
                host.run("systemctl restart systemd-networkd; udevadm trigger -c add /sys/class/net/flannel.1")
                host.run("udevadm settle")
            state = host.run("networkctl list flannel.1 --no-legend")
            if "unmanaged" not in state:
                raise Failure(f"{host.name}: systemd-networkd has taken flannel.1: {state}")
        self.tutorial.check_leases()

    def reboot(self):
        first, second = self.hosts
        self.tutorial.step("host2 boots anew: same subnet, all comes up by itself, docker after flanneld")
        before = second.subnet_file()
        second.run("docker update --restart always web")
        second.reboot()
        second.until("docker runs again", "systemctl is-active docker", expected="^active", limit=60)
        second.until("the container runs again", "docker inspect -f '{{.State.Running}}' web", expected="true")
        if second.subnet_file() != before:
            raise Failure(f"{second.name} had {before} and has {second.subnet_file()} after a boot")
        self.tutorial.check_leases()
        self.tutorial.check_bridge(second)
        order = second.run(
            "systemctl show -P ActiveEnterTimestampMonotonic flanneld; "
            "systemctl show -P ExecMainStartTimestampMonotonic docker").split()
        if int(order[0]) > int(order[1]):
            raise Failure(f"{second.name}: docker was started before flanneld was ready")
        failed = second.run("systemctl --failed --no-legend")
        if failed:
            raise Failure(f"{second.name}: units have failed: {failed}")
        self.tutorial.check_talk()
        self.tutorial.check_rules()

    def use_packaged_unit(self):
        self.tutorial.step("the packaged, hardened unit takes flanneld's place while containers ping: nothing is lost")
        for host, other in self.tutorial.pairs():
            host.put("/etc/weft/weftd.env", "FLANNELD_ETCD_ENDPOINTS=http://172.30.0.11:2379,http://172.30.0.12:2379\n"
                     f"FLANNELD_IFACE={host.interface}\nFLANNELD_IP_MASQ=true\n"
                     "FLANNELD_HEALTHZ_IP=127.0.0.1\nFLANNELD_HEALTHZ_PORT=10244\n", mode="600")
            host.until(
                "weftd --check", "systemd-run -q --pipe --wait -p EnvironmentFile=/etc/weft/weftd.env "
                "sh -c 'exec weftd --check $WEFTD_OPTIONS' 2>&1", expected="weftd would start")
            # Else the next start of Docker wants flanneld back, and that stops weftd.
            host.run("rm /etc/systemd/system/docker.service.d/flannel.conf; cd /root/weft; ./install.sh --docker")
            host.run("systemctl daemon-reload", limit=60)
            since = host.run("date +@%s")
            with host.pinging("web", other.container_address("web")):
                host.run("systemctl -q disable --now flanneld; systemctl -q enable --now weftd", limit=60)
                host.until("ready", "busybox wget -qO- http://127.0.0.1:10244/readyz")
            complaints = host.run(f"journalctl -q --no-pager -p warning --since {since} -u weftd")
            if complaints:
                raise Failure(f"{host.name}: weftd.service logs warnings or errors:\n{complaints}")
            # What its sandbox could keep it from.
            host.run("ip link delete flannel.1; iptables -F FLANNEL-FWD")
            host.until("the route is back", "ip route show dev flannel.1", expected=" via 10.0.")
            host.until("the rules are back", "iptables -S FLANNEL-FWD", expected="-A FLANNEL-FWD")
        self.tutorial.check_leases()
        self.tutorial.step("Docker with the packaged drop-in")
        self.tutorial.everywhere(self.use_packaged_drop_in)
        self.tutorial.check_talk()

    def use_packaged_drop_in(self, host):
        # Twice, since options must not add up.
        host.run("systemctl restart docker; systemctl restart docker; docker start web", limit=240)
        states = host.attempt("systemctl is-active weftd flanneld")[1].split()
        if states != ["active", "inactive"]:
            raise Failure(f"{host.name}: after a restart of docker, weftd and flanneld are {states}")
        options = host.run("cat /run/flannel/docker.env")
        if options.count("--bip") != 1:
            raise Failure(f"{host.name}: dockerd's options are {options}")
        self.tutorial.check_bridge(host)
