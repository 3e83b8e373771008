"""What a member is called: an address in the one form in which names are compared, and whether it can be found at all.

Partitions are placed on names, so that whoever spells one of them differently places them differently. In normal form a
host is in lower case and without a dot at its end, an IPv6 address in brackets and as short as it goes, a port without
zeros before it. Two names of one machine (`localhost` and `127.0.0.1`) stay two: nobody is looked up for that.
"""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

PORT_MAX = 65535

HOW_TO_FIND = "--name must be this shard's address as the membership has it"


def address(text: str) -> str:
    """HOST:PORT, checked, in normal form.

    Raises:
        ValueError: it is not of that form.
    """
    host, _, port = text.strip().rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port[:6]) <= PORT_MAX or " " in host:
        raise ValueError(f"{text!r} is not an address; write HOST:PORT")
    return f"{_host(host)}:{int(port)}"


def normal(text: str) -> str:
    """An address in normal form; what is none, such as one whose port the system is to choose, as it is."""
    try:
        return address(text)
    except ValueError:
        return text.strip()


def why_never(spec: str, name: str, *, given: bool) -> str:
    """Why a shard can never find itself in a membership, whoever else is in it; empty where it can.

    Args:
        spec: of the membership (`trunkshow.membership`).
        name: the shard's, in normal form.
        given: it was chosen; else it is where the shard listens.
    """
    kind, _, what = spec.partition(":")
    host, _, port = name.rpartition(":")
    ip = _ip(host)
    if ip is not None and ip.is_unspecified:
        return f"{name} is every address of this machine, and nobody's name; {HOW_TO_FIND}"
    if kind == "dns":
        asked = normal(what).rpartition(":")[2]
        if ip is None or (ip.is_loopback and not given):
            return f"{name} is not what dns: finds, which is IP addresses; {HOW_TO_FIND}, such as $(POD_IP):{asked}"
        if port != asked:
            return f"{name} has another port than {spec}, which gives every member its own; {HOW_TO_FIND}"
    if kind == "srv" and ip is not None:
        return f"{name} is not what srv: finds, which is names; {HOW_TO_FIND}"
    if kind == "static" and name not in map(normal, what.split(",")):
        return f"{name} is not among the members {what}; {HOW_TO_FIND}"
    return ""


def _host(text: str) -> str:
    ip = _ip(text)
    if ip is None:
        return text.lower().removesuffix(".")
    return f"[{ip.compressed}]" if ip.version == 6 else ip.compressed


def _ip(host: str) -> IPv4Address | IPv6Address | None:
    with suppress(ValueError):
        return ip_address(host.removeprefix("[").removesuffix("]"))
    return None
