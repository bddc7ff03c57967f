"""What the tutorial's steps need of a host, be it a network namespace or a virtual machine."""
import contextlib
import re
import shlex
import time


class Failure(Exception):
    """A step that did not come out as it must; the text says what was expected and what was found."""


class Host:
    """A host with an uplink in 172.30.0.0/24. A subclass says how a script runs on it and what a service is."""

    # How much slower than a real machine it may be.
    slowness = 1

    def __init__(self, name, address):
        self.name = name
        self.address = address
        self.interface = "eth0"

    def attempt(self, script, limit=60):
        """Runs a shell script: its exit status, and what it printed on either output."""
        raise NotImplementedError

    def service(self, action, *names):
        """Starts, stops or restarts services, and waits until they say that they are ready."""
        raise NotImplementedError

    def log(self, service):
        """The end of what the service has logged."""
        raise NotImplementedError

    def complaints(self):
        """Warnings and errors of the network daemon."""
        raise NotImplementedError

    def run(self, script, limit=60):
        status, output = self.attempt(script, limit)
        if status != 0:
            raise Failure(f"{self.name}: status {status} of: {script}\n{output}")
        return output.strip()

    def until(self, what, script, limit=30, expected=None):
        """Repeats a script until it succeeds, and where `expected` is a pattern prints what matches it."""
        end = time.monotonic() + limit * self.slowness
        while True:
            status, output = self.attempt(script)
            if status == 0 and (expected is None or re.search(expected, output)):
                return output.strip()
            if time.monotonic() > end:
                wanted = f", not {expected!r}" if expected else ""
                raise Failure(f"{self.name}: {what}: status {status}{wanted} of: {script}\n{output}")
            time.sleep(0.2 * self.slowness)

    def put(self, path, text, mode="644"):
        folder = path.rsplit("/", 1)[0]
        self.run(f"mkdir -p {folder}; printf %s {shlex.quote(text)} >{path}; chmod {mode} {path}")

    # The subnet and the containers.

    def subnet_file(self):
        text = self.run("cat /run/flannel/subnet.env")
        return dict(line.split("=", 1) for line in text.splitlines())

    def start_container(self, name, options=""):
        # As a first process httpd takes no notice of SIGTERM, and docker would wait ten seconds for it.
        self.run(f"docker run -d --name {name} --hostname {name} --stop-signal KILL {options} busybox "
                 "httpd -f -p 80 -h /www", limit=120)
        return self.container_address(name)

    def container_address(self, name):
        return self.run("docker inspect -f '{{.NetworkSettings.IPAddress}}' " + name)

    def in_container(self, name, command):
        """The command's output, run in the container's own namespaces."""
        return self.run(f"docker exec {name} {command}", limit=120)

    @contextlib.contextmanager
    def pinging(self, name, address):
        """Pings from a container many times a second, from before the body to after it; fails on a single loss."""
        file = f"/srv/ping-{name}"
        self.run(f"""
            pid=$(docker inspect -f '{{{{.State.Pid}}}}' {name})
            nsenter -t $pid -n ping -n -i {0.01 * self.slowness} {address} >{file} 2>&1 &
            echo $! >{file}.pid
            """)
        self.until(f"{name} pings {address}", f"grep -q 'icmp_seq=5 ' {file}")
        yield
        last = max(answered(self.run(f"cat {file}")))
        self.until(f"{name} still pings {address}", f"grep -q 'icmp_seq={last + 20} ' {file}")
        self.run(f"kill $(cat {file}.pid)")
        seen = answered(self.run(f"cat {file}"))
        # Those after the last that was answered may have been under way.
        missing = sorted(set(range(1, max(seen))) - seen)
        if missing:
            raise Failure(f"{self.name}: of {max(seen)} pings from {name} to {address} these were lost: {missing}")


def answered(output):
    """The numbers of the pings that were answered."""
    return {int(number) for number in re.findall(r"bytes from .*icmp_seq=(\d+) ", output)}
