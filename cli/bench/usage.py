"""What processes of this machine use: processor time and resident memory, with those of their children."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import psutil

from cli.addresses import split_address
from cli.output import UsageError


class Usage(NamedTuple):
    """Of one process and its children.

    Attributes:
        cpu_s: processor seconds since its start, in user and system mode.
        rss_bytes: resident memory; pages of mapped files that two processes share count in both.
    """

    cpu_s: float
    rss_bytes: int


def of(pid: int) -> Usage:
    """What a process uses now; nothing where it is gone, or not ours to look at."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return Usage(0.0, 0)
    return Usage(*(sum(part) for part in zip(*(_one(member) for member in family), strict=True)))


def of_all(pids: Mapping[str, int]) -> dict[str, Usage]:
    """Of each by name, and of this process under `bench`."""
    return {name: of(pid) for name, pid in {**pids, "bench": os.getpid()}.items()}


def listening(addresses: Mapping[str, str]) -> dict[str, int]:
    """The processes of this machine that listen at the addresses; whoever listens elsewhere is left out.

    Args:
        addresses: HOST:PORT by name.

    Returns:
        Process ids by name; several that share a port are numbered. Of a process and its children only itself.
    """
    at_port: dict[int, list[int]] = {}
    for one in _sockets():
        if one.status == psutil.CONN_LISTEN and one.pid is not None:
            at_port.setdefault(one.laddr.port, []).append(one.pid)
    found = {}
    for name, address in addresses.items():
        pids = sorted(set(at_port.get(_port_here(address), ())))
        for number, pid in enumerate(_without_children(pids)):
            found[f"{name}.{number}" if number else name] = pid
    return found


def _sockets() -> Iterable[Any]:
    try:
        sockets: Iterable[Any] = psutil.net_connections("tcp")
    except psutil.Error:
        return ()
    return sockets


def _port_here(address: str) -> int:
    """The port of an address of this machine; 0, where nobody listens, for any other."""
    try:
        host, port = split_address(address)
        resolved = ipaddress.ip_address(socket.gethostbyname(host.strip("[]")) if ":" not in host else host.strip("[]"))
    except (UsageError, OSError, ValueError):
        return 0
    own = {one.address for addresses in psutil.net_if_addrs().values() for one in addresses}
    return port if resolved.is_loopback or str(resolved) in own else 0


def _without_children(pids: list[int]) -> list[int]:
    return [pid for pid in pids if not _ancestors(pid).intersection(pids)]


def _ancestors(pid: int) -> set[int]:
    try:
        return {one.pid for one in psutil.Process(pid).parents()}
    except psutil.Error:
        return set()


def _one(process: psutil.Process) -> Usage:
    try:
        with process.oneshot():
            times = process.cpu_times()
            return Usage(times.user + times.system, process.memory_info().rss)
    except psutil.Error:
        return Usage(0.0, 0)
