"""Which crew a build gets: what a person asked for, or else what the size of the data asks for. A pure decision."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

LOCAL_FROM_BYTES = 256 * 2**20
"""Of event files, from which on a build gets workers by itself. Below, they cost more than they bring: each takes about
three seconds to start."""

AUTOMATIC_BYTES = 2 * 2**30
"""Of memory that each of them has at least. What it has mapped counts, too, as far as it was read."""

WORKERS_MAX = 256

BLOCKS_FROM_CELLS = 20_000_000
"""Of the matrix of users and items, from which on a scheduler's workers train, too. Below, what is sent between the
half sweeps is said to cost more than it brings; that is a judgement, and no measurement."""


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
        by_blocks: whether training is divided among them; None chooses by the data.
        shared: a folder that this process and the workers of a scheduler see; None for the store's, where it is one.
    """

    scheduler: str = ""
    workers: int | None = None
    worker_memory_bytes: int = 0
    shared: Path | None = None
    by_blocks: bool | None = None


def chosen(settings: CrewSettings, data_bytes: int, room: int, has_dask: bool) -> tuple[Kind, int]:
    """Whose processes, and how many are to be started.

    Args:
        settings: what a person chose.
        data_bytes: of the event files.
        room: workers that there are processors and memory for.
        has_dask: whether it is installed here.
    """
    if settings.scheduler:
        return Kind.SCHEDULER, 0
    if settings.workers is not None:
        return (Kind.LOCAL, settings.workers) if settings.workers else (Kind.ALONE, 0)
    if has_dask and room > 1 and data_bytes >= LOCAL_FROM_BYTES:
        return Kind.LOCAL, min(room, WORKERS_MAX)
    return Kind.ALONE, 0


def trains_from(settings: CrewSettings, kind: Kind) -> int | None:
    """Cells of the matrix from which on a crew trains, too; None for never.

    On one machine the library's own threads do as well; other machines are there to be used.
    """
    if settings.by_blocks is not None:
        return 0 if settings.by_blocks else None
    return BLOCKS_FROM_CELLS if kind is Kind.SCHEDULER else None
