"""What processes of this machine use: processor time and resident memory, with those of their children."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

import psutil


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


def _one(process: psutil.Process) -> Usage:
    try:
        with process.oneshot():
            times = process.cpu_times()
            return Usage(times.user + times.system, process.memory_info().rss)
    except psutil.Error:
        return Usage(0.0, 0)
