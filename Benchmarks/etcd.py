"""An etcd of the benchmark's own, spoken to over the JSON gateway of its v3 API, or over its v2 API."""
import base64
import http.client
import ipaddress
import json
import select
import shutil
import socket
import subprocess
import time
import urllib.parse

PREFIX = "/coreos.com/network"


def coded(text):
    return base64.b64encode(text.encode()).decode()


def text_of(value):
    """A value as text: JSON without spaces, as Go writes it."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


class Network:
    """The network under test: its config, and the leases of hosts that are not there, as flannel writes them."""

    def __init__(self, backend, dual=False):
        self.backend, self.dual = backend, dual

    def __str__(self):
        return f"{self.backend}, dual stack" if self.dual else self.backend

    def config(self):
        config = {
            "Network": "10.0.0.0/8", "SubnetLen": 24, "SubnetMin": "10.200.0.0", "SubnetMax": "10.250.0.0",
            "Backend": {"Type": self.backend},
        }
        if self.dual:
            config |= {"EnableIPv6": True, "IPv6Network": "fd00:10::/48", "IPv6SubnetMin": "fd00:10:0:8000::"}
        return config

    def lease(self, index):
        """The name of its key, and its value."""
        name = f"10.{1 + index // 256}.{index % 256}.0-24"
        value = {"PublicIP": f"172.30.{4 + index // 250}.{1 + index % 250}", "PublicIPv6": None, "BackendType": self.backend}
        mac = "02:00:00:%02x:%02x:%02x" % tuple(index.to_bytes(3, "big"))
        if self.backend == "vxlan":
            value["BackendData"] = {"VNI": 1, "VtepMAC": mac}
        if self.dual:
            name += f"&{ipaddress.IPv6Address((0xfd000010 << 96) + ((index + 1) << 64))}-64"
            value["PublicIPv6"] = str(ipaddress.IPv6Address((0xfd000172 << 96) + 0x10000 + index))
            if self.backend == "vxlan":
                value["BackendV6Data"] = {"VNI": 1, "VtepMAC": mac.replace("02:", "06:", 1)}
        return name, value


class Client:
    """One connection; for one thread."""

    def __init__(self, address):
        self.connection = http.client.HTTPConnection(address, 2379, timeout=30)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, path, body):
        self.connection.request("POST", f"/v3/{path}", json.dumps(body))

    def answer(self):
        response = self.connection.getresponse()
        data = response.read()
        if response.status != 200:
            raise RuntimeError(f"etcd: {response.status} {data[:200]!r}")
        return json.loads(data)

    def call(self, path, body):
        self.send(path, body)
        return self.answer()

    @staticmethod
    def put_body(key, value):
        return {"key": coded(key), "value": coded(text_of(value))}

    def send_put(self, key, value):
        """Takes ``answer`` afterwards."""
        self.send("kv/put", self.put_body(key, value))

    def put(self, key, value):
        self.send_put(key, value)
        self.answer()

    def delete(self, key):
        self.call("kv/deleterange", {"key": coded(key)})

    def delete_all(self, directory):
        self.call("kv/deleterange", {"key": coded(directory), "range_end": coded(directory[:-1] + "0")})

    def put_lease(self, index, network):
        name, value = network.lease(index)
        self.put(f"{PREFIX}/subnets/{name}", value)

    def delete_lease(self, index, network):
        self.delete(f"{PREFIX}/subnets/{network.lease(index)[0]}")

    def put_leases(self, count, network):
        for start in range(0, count, 100):
            requests = []
            for index in range(start, min(start + 100, count)):
                name, value = network.lease(index)
                requests.append({"requestPut": self.put_body(f"{PREFIX}/subnets/{name}", value)})
            self.call("kv/txn", {"success": requests})

    def leases(self):
        """{name: value}"""
        answer = self.call("kv/range", {"key": coded(f"{PREFIX}/subnets/"), "range_end": coded(f"{PREFIX}/subnets0")})
        return {
            base64.b64decode(pair["key"]).decode().rsplit("/", 1)[1]: json.loads(base64.b64decode(pair["value"]))
            for pair in answer.get("kvs", [])
        }

    def delete_own(self):
        """Deletes the leases of hosts that the benchmark started, which have addresses below 172.30.4.0."""
        for name, value in self.leases().items():
            if value["PublicIP"].startswith("172.30.0."):
                self.delete(f"{PREFIX}/subnets/{name}")


class ClientV2(Client):
    """The same over etcd's v2 API, where flannel's leases have a time to live of a day."""

    def send(self, path, body):
        raise NotImplementedError

    def request(self, method, key, body=None, query=""):
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        self.connection.request(method, f"/v2/keys{urllib.parse.quote(key)}{query}", body, headers)

    def answer(self):
        response = self.connection.getresponse()
        data = response.read()
        if response.status not in (200, 201, 404):
            raise RuntimeError(f"etcd: {response.status} {data[:200]!r}")
        return json.loads(data)

    def send_put(self, key, value):
        fields = {"value": text_of(value)}
        if "/subnets/" in key:
            fields["ttl"] = "86400"
        self.request("PUT", key, urllib.parse.urlencode(fields))

    def delete(self, key):
        self.request("DELETE", key)
        self.answer()

    def delete_all(self, directory):
        self.request("DELETE", directory.rstrip("/"), query="?recursive=true")
        self.answer()

    def put_leases(self, count, network):
        for index in range(count):
            self.put_lease(index, network)

    def leases(self):
        self.request("GET", f"{PREFIX}/subnets")
        nodes = self.answer().get("node", {}).get("nodes", [])
        return {node["key"].rsplit("/", 1)[1]: json.loads(node["value"]) for node in nodes}


class Server:
    """Runs in the switch's namespace."""

    def __init__(self, testbed, program, api):
        self.api = api
        self.data = f"{testbed.directory}/etcd"
        self.address = testbed.switch_address
        url = f"http://{self.address}"
        self.process = testbed.start(
            [program, "--data-dir", self.data, "--listen-client-urls", f"{url}:2379", "--advertise-client-urls",
             f"{url}:2379", "--listen-peer-urls", f"{url}:2380", "--initial-advertise-peer-urls", f"{url}:2380",
             "--initial-cluster", f"default={url}:2380", "--quota-backend-bytes", str(8 << 30),
             "--enable-v2"],
            f"{testbed.directory}/etcd.log")
        deadline = time.monotonic() + 20
        while True:
            try:
                self.client = self.connect()
                self.client.leases()
                return
            except (OSError, RuntimeError, http.client.HTTPException):
                if time.monotonic() > deadline:
                    raise SystemExit(f"etcd did not start; see {testbed.directory}/etcd.log") from None
                time.sleep(0.1)

    def connect(self):
        return (ClientV2 if self.api == "v2" else Client)(self.address)

    def stop(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.data, ignore_errors=True)


class Watch:
    """etcdctl's watch, which is a daemon's: gRPC with v3, a long poll with v2."""

    def __init__(self, server, directory):
        words = ["watch", "--prefix", directory] if server.api == "v3" else ["watch", "--recursive", "--forever", directory]
        endpoint = f"http://{server.address}:2379"
        self.process = subprocess.Popen(
            ["etcdctl", "--endpoints", endpoint, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin:/usr/local/bin", "ETCDCTL_API": server.api[1:]})

    def drain(self, wait):
        """Reads what is there; whether there was anything."""
        if not select.select([self.process.stdout], [], [], wait)[0]:
            return False
        self.process.stdout.read1(1 << 16)
        return True

    def stop(self):
        self.process.kill()
        self.process.wait()
