"""An etcd of the benchmark's own, spoken to over its JSON gateway."""
import base64
import http.client
import json
import select
import shutil
import socket
import subprocess
import time

PREFIX = "/coreos.com/network"


def coded(text):
    return base64.b64encode(text.encode()).decode()


def lease(index, backend):
    """The lease of a host that is not there: subnet, and value as flannel writes it."""
    subnet = f"10.{1 + index // 256}.{index % 256}.0"
    value = {"PublicIP": f"172.30.{4 + index // 250}.{1 + index % 250}", "PublicIPv6": None, "BackendType": backend}
    if backend == "vxlan":
        value["BackendData"] = {"VNI": 1, "VtepMAC": "02:00:00:%02x:%02x:%02x" % tuple(index.to_bytes(3, "big"))}
    return subnet, value


def config(backend):
    return {
        "Network": "10.0.0.0/8", "SubnetLen": 24, "SubnetMin": "10.200.0.0", "SubnetMax": "10.250.0.0",
        "Backend": {"Type": backend},
    }


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
        return {"key": coded(key), "value": coded(value if isinstance(value, str) else json.dumps(value))}

    def put(self, key, value):
        self.call("kv/put", self.put_body(key, value))

    def put_lease(self, index, backend):
        subnet, value = lease(index, backend)
        self.put(f"{PREFIX}/subnets/{subnet}-24", value)

    def delete_lease(self, index, backend):
        subnet, _ = lease(index, backend)
        self.call("kv/deleterange", {"key": coded(f"{PREFIX}/subnets/{subnet}-24")})

    def put_leases(self, count, backend):
        for start in range(0, count, 100):
            requests = []
            for index in range(start, min(start + 100, count)):
                subnet, value = lease(index, backend)
                requests.append({"requestPut": self.put_body(f"{PREFIX}/subnets/{subnet}-24", value)})
            self.call("kv/txn", {"success": requests})

    def leases(self):
        """{subnet: value}"""
        answer = self.call("kv/range", {"key": coded(f"{PREFIX}/subnets/"), "range_end": coded(f"{PREFIX}/subnets0")})
        found = {}
        for pair in answer.get("kvs", []):
            name = base64.b64decode(pair["key"]).decode().rsplit("/", 1)[1]
            found[name.replace("-", "/")] = json.loads(base64.b64decode(pair["value"]))
        return found

    def delete_own(self):
        """Deletes the leases of hosts that the benchmark started, which have addresses below 172.30.4.0."""
        for subnet, value in self.leases().items():
            if value["PublicIP"].startswith("172.30.0."):
                self.call("kv/deleterange", {"key": coded(f"{PREFIX}/subnets/{subnet.replace('/', '-')}")})


class Server:
    """Runs in the switch's namespace."""

    def __init__(self, testbed, program):
        self.data = f"{testbed.directory}/etcd"
        self.address = testbed.switch_address
        url = f"http://{self.address}"
        self.process = testbed.start(
            [program, "--data-dir", self.data, "--listen-client-urls", f"{url}:2379", "--advertise-client-urls",
             f"{url}:2379", "--listen-peer-urls", f"{url}:2380", "--initial-advertise-peer-urls", f"{url}:2380",
             "--initial-cluster", f"default={url}:2380", "--quota-backend-bytes", str(8 << 30)],
            f"{testbed.directory}/etcd.log")
        deadline = time.monotonic() + 20
        while True:
            try:
                self.client = Client(self.address)
                self.client.call("kv/range", {"key": coded("x")})
                return
            except (OSError, RuntimeError, http.client.HTTPException):
                if time.monotonic() > deadline:
                    raise SystemExit(f"etcd did not start; see {testbed.directory}/etcd.log") from None
                time.sleep(0.1)

    def stop(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.data, ignore_errors=True)


class Watch:
    """etcdctl watch, whose gRPC watch is what a daemon's is."""

    def __init__(self, address, key):
        self.process = subprocess.Popen(
            ["etcdctl", "--endpoints", f"http://{address}:2379", "watch", "--prefix", key],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={"PATH": "/usr/bin:/bin:/usr/local/bin", "ETCDCTL_API": "3"})

    def drain(self, wait):
        """Reads what is there; whether there was anything."""
        if not select.select([self.process.stdout], [], [], wait)[0]:
            return False
        self.process.stdout.read1(1 << 16)
        return True

    def stop(self):
        self.process.kill()
        self.process.wait()
