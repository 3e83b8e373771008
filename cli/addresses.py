"""Addresses on this machine: read, and found free."""

from __future__ import annotations

import socket

from cli.output import UsageError

LOOPBACK = "127.0.0.1"
PORT_MAX = 65535
TRIES = 100
_given: set[int] = set()
"""Ports that were found free here: while nobody listens on one yet, the system may name it again."""


def free_address(host: str = LOOPBACK, port: int = 0, *, option: str = "--listen") -> str:
    """An address that can be listened on now; the given port, or for 0 any, each once; chosen by this option.

    Raises:
        UsageError: somebody listens there.
    """
    try:
        for _ in range(TRIES):
            found = _free_port(host, port)
            if port or found not in _given:
                break
    except OSError as error:
        raise UsageError(f"cannot listen on {host}:{port} ({error.strerror}); choose another with {option}") from None
    _given.add(found)
    return f"{host}:{found}"


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
