"""Reads a namespace's routes, neighbours and forwarding entries over netlink, cheaply enough to poll while a daemon works."""
import ctypes
import os
import socket
import struct

AF_BRIDGE = 7
CLONE_NEWNET = 0x40000000
RTM_NEWROUTE, RTM_GETROUTE = 24, 26
RTM_NEWNEIGH, RTM_GETNEIGH = 28, 30
NLM_F_REQUEST, NLM_F_DUMP = 1, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
NUD_PERMANENT = 0x80
RTPROT_KERNEL = 2
RTA_DST, RTA_GATEWAY = 1, 5
NDA_DST, NDA_LLADDR = 1, 2
RTMGRP_IPV4_ROUTE = 0x40
SO_RCVBUFFORCE = 33

libc = ctypes.CDLL(None, use_errno=True)


def enter(namespace):
    """Moves this thread into a named network namespace."""
    descriptor = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if libc.setns(descriptor, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {namespace}")
    finally:
        os.close(descriptor)


def attributes(data, offset, end):
    found = {}
    while offset + 4 <= end:
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


class Kernel:
    """The network state of the namespace that the thread is in when this is made."""

    def __init__(self, groups=0):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        self.socket.bind((0, groups))

    def close(self):
        self.socket.close()

    def dump(self, kind, body):
        self.socket.send(struct.pack("=IHHII", 16 + len(body), kind, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + body)
        while True:
            data = self.socket.recv(1 << 18)
            offset = 0
            while offset + 16 <= len(data):
                length, message = struct.unpack_from("=IH", data, offset)
                if message == NLMSG_DONE:
                    return
                if message == NLMSG_ERROR:
                    raise OSError(-struct.unpack_from("=i", data, offset + 16)[0], "netlink dump")
                yield data, offset, offset + length
                offset += (length + 3) & ~3

    def raw_routes(self, family):
        """Routes of the main table but for the default route and the kernel's own."""
        for data, offset, end in self.dump(RTM_GETROUTE, struct.pack("=BBBBBBBBI", family, *[0] * 8)):
            _, length, _, _, table, protocol, _, kind = struct.unpack_from("=8B", data, offset + 16)
            if table == 254 and protocol != RTPROT_KERNEL and kind == 1 and length > 0:
                yield length, data, offset, end

    def count_routes(self, family=socket.AF_INET):
        return sum(1 for _ in self.raw_routes(family))

    def routes(self, family=socket.AF_INET):
        """{"198.18.3.0/24": gateway in hexadecimal}"""
        found = {}
        for length, data, offset, end in self.raw_routes(family):
            values = attributes(data, offset + 28, end)
            found[f"{socket.inet_ntop(family, values[RTA_DST])}/{length}"] = values.get(RTA_GATEWAY, b"").hex()
        return found

    def neighbours(self, family=socket.AF_INET):
        """Permanent ones; {address: MAC}, or with AF_BRIDGE the forwarding entries, {MAC: address}."""
        found = {}
        for data, offset, end in self.dump(RTM_GETNEIGH, struct.pack("=BBHiHBB", family, *[0] * 6)):
            state = struct.unpack_from("=H", data, offset + 24)[0]
            if not state & NUD_PERMANENT:
                continue
            values = attributes(data, offset + 28, end)
            address, mac = values.get(NDA_DST), values.get(NDA_LLADDR)
            if address and mac:
                address = socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)
                key, value = (mac.hex(), address) if family == AF_BRIDGE else (address, mac.hex())
                found[key] = value
        return found

    def route_news(self):
        """Destinations of the routes that the messages waiting tell of; needs RTMGRP_IPV4_ROUTE."""
        data = self.socket.recv(1 << 18)
        offset = 0
        while offset + 16 <= len(data):
            length, message = struct.unpack_from("=IH", data, offset)
            if message == RTM_NEWROUTE:
                destination = attributes(data, offset + 28, offset + length).get(RTA_DST)
                if destination and len(destination) == 4:
                    yield socket.inet_ntoa(destination)
            offset += (length + 3) & ~3
