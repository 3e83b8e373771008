"""Builds in processes of their own that kill themselves at a given point: `python build_server.py DATASET`.

Every line on stdin, `STORE POINT`, forks a process that builds into the store; the answer is a line with its exit
code, negative for a signal, and how often it called fsync, zero where it did not come to its end. A point is a step
that the build tells of (`fit`), which dies as the step begins, or `fsync:N`, which dies instead of the Nth fsync;
`none` lives. Forked, so that a dozen builds import everything once.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import irspack.recommenders.ials
import irspack.recommenders.knn  # noqa: F401 - both are imported by fitting, and take seconds

from builder.pipeline import BuildSettings, build


def die() -> None:
    """As if the power had gone."""
    os.kill(os.getpid(), signal.SIGKILL)


class Fsyncs:
    """Counts the calls of fsync, and dies instead of one of them."""

    def __init__(self, fatal: int) -> None:
        self.count = 0
        self._fatal = fatal
        self._fsync: Callable[[int], None] = os.fsync
        os.fsync = self  # type: ignore[assignment]

    def __call__(self, handle: int) -> None:
        """Sync, or die."""
        self.count += 1
        if self.count == self._fatal:
            die()
        self._fsync(handle)


def run(dataset: Path, store: Path, point: str) -> int:
    """Build until the point; return how often fsync was called."""

    def told(what: str, done: int, of: int) -> None:
        if what == point:
            die()

    fsyncs = Fsyncs(int(point.removeprefix("fsync:")) if point.startswith("fsync:") else 0)
    build(dataset, store, BuildSettings(partitions=3, factors=8), told)
    return fsyncs.count


def fork(dataset: Path, store: Path, point: str) -> str:
    """Run in a process of its own; return its exit code and its number of fsyncs."""
    here, there = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.write(there, str(run(dataset, store, point)).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(there)
    _, status = os.waitpid(child, 0)
    with os.fdopen(here) as answer:
        return f"{os.waitstatus_to_exitcode(status)} {answer.read() or 0}"


def main(dataset: Path) -> None:
    """Serve until stdin ends."""
    for line in sys.stdin:
        store, _, point = line.strip().partition(" ")
        print(fork(dataset, Path(store), point), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main(Path(sys.argv[1]))
