"""Builds in processes of their own that kill themselves at a given point: `python build_server.py DATASET`.

Every line on stdin, `STORE POINT`, forks a process that builds into the store; the answer is a line with its exit
code, negative for a signal. A point is a step that the build tells of (`fit`), which dies as the step begins, or
`fsync:N`, which dies instead of the Nth fsync; `none` lives. Forked, so that a dozen builds import everything once.
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


def die_at_fsync(number: int) -> None:
    """Arm the kernel's side of the store."""
    fsync: Callable[[int], None] = os.fsync
    called = 0

    def counted(handle: int) -> None:
        nonlocal called
        called += 1
        if called == number:
            die()
        fsync(handle)

    os.fsync = counted  # type: ignore[assignment]


def run(dataset: Path, store: Path, point: str) -> None:
    """Build until the point."""

    def told(what: str, done: int, of: int) -> None:
        if what == point:
            die()

    if point.startswith("fsync:"):
        die_at_fsync(int(point.removeprefix("fsync:")))
    build(dataset, store, BuildSettings(partitions=3, factors=8), told)


def main(dataset: Path) -> None:
    """Serve until stdin ends."""
    for line in sys.stdin:
        store, _, point = line.strip().partition(" ")
        child = os.fork()
        if not child:
            code = 1
            try:
                run(dataset, Path(store), point)
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main(Path(sys.argv[1]))
