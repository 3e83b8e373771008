"""Dask workers, reached: started on this machine for as long as a build takes, or found behind a scheduler elsewhere.

On this machine they are reached with a certificate that lives as long as the build; elsewhere TLS is Dask's own
configuration (docs/operations.md). What they do is `builder.crew.workers`' business.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dask
import dask.system
import distributed
import distributed.system
from distributed.comm.core import CommClosedError

from builder.crew.choice import AUTOMATIC_BYTES
from builder.crew.workers import Workers
from builder.errors import WorkersLost
from builder.stages import Progress

FIRST_WORKER_S_MAX = 60.0


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


def _read_if_there(path: str) -> str:
    return Path(path).read_text() if os.path.exists(path) else ""  # noqa: PTH110
