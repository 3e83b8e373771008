"""A process that is short of something, for as long as a test says: the system's limits, and no pretence."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def descriptors() -> Iterator[None]:
    """No file can be opened."""
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)  # the lowest that is free: the next one to be given
    with _limited(resource.RLIMIT_NOFILE, free):
        yield


@contextmanager
def memory() -> Iterator[None]:
    """Nothing large can be mapped or allocated."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    with _limited(resource.RLIMIT_AS, pages * resource.getpagesize()):
        yield


@contextmanager
def _limited(what: int, most: int) -> Iterator[None]:
    before = resource.getrlimit(what)
    resource.setrlimit(what, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(what, before)
