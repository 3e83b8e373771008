"""The crew of a build, from what a person chose and how large the data is, for as long as the build takes."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from builder.crew import choice
from builder.crew.choice import CrewSettings, Kind
from builder.crew.port import Alone, Crew
from builder.errors import DaskMissing
from builder.stages import Progress

if TYPE_CHECKING:
    from builder.crew.workers import Workers


@contextmanager
def crew(
    settings: CrewSettings, data_bytes: int, folder: Path, progress: Progress, say: Callable[[str], None]
) -> Iterator[Crew]:
    """The crew; what it started ends with the block.

    Args:
        settings: what a person chose.
        data_bytes: of the event files.
        folder: of the build, on this machine or on a file system that machines share.
        progress: told of every task.
        say: told what a person should know, a line at a time.

    Raises:
        DaskMissing: workers are asked for, and it is not installed.
        WorkersLost: they do not come.
    """
    has_dask = importlib.util.find_spec("distributed") is not None
    large = has_dask and data_bytes >= choice.LOCAL_FROM_BYTES
    kind, count = choice.chosen(settings, data_bytes, _room() if large else 1, has_dask)
    if kind is not Kind.ALONE and not has_dask:
        raise DaskMissing("workers need Dask, which is not installed; install trunkshow[scale]")
    with _opened(kind, count, settings, folder, progress, say) as opened:
        yield replace(opened, trains_from=choice.trains_from(settings, kind))


def _opened(
    kind: Kind, count: int, settings: CrewSettings, folder: Path, progress: Progress, say: Callable[[str], None]
) -> AbstractContextManager[Alone | Workers]:
    if kind is Kind.ALONE:
        return nullcontext(Alone(folder / "work", progress))
    from builder.crew import reaching  # whoever builds alone need not have Dask

    if kind is Kind.LOCAL:
        return reaching.on_this_machine(count, settings.worker_memory_bytes, folder / "work", progress, say)
    return reaching.behind(settings.scheduler, settings.shared or folder, progress, say)


def _room() -> int:
    from builder.crew import reaching

    return reaching.room()
