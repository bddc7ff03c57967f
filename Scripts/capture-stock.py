#!/usr/bin/env python3
"""Records what a stock flanneld writes: Tests/Fixtures/Stock.

    sudo Scripts/capture-stock.py v0.20.2 /path/to/flanneld
    sudo Scripts/capture-stock.py v0.11.0 /path/to/flanneld11

For each case two hosts (network namespaces) run the daemon with an etcd of their own. Kept are the keys and values in
etcd, the subnet files, and for the backends in KERNEL commands that put the first host's kernel state into another
namespace. v0.11 speaks etcd's v2 API, later versions v3. Cases whose backend the running kernel lacks are left out
(here wireguard and ipip, and ipsec, which needs strongSwan).
"""
import json, os, shlex, shutil, subprocess, sys, tempfile, time, urllib.parse, urllib.request

VERSION, DAEMON = sys.argv[1:3]
V2 = VERSION.startswith("v0.11")
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Tests", "Fixtures", "Stock", VERSION)
NAME = f"stock-{os.getpid()}"
SWITCH = f"{NAME}-sw"
HOSTS = [f"{NAME}-1", f"{NAME}-2"]
PREFIX = "/coreos.com/network"
ETCD = "172.30.0.1"

CASES = [  # name, config, flags, reserved key of host 1
    ("vxlan", '{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}', ["--ip-masq"], None),
    ("vxlan-options", '{"Network":"10.5.0.0/16","SubnetLen":26,"SubnetMin":"10.5.8.0","SubnetMax":"10.5.9.192",'
        '"Backend":{"Type":"vxlan","VNI":42,"Port":4789,"GBP":false}}', [], None),
    ("vxlan-directrouting", '{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan","DirectRouting":true}}',
        ["--ip-masq"], None),
    ("vxlan-public-ip", '{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}', ["--public-ip=203.0.113.7"], None),
    ("vxlan-reservation", '{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}', [], "10.5.77.0-24"),
    ("tutorial", '{"NetWork":"10.0.0.0/16","SubnetMin": "10.0.1.0","SubnetMax": "10.0.20.0",'
        '"Backend": {"Type": "vxlan"}}', ["--ip-masq"], None),
    ("host-gw", '{"Network":"10.5.0.0/16","Backend":{"Type":"host-gw"}}', ["--ip-masq"], None),
    ("udp", '{"Network":"10.5.0.0/16","Backend":{"Type":"udp"}}', ["--ip-masq"], None),
    ("udp-default", '{"Network":"10.0.0.0/8","SubnetLen":20,"SubnetMin":"10.10.0.0","SubnetMax":"10.99.0.0",'
        '"Backend":{"Type":"udp","Port":7890}}', [], None),
    ("alloc", '{"Network":"10.5.0.0/16","Backend":{"Type":"alloc"}}', [], None),
    ("extension", '{"Network":"10.50.0.0/16","Backend":{"Type":"extension",'
        '"PreStartupCommand":"echo \\"a <b> & c\\"",'
        '"SubnetAddCommand":"ip route add $SUBNET via $PUBLIC_IP"}}', [], None),
]
if not V2:
    six = '"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:10:5::/48",'
    CASES += [
        ("vxlan-dualstack", "{" + six + '"Backend":{"Type":"vxlan"}}', ["--ip-masq"], None),
        ("host-gw-dualstack", "{" + six + '"Backend":{"Type":"host-gw"}}', ["--ip-masq"], None),
        ("vxlan-ipv6", '{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:10:5::/48",'
            '"Backend":{"Type":"vxlan"}}', [], None),
    ]
KERNEL = ["vxlan", "vxlan-directrouting", "host-gw", "udp", "vxlan-dualstack", "host-gw-dualstack"]


def run(*words, input=None, check=True):
    return subprocess.run(words, input=input, check=check, text=True, stdout=subprocess.PIPE).stdout


def inside(namespace, *words, check=True):
    return run("ip", "netns", "exec", namespace, *words, check=check)


def call(code):
    """Runs Python in the switch's namespace, where etcd is."""
    return json.loads(inside(SWITCH, sys.executable, "-c", "import urllib.request,json\n" + code))


def build():
    run("ip", "netns", "add", SWITCH)
    run("ip", "-n", SWITCH, "-batch", "-", input=f"""link set lo up
link add br0 type bridge
link set br0 up
addr add {ETCD}/16 dev br0
""")
    for number, host in enumerate(HOSTS):
        run("ip", "netns", "add", host)
        run("ip", "-n", SWITCH, "link", "add", f"v{number}", "type", "veth", "peer", "name", "eth0", "netns", host)
        run("ip", "-n", SWITCH, "link", "set", f"v{number}", "master", "br0", "up")
        run("ip", "-n", host, "-batch", "-", input=f"""link set lo up
link set eth0 address 02:00:00:00:00:{11 + number}
addr add 172.30.0.{11 + number}/24 dev eth0
addr add fd30::{11 + number}/64 dev eth0 nodad
link set eth0 up
route add default via 172.30.0.1
route add default via fd30::1
""")
        inside(host, "sysctl", "-qw", "net.ipv4.ip_forward=1")


def remove():
    for namespace in HOSTS + [SWITCH]:
        for pid in run("ip", "netns", "pids", namespace, check=False).split():
            os.kill(int(pid), 9)
        run("ip", "netns", "del", namespace, check=False)


def put(key, value):
    if V2:
        quoted = urllib.parse.quote(value)
        code = f"""r=urllib.request.Request("http://{ETCD}:2379/v2/keys{key}",data={("value=" + quoted)!r}.encode(),method="PUT",
 headers={{"Content-Type":"application/x-www-form-urlencoded"}})
print(urllib.request.urlopen(r).read().decode())"""
    else:
        code = f"""import base64
b=lambda s: base64.b64encode(s.encode()).decode()
r=urllib.request.Request("http://{ETCD}:2379/v3/kv/put",
 data=json.dumps({{"key":b({key!r}),"value":b({value!r})}}).encode())
print(urllib.request.urlopen(r).read().decode())"""
    call(code)


def keys():
    if V2:
        code = f"""
try: n=json.load(urllib.request.urlopen("http://{ETCD}:2379/v2/keys{PREFIX}/subnets"))["node"].get("nodes",[])
except urllib.error.HTTPError: n=[]
print(json.dumps([{{"name":k["key"].split("/")[-1],"value":k["value"],"ttl":k.get("ttl",0)}} for k in n]))"""
    else:
        code = f"""import base64
b=lambda s: base64.b64encode(s.encode()).decode()
d=lambda s: base64.b64decode(s).decode()
p={PREFIX!r}+"/subnets/"
post=lambda m,v: json.load(urllib.request.urlopen("http://{ETCD}:2379/v3/"+m,data=json.dumps(v).encode()))
n=post("kv/range",{{"key":b(p),"range_end":b(p[:-1]+"0")}}).get("kvs",[])
t=lambda k: int(post("lease/timetolive",{{"ID":k["lease"]}})["grantedTTL"]) if int(k.get("lease",0)) else 0
print(json.dumps([{{"name":d(k["key"]).split("/")[-1],"value":d(k["value"]),"ttl":t(k)}} for k in n]))"""
    found = sorted(call(code), key=lambda k: k["name"])
    for key in found:
        # What is left of a day by now, told as what it was.
        key["ttl"] = 86400 if key["ttl"] > 86000 else key["ttl"]
    return found


def kernel(host, config):
    """Shell commands that give another namespace what the daemon made here."""
    show = lambda *words: json.loads(run("ip", "-n", host, "-j", "-d", *words) or "[]")
    lines, own = [], {}
    for link in show("link"):
        if not link.get("ifname", "").startswith("flannel"):
            continue
        name, kind = link["ifname"], link["linkinfo"]["info_kind"]
        own[name] = kind
        if kind == "vxlan":
            data = link["linkinfo"]["info_data"]
            local = data.get("local") or data.get("local6")
            lines.append(f"ip link add {name} address {link['address']} mtu {link['mtu']} type vxlan id {data['id']} "
                         f"local {local} dev {data['link']} dstport {data['port']} "
                         f"{'learning' if data['learning'] else 'nolearning'}")
        else:
            lines.append(f"ip tuntap add {name} mode {link['linkinfo']['info_data']['type']}")
            lines.append(f"ip link set {name} mtu {link['mtu']} txqueuelen {link['txqlen']}")
        accept = inside(host, "cat", f"/proc/sys/net/ipv6/conf/{name}/accept_ra").strip()
        lines.append(f"sysctl -qw net/ipv6/conf/{name}/accept_ra={accept}")
        for address in link_addresses(host, name):
            lines.append(f"ip addr add {address} dev {name}")
        lines.append(f"ip link set {name} up")
    for name in own:
        for neighbour in show("neigh", "show", "dev", name, "nud", "permanent"):
            if neighbour["dst"].startswith("ff"):
                continue
            lines.append(f"ip neigh add {neighbour['dst']} lladdr {neighbour['lladdr']} dev {name} nud permanent")
        for entry in json.loads(inside(host, "bridge", "-j", "fdb", "show", "dev", name) or "[]"):
            if "dst" in entry:
                lines.append(f"bridge fdb add {entry['mac']} dev {name} dst {entry['dst']} self permanent")
    for family in "-4", "-6":
        for route in show(family, "route"):
            if route.get("protocol") == "kernel" or route["dst"] == "default":
                continue
            words = ["ip", family, "route", "add", route["dst"]]
            if "gateway" in route:
                words += ["via", route["gateway"]]
            words += ["dev", route["dev"]]
            words += [flag for flag in route["flags"] if flag == "onlink"]
            for word, key in (("proto", "protocol"), ("metric", "metric"), ("scope", "scope"), ("src", "prefsrc")):
                if key in route and not (key == "scope" and route[key] == "global"):
                    words += [word, str(route[key])]
            lines.append(" ".join(words))
    for tool in "iptables", "ip6tables":
        saved = inside(host, f"{tool}-save", check=False)
        rules = "".join(line + "\n" for line in saved.splitlines() if not line.startswith("#"))
        if any(line.startswith("-A") for line in rules.splitlines()):
            lines += [f"{tool}-restore --noflush <<'END'", rules.rstrip("\n"), "END"]
    return "\n".join(lines) + "\n"


def link_addresses(host, name):
    for link in json.loads(run("ip", "-n", host, "-j", "addr", "show", "dev", name)):
        for info in link.get("addr_info", []):
            if info.get("scope") != "link":
                yield f"{info['local']}/{info['prefixlen']}"


def capture(case, config, flags, reserved, directory):
    etcd = subprocess.Popen(
        ["ip", "netns", "exec", SWITCH, "etcd", "--data-dir", f"{directory}/etcd", "--enable-v2",
         "--listen-client-urls", f"http://{ETCD}:2379", "--advertise-client-urls", f"http://{ETCD}:2379",
         "--unsafe-no-fsync"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    daemons = []
    try:
        for _ in range(200):
            try:
                put(f"{PREFIX}/config", config)
                break
            except Exception:
                time.sleep(0.1)
        if reserved:
            put(f"{PREFIX}/subnets/{reserved}", '{"PublicIP":"172.30.0.11"}')
        files = [f"{directory}/{number}.env" for number in range(2)]
        logs = []
        for number, host in enumerate(HOSTS):
            own = [flag.replace("203.0.113.7", f"203.0.113.{7 + number}") for flag in flags]
            log = open(f"{directory}/{number}.log", "w")
            logs.append(log.name)
            command = [DAEMON, f"--etcd-endpoints=http://{ETCD}:2379", "--iface=eth0",
                       f"--subnet-file={files[number]}", "-v=1"] + own
            daemons.append(subprocess.Popen(["ip", "netns", "exec", host] + command, stdout=log, stderr=log,
                                            cwd=directory))
            for _ in range(100):
                if os.path.exists(files[number]) or daemons[-1].poll() is not None:
                    break
                time.sleep(0.1)
            if not os.path.exists(files[number]):
                print(f"{case}: left out: " + open(log.name).read().strip().splitlines()[-1][:200])
                return None
            time.sleep(1)
        time.sleep(2)
        if case in KERNEL:
            with open(os.path.join(ROOT, f"{case}.sh"), "w") as file:
                file.write(f"# The kernel state of 172.30.0.11 under flannel {VERSION}, case {case}. Made by "
                           "Scripts/capture-stock.py.\n" + kernel(HOSTS[0], config))
        return {"name": case, "config": config, "flags": flags, "reserved": reserved, "keys": keys(),
                "subnetFiles": [open(file).read() for file in files]}
    finally:
        for process in daemons + [etcd]:
            process.kill()
            process.wait()


def main():
    shutil.rmtree(ROOT, ignore_errors=True)
    os.makedirs(ROOT)
    kept = []
    for case in CASES:
        directory = tempfile.mkdtemp(prefix="stock-")
        try:
            build()
            found = capture(*case, directory)
            if found:
                kept.append(found)
                print(f"{case[0]}: {len(found['keys'])} keys")
        finally:
            remove()
            shutil.rmtree(directory)
    with open(os.path.join(ROOT, "corpus.json"), "w") as file:
        json.dump({"version": VERSION, "cases": kept}, file, indent=1, ensure_ascii=False)
        file.write("\n")


main()
