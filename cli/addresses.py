"""Addresses on this machine: read, and found free."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

from cli.output import UsageError

LOOPBACK = "127.0.0.1"
PORT_MAX = 65535
TRIES = 100
PORTS = range(10_000, 32_768)
"""Of which free ones are drawn: below those that Linux takes for the callers' ends of connections (ip(7),
ip_local_port_range), of which one may be taken between here and whoever is to listen on it."""

_given: set[int] = set()
"""Ports that were found free here: while nobody listens on one yet, it may be drawn again."""


def free_address(host: str = LOOPBACK, port: int = 0, *, option: str = "--listen") -> str:
    """An address that can be listened on now; the given port, or for 0 any, each once; chosen by this option.

    Raises:
        UsageError: somebody listens there.
    """
    try:
        found = _free_port(host, port) if port else _any_free_port(host)
    except OSError as error:
        raise UsageError(f"cannot listen on {host}:{port} ({error.strerror}); choose another with {option}") from None
    _given.add(found)
    return f"{host}:{found}"


def _any_free_port(host: str) -> int:
    """One that no connection is given, where there is one left."""
    for _ in range(TRIES):
        with suppress(OSError):
            found = _free_port(host, random.choice(PORTS))  # noqa: S311  # no secret hangs on it
            if found not in _given:
                return found
    return _free_port(host, 0)


def _free_port(host: str, port: int) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host.strip("[]"), port))
        return int(probe.getsockname()[1])


def split_address(address: str) -> tuple[str, int]:
    """HOST:PORT in two.

    Raises:
        UsageError: it is not of that form.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > PORT_MAX:
        raise UsageError(f"{address!r} is not an address; write HOST:PORT, such as 127.0.0.1:7450")
    return host, int(port)
