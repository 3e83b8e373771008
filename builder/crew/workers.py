"""A crew of Dask workers, on this machine or behind a scheduler elsewhere. The one module that knows Dask.

- Arrays are shared as files in a folder that all workers see, and mapped there: what a worker that dies had read is
  read again by the next one, and nothing large lies in any process's memory for long.
- A task that fails is tried again, elsewhere if need be; one whose worker dies is given to another, and after the
  fourth death it is the task that is to blame. What is raised as a `BuildError` would be raised again: it is not tried.
- So many tasks are under way at once, and no more, however many there are.
- Dask's processes send one another pickled functions and values: whoever reaches the scheduler can have a worker do
  anything. On this machine the workers are reached with a certificate that lives as long as the build; elsewhere TLS is
  Dask's own configuration (docs/operations.md). No snapshot has anything pickled in it.
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

import dask
import dask.system
import distributed
import distributed.system
from distributed.comm.core import CommClosedError

from builder.crew.choice import AUTOMATIC_BYTES
from builder.crew.port import Arrays, Shared
from builder.errors import BuildError, WorkersLost
from builder.stages import Progress
from trunkshow.snapshot import arrays

UNDER_WAY_MAX = 128
RETRIES = 2
"""Of a task that raised, such as by a disk that was full for a moment."""

FIRST_WORKER_S_MAX = 60.0
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


def room() -> int:
    """Workers that this machine has room for: a processor each, and memory; a container has what it is allowed."""
    return int(min(dask.system.CPU_COUNT, distributed.system.MEMORY_LIMIT // 2 // AUTOMATIC_BYTES))


@contextmanager
def on_this_machine(
    count: int, memory_bytes: int, folder: Path, progress: Progress, say: Callable[[str], None]
) -> Iterator[Workers]:
    """Workers that live as long as the block, one thread each, reached by nobody but this process.

    Args:
        count: how many.
        memory_bytes: of each; one that needs more is ended, and its tasks are tried again; 0 for half of this
            machine's memory, divided among them.
        folder: for what they share.
        progress: told of every task.
        say: told where the dashboard is.
    """
    settings = {
        "distributed.worker.daemon": True,
        "distributed.comm.timeouts.connect": "30s",
        # A worker is a processor's: Dask tells BLAS so, and nobody tells Polars, which would start a thread for each.
        "distributed.nanny.pre-spawn-environ.POLARS_MAX_THREADS": "1",
    }
    with (
        dask.config.set(settings),
        distributed.LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            memory_limit=memory_bytes or distributed.system.MEMORY_LIMIT // 2 // count,
            host="127.0.0.1",
            protocol="tls://",
            security=distributed.Security.temporary(),
            dashboard_address="127.0.0.1:0",
            local_directory=str(folder / "workers"),
            silence_logs="ERROR",
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield _introduced(client, count, folder, progress, say)


@contextmanager
def behind(address: str, folder: Path, progress: Progress, say: Callable[[str], None]) -> Iterator[Workers]:
    """The workers of a scheduler that runs already.

    Args:
        address: tls://HOST:PORT or tcp://HOST:PORT; certificates are Dask's own configuration.
        folder: that this process and all workers see; not this one but a new one in it is used, and removed.
        progress: told of every task.
        say: told where the dashboard is.

    Raises:
        WorkersLost: nobody answers there, no worker came, or one does not see the folder.
    """
    mine = folder.absolute() / f"trunkshow-build-{uuid.uuid4().hex}"
    mine.mkdir(parents=True)
    try:
        with _reached(address) as client:
            workers = _introduced(client, 1, mine, progress, say)
            _check(workers)
            yield workers
    finally:
        shutil.rmtree(mine, ignore_errors=True)


def _reached(address: str) -> distributed.Client:
    try:
        return distributed.Client(address, timeout=FIRST_WORKER_S_MAX / 2, set_as_default=False)
    except (OSError, ValueError, TypeError, CommClosedError) as error:
        raise WorkersLost(f"{address}: no scheduler can be reached there ({error!s:.200})") from error


def _introduced(
    client: distributed.Client, count: int, folder: Path, progress: Progress, say: Callable[[str], None]
) -> Workers:
    """The crew, once enough workers are there."""
    say(f"workers are watched at {client.dashboard_link}")
    try:
        client.wait_for_workers(count, timeout=FIRST_WORKER_S_MAX)
    except TimeoutError as error:
        came = len(client.nthreads())
        raise WorkersLost(f"{came} of {count} workers came within {FIRST_WORKER_S_MAX:.0f} s; start some") from error
    return Workers(client, folder, progress)


def _check(workers: Workers) -> None:
    """Every worker must see what is shared, and be of the same release."""
    token = workers.folder / "token"
    token.write_text(uuid.uuid4().hex)
    for worker, said in workers.client.run(_read_if_there, str(token)).items():
        if said != token.read_text():
            raise WorkersLost(f"{worker} does not see {workers.folder}; give a folder that all see, with --shared")


def _sizes(paths: list[str]) -> list[int]:
    """Of files, -1 for one that is not there."""
    return [os.path.getsize(path) if os.path.isfile(path) else -1 for path in paths]  # noqa: PTH113, PTH202


def _read_if_there(path: str) -> str:
    return Path(path).read_text() if os.path.exists(path) else ""  # noqa: PTH110
