"""All event sources of a dataset as sorted arrays, and a report of what was read.

Files are read one after the other, a bounded block at a time, or in parts by a crew (`builder.divided`); of each block
only numbers are kept, 21 bytes per event, so that memory grows with distinct ids rather than with text
(`builder.intake`). The formats and what their fields mean are left to `builder.ingest`; splitting and training to what
follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from time import time
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from builder.crew.port import Crew
from builder.dataset import Dataset, EventSource
from builder.divided import Gathered, read_divided
from builder.errors import SourceEmpty
from builder.export import source as exported
from builder.ingest.bad_rows import BadRow, BadRowTally
from builder.ingest.event_rows import event_columns
from builder.ingest.sources import file_name, find_files, read_blocks
from builder.ingest.times_seen import TimesSeen
from builder.intake import SORT_KEYS, Intake, first_of_each
from builder.part_reading import File
from builder.stages import Progress

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

AHEAD_S_MAX = 86_400.0
"""By so much an event may have happened after the build began: clocks differ, and times are written without a zone."""


@dataclass(frozen=True)
class Events:
    """All good events, sorted by (time, user, item, kind, value).

    The same input gives the same arrays, whatever the order of the files and of their rows.
    """

    users: NDArray[np.int32]  # (n,) row in user_ids
    items: NDArray[np.int32]  # (n,) row in item_ids
    kinds: NDArray[np.uint8]  # (n,) row in kind_names
    times: NDArray[np.int64]  # (n,) milliseconds since the epoch, UTC
    values: NDArray[np.float32]  # (n,) NaN where the source has none
    user_ids: pl.Series  # (users,) str, sorted
    item_ids: pl.Series  # (items,) str, sorted
    kind_names: tuple[str, ...]  # order of [interactions]

    def weights(self, interactions: Mapping[str, float]) -> NDArray[np.float32]:
        """The weight (n,) of each event's type.

        Raises:
            KeyError: A type of these events has no weight.
        """
        by_kind = np.array([interactions[name] for name in self.kind_names], dtype=np.float32)
        return by_kind[self.kinds]

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True)
class IngestReport:
    """What was read, what was left out and why."""

    rows_read: int  # bad rows and duplicates included, headers and blank lines not
    events: int  # good and distinct
    duplicates: int  # same user, item, interaction, timestamp and value as another; not bad
    bad: Mapping[str, int]  # bad rows by reason, the commonest first
    examples: tuple[BadRow, ...]  # the first few, in the order of reading
    files: tuple[str, ...]  # in the order of reading
    first: datetime  # earliest timestamp, UTC
    last: datetime  # latest timestamp, UTC
    forgotten: int = 0  # rows of people who are to be forgotten; not bad
    log_watermark: str = ""  # of the event log, up to which an export among the sources has it
    forgotten_watermark: str = ""  # of its tombstones, up to which people were left out
    log_lineage: Mapping[str, Sequence[int | str]] = field(default_factory=dict)  # the last records of that export

    def to_json(self) -> dict[str, Any]:
        """The report as plain values; times as ISO text."""
        return {
            "rows_read": self.rows_read,
            "events": self.events,
            "duplicates": self.duplicates,
            "bad": dict(self.bad),
            "examples": [
                {"file": row.file, "row": row.row, "reason": row.reason, "text": row.text} for row in self.examples
            ],
            "files": list(self.files),
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "forgotten": self.forgotten,
            "log_watermark": self.log_watermark,
            "forgotten_watermark": self.forgotten_watermark,
        }


def event_sources(dataset: Dataset, export: exported.Source | None = None) -> tuple[EventSource, ...]:
    """Every event source of a dataset, those of its export included; read anew where it is not given.

    Raises:
        BuildError: The export cannot be read.
    """
    return (*dataset.events, *(export or exported.source_of(dataset)).sources)


def read_events(
    dataset: Dataset,
    progress: Progress = lambda what, done, of: None,
    crew: Crew | None = None,
    say: Callable[[str], None] = lambda line: None,
    wall: Callable[[], float] = time,
) -> tuple[Events, IngestReport]:
    """Read every event source of a dataset.

    Args:
        dataset: Which files, and what their columns are called.
        progress: Told of every file that was read by this process; the crew tells of its own.
        crew: Reads the files in parts, where there is anybody besides this process.
        say: Told what a person should know.
        wall: A port: seconds since the epoch.

    Raises:
        BuildError: One of its subclasses; see `builder.errors`.
    """
    export = exported.source_of(dataset)
    files = [
        File(source, path.absolute(), file_name(path, dataset.folder))
        for source in event_sources(dataset, export)
        for path in find_files(dataset.folder, source.path)
    ]
    kind_names, until_ms = tuple(dataset.interactions), round((wall() + AHEAD_S_MAX) * 1000)
    if crew is None or crew.alone:
        read: Intake | Gathered = _read(files, kind_names, export.forgotten, until_ms, progress)
    else:
        read = read_divided(files, kind_names, export.forgotten, until_ms, crew, say)
    read.tally.check(dataset.ingest.bad_rows_share_max)
    names = tuple(file.name for file in files)
    if not read.has_events:
        raise SourceEmpty(f"{dataset.name}: no event in {', '.join(names[:5])}; check the paths of [[events]]")
    events, duplicates = _sorted(read, kind_names)
    report = _report(read.tally, events, duplicates, names)
    return events, replace(
        report,
        forgotten=read.forgotten,
        log_watermark=export.watermark,
        forgotten_watermark=export.forgotten_watermark,
        log_lineage=export.lineage,
    )


def _read(
    files: Sequence[File], kind_names: tuple[str, ...], people: pl.DataFrame, until_ms: int, progress: Progress
) -> Intake:
    """All files, one after the other."""
    intake = Intake(kind_names, people, until_ms)
    for done, (source, path, name) in enumerate(files, start=1):
        times = TimesSeen(name, source.timestamp)
        intake.read(source, name, read_blocks(path, name, event_columns(source), source.separator), times)
        times.check()
        progress(name, done, len(files))
    return intake


def _sorted(read: Intake | Gathered, kind_names: tuple[str, ...]) -> tuple[Events, int]:
    """The events in order, each once, and how many were left out for that."""
    table, user_ids, item_ids = read.table()
    table = table.sort(SORT_KEYS)
    fresh = first_of_each(table)
    columns = {name: table[name].to_numpy()[fresh] for name in SORT_KEYS}
    events = Events(
        users=columns["user"],
        items=columns["item"],
        kinds=columns["kind"],
        times=columns["time"],
        values=columns["value"],
        user_ids=user_ids,
        item_ids=item_ids,
        kind_names=kind_names,
    )
    return events, table.height - len(events)


def _report(tally: BadRowTally, events: Events, duplicates: int, files: tuple[str, ...]) -> IngestReport:
    return IngestReport(
        rows_read=tally.rows_read,
        events=len(events),
        duplicates=duplicates,
        bad=tally.by_reason(),
        examples=tuple(tally.examples),
        files=files,
        first=EPOCH + timedelta(milliseconds=int(events.times[0])),
        last=EPOCH + timedelta(milliseconds=int(events.times[-1])),
    )
