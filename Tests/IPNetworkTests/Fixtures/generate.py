#!/usr/bin/env python3
"""Writes addresses.txt: what Python's ipaddress says of seeded random input. Run it after changing it."""
import ipaddress
import pathlib
import random

rng = random.Random(20240607)
lines = []


def text6(value):
    address = ipaddress.IPv6Address(value)
    if value >> 32 == 0xFFFF:  # Python before 3.13 has no dotted tail.
        return "::ffff:" + str(ipaddress.IPv4Address(value & 0xFFFFFFFF))
    return address.compressed


def parsed(text, kind):
    if "%" in text or not text.isascii():
        return "-"
    try:
        return str(int(kind(text)))
    except ValueError:
        return "-"


def mutate(text):
    text = list(text)
    for _ in range(rng.randint(1, 2)):
        place = rng.randrange(len(text) + 1)
        kind = rng.randrange(3)
        if kind == 0:
            text.insert(place, rng.choice("0123456789abcdefg:./%-"))
        elif text and kind == 1:
            text.pop(min(place, len(text) - 1))
        elif text:
            text[min(place, len(text) - 1)] = rng.choice("0123456789ABCDEF:.")
    return "".join(text) or "."


def value6():
    groups = [rng.choice([0, 0, 0, 1, 0xFFFF, rng.getrandbits(16)]) for _ in range(8)]
    if rng.random() < 0.1:
        groups[:6] = [0, 0, 0, 0, 0, 0xFFFF]
    value = 0
    for group in groups:
        value = value << 16 | group
    return value


for _ in range(600):
    value = rng.choice([rng.getrandbits(32), rng.getrandbits(8), rng.getrandbits(16) << 16])
    text = str(ipaddress.IPv4Address(value))
    lines.append(f"print4 {value} {text}")
    bad = mutate(text)
    lines.append(f"parse4 {bad} {parsed(bad, ipaddress.IPv4Address)}")
    value = value6()
    lines.append(f"print6 {value} {text6(value)}")
    exploded = ipaddress.IPv6Address(value).exploded
    for form in (exploded, exploded.upper(), mutate(text6(value)), mutate(exploded)):
        lines.append(f"parse6 {form} {parsed(form, ipaddress.IPv6Address)}")

for bits, network, render in (
    (32, ipaddress.IPv4Network, lambda v: str(ipaddress.IPv4Address(v))),
    (128, ipaddress.IPv6Network, text6),
):
    family = "4" if bits == 32 else "6"
    for _ in range(500):
        base = rng.getrandbits(bits) if bits == 32 else value6()
        near = base ^ (1 << rng.randrange(bits))
        one = network((base, rng.randint(0, bits)), strict=False)
        two = network((rng.choice([base, near]), rng.randint(0, bits)), strict=False)
        name = lambda n: f"{render(int(n.network_address))}/{n.prefixlen}"
        lines.append(
            f"pair{family} {name(one)} {name(two)} {int(two.subnet_of(one))} {int(one.overlaps(two))}"
            f" {int(ipaddress.ip_address(two.network_address) in one)}"
        )
        size = 1 << (bits - one.prefixlen)
        first = int(one.network_address)
        after = render(first + size) if first + size < 1 << bits else "-"
        before = render(first - size) if first >= size else "-"
        lines.append(
            f"block{family} {render(base)}/{one.prefixlen} {render(first)} {render(int(one.broadcast_address))}"
            f" {render(int(one.netmask))} {after} {before}"
        )
        longer = min(bits, one.prefixlen + rng.randint(0, 5))
        subnets = [render(int(s.network_address)) for s in one.subnets(new_prefix=longer)]
        lines.append(f"subnets{family} {name(one)} {longer} {','.join(subnets)}")

path = pathlib.Path(__file__).with_name("addresses.txt")
path.write_text("\n".join(lines) + "\n")
