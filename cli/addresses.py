"""Addresses on this machine: read, and found free."""

from __future__ import annotations

import socket

from cli.output import UsageError

LOOPBACK = "127.0.0.1"
PORT_MAX = 65535


def free_address(host: str = LOOPBACK, port: int = 0, *, option: str = "--listen") -> str:
    """An address that can be listened on now; the given port, or for 0 any; chosen by this option.

    Raises:
        UsageError: somebody listens there.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host.strip("[]"), port))
            return f"{host}:{probe.getsockname()[1]}"
    except OSError as error:
        raise UsageError(f"cannot listen on {host}:{port} ({error.strerror}); choose another with {option}") from None


def split_address(address: str) -> tuple[str, int]:
    """HOST:PORT in two.

    Raises:
        UsageError: it is not of that form.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > PORT_MAX:
        raise UsageError(f"{address!r} is not an address; write HOST:PORT, such as 127.0.0.1:7450")
    return host, int(port)
