"""The parts of the test, each on a host of its own."""
import json

from ground import Failure


def confined():
    try:
        with open("/sys/kernel/security/apparmor/profiles", encoding="utf-8") as profiles:
            return profiles.read()
    except OSError:
        return ""


def start_docker(ground):
    directory = ground.directory
    ground.run("mkdir -p /etc/docker; mount -t tmpfs tmpfs /etc/docker")
    ground.start("dockerd", f"dockerd --data-root={directory}/docker --exec-root=/run/docker-exec "
                 "--storage-driver=vfs --exec-opt=native.cgroupdriver=cgroupfs "
                 f"--cgroup-parent={ground.group} --iptables=false --ip6tables=false --bip=172.30.9.1/24",
                 "docker version")
    ground.run("mkdir -p /srv/root/bin; cp $(command -v busybox) /srv/root/bin/; "
               "for name in sh sleep ping httpd ip; do ln -s busybox /srv/root/bin/$name; done; "
               "tar -C /srv/root -c . | docker import - busybox")


def docker_run(ground, name):
    return ground.run(f"docker run -d --name {name} busybox sleep 100000")


def inside(ground, name, command):
    """In the container's network, with the host's programs."""
    return ground.run(f"nsenter -t $(docker inspect -f '{{{{.State.Pid}}}}' {name}) -n {command}")


def docker(ground):
    """pipework's README, called as pipework."""
    start_docker(ground)
    apache, mysql = docker_run(ground, "apache"), docker_run(ground, "mysql")
    ground.run("ip link add eth2 type veth peer name cable; ip link set cable up; ip link set eth2 up")
    before = ground.state()

    # Two tiers on a private network, peeked into from the host.
    ground.run(f"pipework br1 {apache} 192.168.1.1/24")
    ground.run(f"pipework br1 {mysql} 192.168.1.2/24")
    inside(ground, "apache", "ping -qc1 -W5 192.168.1.2")
    ground.run("ip addr add 192.168.1.254/24 dev br1; ping -qc1 -W5 192.168.1.1; ip addr del 192.168.1.254/24 dev br1")
    # By name, with names for both ends, another netmask, and a gateway.
    ground.run("pipework br1 -i eth2 -l hostapp1 apache 192.168.4.25/20@192.168.4.1")
    ground.run("ip link show hostapp1 | grep -q 'master br1'")
    routes = inside(ground, "apache", "ip route show default")
    if routes != "default via 192.168.4.1 dev eth2":
        raise Failure(f"default route: {routes}")
    ground.refused("pipework br1 -i eth2 apache 192.168.4.26/20", "eth2 already")
    # A physical interface, a MAC, no address; by its MAC.
    ground.run("pipework eth2 -i mv0 mysql 192.168.7.2/24 26:2e:71:98:60:8f")
    inside(ground, "mysql", "ip link show mv0 | grep -q 26:2e:71:98:60:8f")
    ground.run("pipework --direct-phys mac:$(ip -o link show cable | sed 's/.*ether //; s/ .*//') -i container0 apache 0/0")
    inside(ground, "apache", "ip link show container0")
    ground.refused("pipework --direct-phys cable -i container1 apache 0/0", "no interface cable")
    # Commands in the container, as they are.
    ground.run("pipework route mysql add 10.0.5.0/24 via 192.168.1.1")
    inside(ground, "mysql", "ip route show 10.0.5.0/24 | grep -q 192.168.1.1")
    ground.run("pipework rule mysql add from 172.19.0.2/32 table 1")
    inside(ground, "mysql", "ip rule show | grep -q 172.19.0.2")
    ground.run("pipework tc mysql qdisc add dev eth0 root tbf rate 1mbit burst 32kbit latency 400ms")
    inside(ground, "mysql", "tc qdisc show dev eth0 | grep -q tbf")
    # In the container one waits until it is there.
    inside(ground, "apache", "/srv/pipework --wait -i eth1")
    ground.refused("pipework ib0 apache 10.10.10.10/24 @8001", "InfiniBand")
    ground.refused("pipework br1 nobody 10.0.0.1/24", "no container nobody")
    ground.refused("pipework br1 apache 10.0.0.1", "10.0.0.1/24")

    listed = json.loads(ground.run("weft attach --list --json"))
    if len(listed) != 5 or {each["state"] for each in listed} != {"attached"}:
        raise Failure(f"listed: {listed}")
    # What a container's end takes along, with nobody's help.
    ground.run("docker kill mysql")
    ground.until("mysql's interfaces are gone", "weft attach --list", r"(?s)\A(?!.*mysql).*\Z")
    ground.run("weft detach apache")
    ground.same(before)
    if ground.run("weft attach --list --json") != "[\n\n]":
        raise Failure(ground.run("weft attach --list --json"))
    routes = inside(ground, "apache", "ip route show default")
    if "172.30.9.1" not in routes:
        raise Failure(f"the old default route is not back: {routes}")

    # One that is kept comes back with the container, also with a new one of its name, until it is detached.
    ground.run("weft attach --keep br1 apache 192.168.1.1/24")
    for restart in ("docker restart -t 0 apache", "docker rm -f apache; docker run -d --name apache busybox sleep 100000"):
        ground.run(restart)
        ground.until("it is attached again", "nsenter -t $(docker inspect -f '{{.State.Pid}}' apache) -n ip addr show eth1",
                     "192.168.1.1/24")
    # The engine goes and comes; a watcher that is killed is not missed by the next command.
    other = ground.container("other")
    ground.refused(f"weft attach --keep br1 pid:{other} 0/0", "--keep cannot follow")
    ground.run("kill -9 $(pgrep -f '[a]ttach --watch'); docker kill apache; "
               f"weft attach --no-watch br1 pid:{other} 0/0; weft detach pid:{other}")
    ground.run("weft detach apache")
    ground.same(before)


def containerd(ground):
    ground.run("mkdir -p /srv/root/bin; cp $(command -v busybox) /srv/root/bin/; ln -s busybox /srv/root/bin/sleep")
    ground.run("mkdir -p /srv/containerd /run/containerd")
    ground.start("containerd", f"containerd --root {ground.directory}/containerd --state /run/containerd/state",
                 "ctr version")
    for name in ("web1-abcdef", "web2-abcdef"):
        ground.run(f"ctr run --detach --rootfs --cgroup {ground.group}/{name} {ground.directory}/root {name} "
                   "/bin/sleep 100000")
    before = ground.state()
    ground.run("weft attach br5 containerd:web1-abcdef 10.9.0.1/24; weft attach br5 web2 10.9.0.2/24")
    ground.run("nsenter -t $(ctr tasks ls | awk '$1 == \"web1-abcdef\" {print $2}') -n ping -qc1 -W5 10.9.0.2")
    ground.refused("weft attach br5 web 10.9.0.3/24", "no container web")
    ground.refused("weft attach br5 containerd:nobody 10.9.0.3/24", "no container containerd:nobody")
    ground.run("ctr tasks kill --signal KILL web1-abcdef; ctr tasks kill --signal KILL web2-abcdef")
    ground.same(before)


def dhcp(ground):
    """Each client that is installed, against a real server; the lease is renewed and ends with the container."""
    before = ground.state()
    ground.run("ip netns add blue; ip netns exec blue ip link set lo up; weft attach br5 -l sv netns:blue 10.9.0.1/24")
    ground.run("mkdir -p /srv/dhcp; : >/srv/dhcp/leases; printf '%s\\n' 'start 10.9.0.100' 'end 10.9.0.200' "
               "'interface eth1' 'lease_file /srv/dhcp/leases' 'pidfile /srv/dhcp/pid' 'option subnet 255.255.255.0' "
               "'option router 10.9.0.1' 'option lease 120' 'min_lease 5' >/srv/dhcp/conf")
    ground.start("udhcpd", "ip netns exec blue busybox udhcpd -f /srv/dhcp/conf", "test -e /srv/dhcp/pid")
    for client in ("dhcp", "udhcpc", "dhclient-f", "dhcpcd"):
        program = {"dhcp": "busybox", "dhclient-f": "dhclient"}.get(client, client)
        if ground.attempt(f"command -v {program}")[0] != 0:
            print(f"attach, dhcp: {client}: skipped, not installed")
            continue
        if program == "dhclient" and "dhclient" in confined():
            print("attach, dhcp: dhclient: skipped, AppArmor lets it run its own scripts alone")
            continue
        process = ground.container(client)
        ground.run(f"pipework br5 pid:{process} {client} U:{client}", limit=150)
        address = ground.run(f"nsenter -t {process} -n ip -o -4 addr show eth1")
        if "10.9.0.1" not in address:
            raise Failure(f"{client}: {address}")
        routes = ground.run(f"nsenter -t {process} -n ip route show default")
        if "via 10.9.0.1 dev eth1" not in routes:
            raise Failure(f"{client}: {routes}")
        if client == "udhcpc":
            # One that dies is started again, and the address is there again.
            ground.run("kill -9 $(pgrep -f '[u]dhcpc.*-i eth1')")
            ground.until("the client runs again", "weft attach --list; cat /run/weft/attach/watcher.log",
                         "DHCP client had ended and runs again")
        ground.run(f"kill -9 {process}")
        ground.until(f"{client} ends with its container",
                     "for f in /proc/[0-9]*; do tr '\\0' ' ' <$f/cmdline 2>/dev/null | "
                     "grep -E '^([^ ]*/)?(busybox udhcpc|udhcpc|dhclient|dhcpcd)' && exit 1; done; true")
    if "/etc/resolv.conf" in ground.run("find /etc -newer /srv/dhcp/conf -name resolv.conf"):
        raise Failure("a DHCP client wrote the host's resolv.conf")
    # Nobody answers: nothing is left.
    process = ground.container("alone")
    ground.refused(f"weft attach br6 pid:{process} dhcp", "no DHCP server answered")
    ground.run("ip netns del blue")
    ground.same(before)


def openvswitch(ground):
    ground.run("mkdir -p /srv/ovs; ovsdb-tool create /srv/ovs/conf.db /usr/share/openvswitch/vswitch.ovsschema")
    ground.start("ovsdb-server", "ovsdb-server /srv/ovs/conf.db --remote=punix:/run/openvswitch/db.sock "
                 "--unixctl=/run/openvswitch/ovsdb.ctl", "ovs-vsctl --no-wait --timeout=2 init")
    ground.start("ovs-vswitchd", "ovs-vswitchd unix:/run/openvswitch/db.sock --disable-system "
                 "--unixctl=/run/openvswitch/vswitchd.ctl", "ovs-appctl -t /run/openvswitch/vswitchd.ctl version")
    ground.run("ovs-vsctl --timeout=10 add-br ovsbr0 -- set Bridge ovsbr0 datapath_type=netdev")
    before = ground.state()
    first, second, third = (ground.container(name) for name in ("one", "two", "three"))
    ground.run(f"pipework ovsbr0 pid:{first} 192.168.1.1/24 @10; pipework ovsbr0 pid:{second} 192.168.1.2/24 @10; "
               f"pipework ovsbr0 pid:{third} 192.168.1.3/24 @20")
    port = json.loads(ground.run("weft attach --list --json"))[0]["hostInterface"]
    if ground.run(f"ovs-vsctl get Port {port} tag") not in ("10", "20"):
        raise Failure("the port has no tag")
    ground.run(f"nsenter -t {first} -n ping -qc1 -W5 192.168.1.2")
    if ground.attempt(f"nsenter -t {first} -n ping -qc1 -W1 192.168.1.3")[0] == 0:
        raise Failure("another VLAN answers")
    # A port outlives its interface in Open vSwitch's database, unless somebody takes it out.
    ground.run(f"kill -9 {first}")
    ground.until("the ended container's port is gone", "ovs-vsctl list-ports ovsbr0 | wc -l", "^2$")
    ground.run(f"weft detach pid:{second}; kill -9 {third}")
    ground.until("all ports are gone", "ovs-vsctl list-ports ovsbr0 | wc -l", "^0$")
    ground.same(before)
    # A switch that is made goes with its last port.
    process = ground.container("four")
    ground.run(f"pipework ovs7 pid:{process} 192.168.1.1/24; ovs-vsctl br-exists ovs7")
    ground.run(f"weft detach pid:{process}")
    if ground.run("ovs-vsctl list-br") != "ovsbr0":
        raise Failure(ground.run("ovs-vsctl show"))


def storm(ground):
    """Many at once, and commands that are killed anywhere: nothing is lost, nothing is left."""
    before = ground.state()
    ground.run("weft attach --list")
    processes = " ".join(ground.container(str(number)) for number in range(20))
    ground.run(f"for p in {processes}; do pipework br1 pid:$p 10.0.0.1/24 & done; wait")
    if ground.run("ip -o link show master br1 | wc -l") != "20":
        raise Failure(ground.run("weft attach --list; ip -o link show master br1"))
    ground.run(f"kill -9 {processes}")
    ground.same(before)
    ground.until("the watcher ends with the last attachment", "! pgrep -f '[a]ttach --watch'")
    for hundredths in range(2, 30, 2):
        process = ground.container("killed")
        ground.attempt(f"timeout -s KILL 0.{hundredths:02} pipework br1 pid:{process} 10.0.0.1/24@10.0.0.254")
        ground.run(f"kill -9 {process}")
    # The next command finds what they left.
    process = ground.container("next")
    ground.run(f"pipework br2 pid:{process} 0/0; weft detach pid:{process}")
    ground.same(before)
    if ground.run("find /var/lib/weft/attachments -name '*.json*'"):
        raise Failure(ground.run("weft attach --list; ls /var/lib/weft/attachments"))


COMMON = ("ip", "nsenter", "unshare", "setpriv", "ping", "busybox")
ALL = {
    "docker": (COMMON + ("dockerd", "docker", "tc"), docker),
    "containerd": (COMMON + ("containerd", "ctr", "runc"), containerd),
    "dhcp": (COMMON, dhcp),
    "storm": (COMMON + ("pgrep", "timeout"), storm),
    "openvswitch": (COMMON + ("ovs-vsctl", "ovs-vswitchd", "ovsdb-tool"), openvswitch),
}
