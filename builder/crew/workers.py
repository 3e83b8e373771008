"""A crew of Dask workers, by the client that reaches them; how they come is `reaching`'s business. These two know Dask.

- Arrays are shared as files in a folder that all workers see, and mapped there: what a worker that dies had read is
  read again by the next one, and nothing large lies in any process's memory for long.
- A task that fails is tried again, elsewhere if need be; one whose worker dies is given to another, and after the
  fourth death it is the task that is to blame. What is raised as a `BuildError` would be raised again: it is not tried.
- So many tasks are under way at once, and no more, however many there are.
- Dask's processes send one another pickled functions and values: whoever reaches the scheduler can have a worker do
  anything, which is why `reaching` says who does. No snapshot has anything pickled in it.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import distributed
from distributed.comm.core import CommClosedError

from builder.crew.port import Arrays, Shared
from builder.errors import BuildError, WorkersLost
from builder.stages import Progress
from trunkshow.snapshot import arrays

UNDER_WAY_MAX = 128
RETRIES = 2
"""Of a task that raised, such as by a disk that was full for a moment."""

WORKERLESS_S_MAX = 300.0
"""As long a build waits for workers when all of them went."""

POLL_S = 5.0

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class OnDisk:
    """Arrays in a folder that all workers see."""

    folder: Path

    def arrays(self) -> Arrays:
        """The arrays, mapped."""
        return arrays.load(self.folder)


@dataclass(frozen=True)
class Workers:
    """Dask workers, by the client that reaches them.

    Attributes:
        client: connected.
        folder: that all of them see.
        progress: told (what, done, of how many).
        trains_from: cells of the matrix from which on they train, too; None for never.
        clock: a port: monotonic seconds.
    """

    client: distributed.Client
    folder: Path
    progress: Progress
    trains_from: int | None = None
    clock: Callable[[], float] = field(default=time.monotonic)

    @property
    def alone(self) -> bool:
        """There are workers."""
        return False

    def seen(self, files: Mapping[str, int]) -> set[str]:
        """Asked of each that is there now; whoever comes later, and does not see them, fails at its tasks."""
        answers = list(self.client.run(_sizes, list(files), on_error="ignore").values())
        found = zip(files.items(), *answers, strict=True) if answers else ()
        return {path for (path, size), *sizes in found if all(one == size for one in sizes)}

    @contextmanager
    def share(self, shared: Arrays) -> Iterator[Shared]:
        """As files, under a name that never was there before: no machine's cache has another's content for it."""
        folder = self.folder / "shared" / uuid.uuid4().hex
        arrays.save(folder, shared)
        try:
            yield OnDisk(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def each(self, what: str, do: Callable[[T], R], tasks: Sequence[T]) -> list[R]:
        """Every task on some worker; results are fetched as they come, and kept in order."""
        results: dict[int, R] = {}
        waiting = deque(range(len(tasks)))
        under_way: dict[Any, int] = {}
        try:
            while waiting or under_way:
                while waiting and len(under_way) < UNDER_WAY_MAX:
                    at = waiting.popleft()
                    under_way[self._submit(what, do, tasks[at])] = at
                for future in self._done(what, under_way):
                    at = under_way.pop(future)
                    results[at] = _result(what, future)
                    self.progress(what, len(results), len(tasks))
        finally:
            self.client.cancel(list(under_way))
        return [results[at] for at in range(len(tasks))]

    def report(self) -> dict[str, int]:
        """Of those that are there now; one that was ended for its memory took its peak with it."""
        peaks = self.client.run(_peak_rss_bytes, on_error="ignore")
        return {"workers": len(peaks), "peak_rss_bytes": max(peaks.values(), default=0)}

    def _submit(self, what: str, do: Callable[[T], R], task: T) -> Any:
        key = f"{what.replace(' ', '-')}-{uuid.uuid4().hex}"
        return self.client.submit(_attempt, do, task, key=key, pure=False, retries=RETRIES)

    def _done(self, what: str, under_way: dict[Any, int]) -> list[Any]:
        """Those that ended, at least one; as long as there is somebody to do them, there is no hurry."""
        last_seen = self.clock()
        while True:
            try:
                with self.client.as_current():
                    return list(distributed.wait(list(under_way), POLL_S, "FIRST_COMPLETED").done)
            except CancelledError as error:
                raise _lost(what, error) from error
            except TimeoutError:
                if self.client.status == "running" and self.client.nthreads():
                    last_seen = self.clock()
            if self.clock() - last_seen > WORKERLESS_S_MAX:
                raise WorkersLost(
                    f"{what}: there has been no worker for {WORKERLESS_S_MAX:.0f} s; start some, build again"
                )


def _attempt(do: Callable[[T], R], task: T) -> tuple[R | None, BuildError | None]:
    """On a worker: what became of a task. That the input is wrong is a result: it will not be right the next time."""
    try:
        return do(task), None
    except BuildError as error:
        return None, error


def _result(what: str, future: Any) -> Any:
    try:
        result, wrong = future.result()
    except distributed.KilledWorker as error:
        raise WorkersLost(
            f"{what}: four workers died over one task; give each more memory, or see their logs ({error!s:.200})"
        ) from error
    except (CancelledError, CommClosedError, asyncio.CancelledError) as error:
        raise _lost(what, error) from error
    if wrong is not None:
        raise wrong
    return result


def _lost(what: str, error: BaseException) -> WorkersLost:
    return WorkersLost(f"{what}: the scheduler of the workers is gone ({error!s:.100}); build again")


def _peak_rss_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _sizes(paths: list[str]) -> list[int]:
    """Of files, -1 for one that is not there."""
    return [os.path.getsize(path) if os.path.isfile(path) else -1 for path in paths]  # noqa: PTH113, PTH202
