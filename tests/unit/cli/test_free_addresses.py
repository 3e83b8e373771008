"""Addresses that are found free."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cli import addresses
from cli.addresses import LOOPBACK, PORTS, free_address


def test_no_address_is_given_twice() -> None:
    """Who was given it first may not listen yet: a shard and its router would have the same one."""
    assert len({free_address() for _ in range(1000)}) == 1000


def test_no_connection_is_given_a_port_that_was_found_free() -> None:
    """On Linux: callers' ends are of a range of their own, which is the system's to choose from at any moment."""
    range_of_callers = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if not range_of_callers.exists():
        pytest.skip("no such range is told here")
    least, most = map(int, range_of_callers.read_text().split())
    if least < PORTS.stop:
        pytest.skip(f"callers' ends begin at {least} here")
    found = [int(free_address().rpartition(":")[2]) for _ in range(100)]
    assert [port for port in found if least <= port <= most] == []


def test_where_none_of_those_is_left_it_is_one_that_the_system_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Better one that may be taken than none."""
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(addresses, "PORTS", range(port, port + 1))
        assert free_address() != f"{LOOPBACK}:{port}"
