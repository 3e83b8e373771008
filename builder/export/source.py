"""An export as a source of events of a data set: the files that it names, and how far it has the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from types import MappingProxyType
from typing import NamedTuple

import polars as pl

from builder.dataset import Dataset, EventSource
from builder.errors import SourceMissing
from builder.export import forgotten, state
from builder.export.forgotten import NOBODY


class Source(NamedTuple):
    """What a data set's export gives.

    Attributes:
        sources: of events; impressions and searches are none.
        watermark: of the log, up to which they are in it; empty where there is no export.
        lineage: lane → number and digest of the last record of the log that is in it.
        forgotten: who is to be left out of all sources, as `builder.export.forgotten` has them.
        forgotten_watermark: of the tombstones' log, with the last of them.
    """

    sources: tuple[EventSource, ...] = ()
    watermark: str = ""
    lineage: Mapping[str, Sequence[int | str]] = MappingProxyType({})
    forgotten: pl.DataFrame = NOBODY
    forgotten_watermark: str = ""


def source_of(dataset: Dataset) -> Source:
    """The export of a data set, as it is now; nothing where it has none.

    Raises:
        SourceMissing: the folder is no export's.
        DatasetInvalid: what it says of itself cannot be read.
    """
    if dataset.export is None:
        return Source()
    folder = dataset.folder / dataset.export
    exported = state.read(folder)
    if exported is None:
        raise SourceMissing(
            f"{dataset.export}: it has no {state.FILE_NAME}; correct [log] export, or run `trunkshow export-events`"
        )
    sources = tuple(_events(str(PurePath(dataset.export, part.name))) for part in exported.events)
    people = forgotten.read(folder) if exported.forgotten else forgotten.NOBODY
    lineage = {str(lane): (last.number, last.digest) for lane, last in exported.lineage.items()}
    return Source(sources, str(exported.watermark or ""), lineage, people, str(exported.forgotten or ""))


def _events(path: str) -> EventSource:
    return EventSource(
        path=path,
        user="user",
        item="item",
        interaction="interaction",
        interaction_type=None,
        timestamp="timestamp",
        value="value",
    )
