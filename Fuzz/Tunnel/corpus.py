#!/usr/bin/env python3
"""Writes inputs to start from into ./corpus: TCP, UDP and ICMP of both families, plain, segmented and in one message."""
import pathlib
import socket
import struct

corpus = pathlib.Path(__file__).resolve().parent / "corpus"
corpus.mkdir(exist_ok=True)


def total(data):
    data += b"\0" * (len(data) % 2)
    value = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while value > 0xFFFF:
        value = (value & 0xFFFF) + (value >> 16)
    return value


def packet(v6, kind, payload, sequence=1, flags=0x10, options=b"", extra=b""):
    family = socket.AF_INET6 if v6 else socket.AF_INET
    source, destination = (
        socket.inet_pton(family, each) for each in (("fd00:1::2", "fd00:2::2") if v6 else ("10.0.1.2", "10.0.2.2")))
    if kind == 6:
        head = struct.pack("!HHIIBBHHH", 4000, 80, sequence, 9, (20 + len(options)) // 4 << 4, flags, 99, 0, 0) + options
        field = 16
    elif kind == 17:
        head, field = struct.pack("!HHHH", 4000, 53, 8 + len(payload), 0), 6
    else:
        head, field = struct.pack("!BBHI", 128 if v6 else 8, 0, 0, 1), 2
    body = bytearray(head + payload)
    pseudo = source + destination + struct.pack("!II", len(body), kind)
    body[field:field + 2] = struct.pack("!H", ~total((b"" if kind == 1 else pseudo) + bytes(body)) & 0xFFFF)
    if v6:
        return struct.pack("!IHBB", 6 << 28, len(body), kind, 60) + source + destination + bytes(body)
    ip = bytearray(struct.pack("!BBHHHBBH", 0x45 + len(extra) // 4, 0, 20 + len(extra) + len(body), 7, 0x4000, 60, kind, 0))
    ip += source + destination + extra
    ip[10:12] = struct.pack("!H", ~total(bytes(ip)) & 0xFFFF)
    return bytes(ip) + bytes(body)


timestamps = b"\1\1\x08\x0a" + bytes(8)
for v6 in (False, True):
    for name, kind in (("tcp", 6), ("udp", 17), ("icmp", 58 if v6 else 1)):
        for size in (0, 1, 64, 1000):
            options = timestamps if kind == 6 else b""
            one = packet(v6, kind, bytes(size), options=options)
            two = packet(v6, kind, bytes(size), sequence=1 + size, options=options)
            family = "v6" if v6 else "v4"
            # The first byte says what the rest is: TunnelFuzz.swift.
            (corpus / f"{family}-{name}-{size}-received").write_bytes(bytes([0]) + struct.pack("<H", len(one)) + one + two)
            header = struct.pack("<BBHHHH", 0, 0, 0, 0, 0, 0)
            (corpus / f"{family}-{name}-{size}-sent").write_bytes(bytes([1]) + header + one)
            if kind in (6, 17) and size:
                gso = 5 if kind == 17 else 4 if v6 else 1
                header = struct.pack("<BBHHHH", 1, gso, 0, max(size // 3, 1), 40 if v6 else 20, 16 if kind == 6 else 6)
                (corpus / f"{family}-{name}-{size}-large").write_bytes(bytes([1]) + header + one)
(corpus / "v4-options").write_bytes(bytes([0, 0, 0]) + packet(False, 6, bytes(9), extra=b"\1\1\1\0"))
# Segments that continue one another, and one difference each in the third of five (Bait.swift).
for flow in range(4):
    for change in range(29):
        for fragments in (0, 0x40):
            script = b"".join(bytes([flow | fragments, change if index == 2 else 0]) for index in range(5))
            (corpus / f"bait-{flow}-{change}-{fragments}").write_bytes(bytes([0x40, 0, 0]) + script)
    (corpus / f"bait-{flow}-long").write_bytes(bytes([0x40, 0, 0]) + bytes([flow, 0]) * 80)
(corpus / "bait-mixed").write_bytes(bytes([0x40, 0, 0]) + bytes([0, 0, 1, 0, 2, 0, 3, 0]) * 20)
