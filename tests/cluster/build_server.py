"""Builds in processes of their own that kill themselves at a given point: `python build_server.py DATASET`.

Every line on stdin, `STORE POINT`, forks a process that builds into the store; the answer is a line of JSON with its
exit code, negative for a signal, how often it called fsync, zero where it did not come to its end, and what it wrote to
stderr. A point is a step that the build tells of (`fit`), which dies as the step begins, or `fsync:N`, which dies
instead of the Nth fsync; `none` lives. With `disk:N` it is the command `trunkshow build` that runs, for which no file
can become larger than N bytes. Forked, so that a dozen builds import everything once.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import irspack.recommenders.ials
import irspack.recommenders.knn  # noqa: F401 - both are imported by fitting, and take seconds

from builder.pipeline import BuildSettings, build
from cli.main import main as command


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
    if point.startswith("disk:"):
        bytes_max = int(point.removeprefix("disk:"))
        sys.dont_write_bytecode = True  # what there is room for would be kept, and whoever imports that fails
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, bytes_max))
        command(["build", str(dataset), "--store", str(store), "--partitions", "3", "--json"])

    def told(what: str, done: int, of: int) -> None:
        if what == point:
            die()

    fsyncs = Fsyncs(int(point.removeprefix("fsync:")) if point.startswith("fsync:") else 0)
    build(dataset, store, BuildSettings(partitions=3, factors=8), told)
    return fsyncs.count


def fork(dataset: Path, store: Path, point: str) -> str:
    """Run in a process of its own; return what became of it."""
    here, there = os.pipe()
    errors_here, errors_there = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(errors_there, 2)
            os.write(there, str(run(dataset, store, point)).encode())
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(there)
    os.close(errors_there)
    with os.fdopen(errors_here) as errors, os.fdopen(here) as answer:
        said, fsyncs = errors.read(), answer.read()
    _, status = os.waitpid(child, 0)
    return json.dumps([os.waitstatus_to_exitcode(status), int(fsyncs or 0), said])


def main(dataset: Path) -> None:
    """Serve until stdin ends."""
    for line in sys.stdin:
        store, _, point = line.strip().partition(" ")
        print(fork(dataset, Path(store), point), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main(Path(sys.argv[1]))
