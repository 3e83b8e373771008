"""Which crew a build gets: what a person asked for, or else what the size of the data asks for. A pure decision."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

LOCAL_FROM_BYTES = 256 * 2**20
"""Of event files, from which on a build gets workers by itself. Below, they cost more than they bring: each takes about
three seconds to start."""

WORKERS_MAX = 256


class Kind(Enum):
    """Whose processes do the tasks."""

    ALONE = "alone"
    LOCAL = "local"
    SCHEDULER = "scheduler"


@dataclass(frozen=True)
class CrewSettings:
    """What a person chooses of who does the work.

    Attributes:
        scheduler: of Dask workers that run already, tls://HOST:PORT or tcp://HOST:PORT; empty for none.
        workers: processes to start on this machine; 0 for none but this one; None chooses by the data.
        worker_memory_bytes: of each that is started; 0 divides half of the machine's.
        shared: a folder that this process and the workers of a scheduler see; None for the store's, where it is one.
    """

    scheduler: str = ""
    workers: int | None = None
    worker_memory_bytes: int = 0
    shared: Path | None = None


def chosen(settings: CrewSettings, data_bytes: int, processors: int, has_dask: bool) -> tuple[Kind, int]:
    """Whose processes, and how many are to be started.

    Args:
        settings: what a person chose.
        data_bytes: of the event files.
        processors: that this process may use.
        has_dask: whether it is installed here.
    """
    if settings.scheduler:
        return Kind.SCHEDULER, 0
    if settings.workers is not None:
        return (Kind.LOCAL, settings.workers) if settings.workers else (Kind.ALONE, 0)
    if has_dask and processors > 1 and data_bytes >= LOCAL_FROM_BYTES:
        return Kind.LOCAL, min(processors, WORKERS_MAX)
    return Kind.ALONE, 0
