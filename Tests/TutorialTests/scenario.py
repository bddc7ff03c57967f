"""The tutorial, step by step, with what its reader would look at after each."""
import concurrent.futures
import contextlib
import ipaddress
import json
import pathlib
import re
import time

from hosts import Failure

FILES = pathlib.Path(__file__).resolve().parent / "files"
CONFIG = (
    '{"NetWork":"10.0.0.0/16","SubnetMin": "10.0.1.0","SubnetMax": "10.0.20.0","Backend": {"Type": "vxlan"}}')


@contextlib.contextmanager
def reporting(hosts):
    """Has a failure show the ends of all logs."""
    try:
        yield
    except Failure as failure:
        for host in hosts:
            for service in ("flanneld", "docker", "etcd"):
                with contextlib.suppress(Exception):
                    print(f"--- {service} on {host.name}:\n{host.log(service)}")
        raise failure


class Tutorial:
    def __init__(self, hosts, api):
        self.hosts = hosts
        # The etcd API that the config is written with: 2, as in the tutorial's day, or 3.
        self.api = api
        self.started = time.monotonic()

    def step(self, text):
        print(f"  {time.monotonic() - self.started:5.0f} s  {text}", flush=True)

    def everywhere(self, body):
        """Runs the body for all hosts at once, and gives its results in their order."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            return list(pool.map(body, self.hosts))

    # The tutorial.

    def rules(self):
        self.step("the operator's rules: INPUT and FORWARD at DROP; ssh, etcd and the tunnel may come in")
        self.everywhere(lambda host: host.run((FILES / "rules.sh").read_text()))

    def registry(self):
        self.step("etcd, a member on each host, with the v2 API")
        self.everywhere(lambda host: host.service("start", "etcd"))
        first = self.hosts[0]
        health = first.until("both members are there", "ETCDCTL_API=2 etcdctl cluster-health", expected="is healthy")
        if health.count("got healthy result") != 2:
            raise Failure(f"the cluster has not two healthy members:\n{health}")
        verb = "set" if self.api == 2 else "put"
        self.step(f"etcdctl {verb} /coreos.com/network/config")
        first.run(f"ETCDCTL_API={self.api} etcdctl {verb} /coreos.com/network/config '{CONFIG}'")

    def network(self):
        self.step("flanneld, which is weftd")
        self.everywhere(lambda host: host.service("start", "flanneld"))
        self.check_leases()

    def docker(self):
        self.step("docker with $DOCKER_OPTS")
        self.everywhere(lambda host: host.service("start", "docker"))
        self.everywhere(self.check_bridge)
        self.everywhere(lambda host: host.run(
            """
            mkdir -p /srv/image/bin /srv/image/www/cgi-bin
            cp "$(command -v busybox)" /srv/image/bin/busybox
            chroot /srv/image /bin/busybox --install -s /bin
            printf '#!/bin/sh\\necho\\necho "$REMOTE_ADDR"\\n' >/srv/image/www/cgi-bin/who
            chmod 755 /srv/image/www/cgi-bin/who
            tar -C /srv/image -c . | docker import - busybox
            """, limit=300))

    def containers(self):
        self.step("a container on each host")
        self.everywhere(lambda host: host.start_container("web", "-p 8080:80"))

    # Looking at it.

    def check_leases(self):
        """Each host has a subnet between SubnetMin and SubnetMax, and etcd says whose it is."""
        for host in self.hosts:
            values = host.subnet_file()
            subnet = ipaddress.ip_interface(values["FLANNEL_SUBNET"]).network
            if values["FLANNEL_NETWORK"] != "10.0.0.0/16" or subnet.prefixlen != 24:
                raise Failure(f"{host.name}: the subnet file says {values}")
            if not ipaddress.ip_address("10.0.1.0") <= subnet.network_address <= ipaddress.ip_address("10.0.20.0"):
                raise Failure(f"{host.name} has {subnet}, which is not between SubnetMin and SubnetMax")
            if values["FLANNEL_MTU"] != "1450" or values["FLANNEL_IPMASQ"] != "true":
                raise Failure(f"{host.name}: the subnet file says {values}")
            key = f"/coreos.com/network/subnets/{str(subnet).replace('/', '-')}"
            get = f"ETCDCTL_API=2 etcdctl get {key}" if self.api == 2 else (
                f"ETCDCTL_API=3 etcdctl get --print-value-only {key}")
            lease = json.loads(host.run(get))
            if lease["PublicIP"] != host.address or lease["BackendType"] != "vxlan":
                raise Failure(f"{host.name}: the lease {key} is {lease}")
            self.check_device(host, lease)

    def check_device(self, host, lease):
        """flannel.1 has the MAC of the lease: whatever udev thinks of MAC addresses."""
        link = host.run("ip -d link show flannel.1")
        if lease["BackendData"]["VtepMAC"] not in link:
            raise Failure(f"{host.name}: the lease says {lease['BackendData']}, the device is {link}")

    def check_bridge(self, host):
        values = host.subnet_file()
        options = host.run("cat /run/flannel/docker_opts.env")
        wanted = f'DOCKER_OPTS=" --bip={values["FLANNEL_SUBNET"]} --ip-masq=false --mtu=1450"'
        if options != wanted:
            raise Failure(f"{host.name}: mk-docker-opts.sh made {options}, not {wanted}")
        addresses = host.run("ip -4 -o address show docker0")
        if f"inet {values['FLANNEL_SUBNET']} " not in addresses:
            raise Failure(f"{host.name}: docker0 has not {values['FLANNEL_SUBNET']}: {addresses}")

    def check_rules(self):
        """The policies are at DROP still, and the operator's rules stand as they were written."""
        for host in self.hosts:
            rules = host.run("iptables -S INPUT; iptables -S FORWARD")
            for line in ("-P INPUT DROP", "-P FORWARD DROP", "-A INPUT -p udp -m udp --dport 8472 -j ACCEPT"):
                if line not in rules.splitlines():
                    raise Failure(f"{host.name}: {line} is not there:\n{rules}")
            if len(re.findall("^-A INPUT", rules, re.M)) != 4:
                raise Failure(f"{host.name}: INPUT has not the operator's four rules:\n{rules}")

    def pairs(self):
        first, second = self.hosts
        return ((first, second), (second, first))

    def both_ways(self, body):
        """Runs the body for each host and the other one, both at once."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda pair: body(*pair), self.pairs()))

    def check_talk(self, name="web"):
        """Containers of two hosts reach each other by their own addresses, unmasqueraded, both ways."""
        self.step(f"the containers {name} reach each other: ping, TCP, full-sized; each is seen by its own address")

        def talk(host, other):
            own, remote = host.container_address(name), other.container_address(name)
            answer = host.in_container(name, f"ping -c 3 -W 10 {remote}")
            if " 0% packet loss" not in answer:
                raise Failure(f"{host.name}: {own} pings {remote}:\n{answer}")
            self.check_seen(host, f"docker exec {name} timeout 20 wget -qO- http://{remote}/cgi-bin/who", own)
            # A full-sized packet, one that may not be cut.
            pid = host.run("docker inspect -f '{{.State.Pid}}' " + name)
            host.run(f"nsenter -t {pid} -n ping -c 1 -W 20 -M do -s {1450 - 28} {remote}")

        self.both_ways(talk)

    def check_seen(self, host, command, address):
        seen = host.until(command, command, limit=20)
        if seen.strip("[]").removeprefix("::ffff:") != address:
            raise Failure(f"{host.name}: {command}: the other side saw {seen}, not {address}")

    def check_edges(self):
        """What crosses the overlay's edge: masqueraded on the way out; published ports and hosts on the way in."""
        self.step("container → host: masqueraded; host → container: by its own address and by a published port")
        # Port 5000 is one that the operator's rules don't let in.
        self.everywhere(lambda host: host.run("for port in 22 5000; do busybox httpd -p $port -h /srv/image/www; done"))

        def cross(host, other):
            self.check_seen(
                host, f"docker exec web timeout 20 wget -qO- http://{other.address}:22/cgi-bin/who", host.address)
            host.until("published port", f"timeout 20 busybox wget -qO- http://{other.address}:8080/cgi-bin/who")
            host.until("host to container", f"ping -c 1 -W 5 {other.container_address('web')}")
            closed = f"timeout {2 * host.slowness} busybox wget -qO- http://{other.address}:5000/cgi-bin/who"
            if host.attempt(closed)[0] == 0:
                raise Failure(f"{other.name} answers what its INPUT rules drop")

        self.both_ways(cross)

    # What happens to it.

    def restart_network(self):
        self.step("flanneld restarts while containers ping: nothing is lost, the subnet stays")
        for host, other in self.pairs():
            before = host.subnet_file()
            with host.pinging("web", other.container_address("web")):
                host.service("restart", "flanneld")
            if host.subnet_file() != before:
                raise Failure(f"{host.name} had {before} and has {host.subnet_file()} after a restart")
        self.check_leases()

    def restart_docker(self):
        self.step("docker restarts, and writes its rules anew")
        self.everywhere(lambda host: host.service("restart", "docker"))
        self.everywhere(self.check_bridge)
        self.everywhere(lambda host: host.run("docker start web", limit=120))
        self.check_talk()

    def delete_device(self):
        self.step("flannel.1 is deleted, and comes back")
        for host in self.hosts:
            host.run("ip link delete flannel.1")
        for host, other in self.pairs():
            host.until("the route is back", "ip route show dev flannel.1", expected=" via 10.0.")
        self.check_leases()
        self.everywhere(lambda host: host.start_container("late"))
        self.check_talk("late")
        self.check_talk()

    def check_logs(self):
        """weftd has nothing to complain of."""
        for host in self.hosts:
            complaints = host.complaints()
            if complaints:
                raise Failure(f"{host.name}: weftd logs warnings or errors:\n{complaints}")
