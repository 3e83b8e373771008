"""All event sources of a dataset as sorted arrays, and a report of what was read.

Files are read one after the other, a bounded block at a time; of each block only numbers are kept, 21 bytes
per event, so that memory grows with distinct ids rather than with text. The formats and what their fields
mean are left to `builder.ingest`; splitting and training to what follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from builder.dataset import Dataset, EventSource
from builder.errors import SourceEmpty
from builder.export import source as exported
from builder.export.forgotten import without
from builder.ingest.bad_rows import BadRow, BadRowTally
from builder.ingest.event_rows import event_columns, event_rows, kind_codes
from builder.ingest.id_book import IdBook
from builder.ingest.sources import file_name, find_files, read_blocks
from builder.ingest.times_seen import TimesSeen

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SORT_KEYS = ("time", "user", "item", "kind", "value")


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


def _silent(file: str, done: int, total: int) -> None:
    """No progress is shown."""


def event_sources(dataset: Dataset, export: exported.Source | None = None) -> tuple[EventSource, ...]:
    """Every event source of a dataset, those of its export included; read anew where it is not given.

    Raises:
        BuildError: The export cannot be read.
    """
    return (*dataset.events, *(export or exported.source_of(dataset)).sources)


def read_events(dataset: Dataset, progress: Callable[[str, int, int], None] = _silent) -> tuple[Events, IngestReport]:
    """Read every event source of a dataset.

    Args:
        dataset: Which files, and what their columns are called.
        progress: Called once per file when it has been read: its name, files done, files in all.

    Raises:
        BuildError: One of its subclasses; see `builder.errors`.
    """
    export = exported.source_of(dataset)
    todo = [
        (source, path) for source in event_sources(dataset, export) for path in find_files(dataset.folder, source.path)
    ]
    intake = _Intake(tuple(dataset.interactions), export.forgotten)
    files = []
    for done, (source, path) in enumerate(todo, start=1):
        file = file_name(path, dataset.folder)
        intake.read(source, path, file)
        files.append(file)
        progress(file, done, len(todo))
    intake.tally.check(dataset.ingest.bad_rows_share_max)
    if not intake.parts:
        raise SourceEmpty(f"{dataset.name}: no event in {', '.join(files[:5])}; check the paths of [[events]]")
    events, duplicates = intake.sorted_events()
    report = _report(intake.tally, events, duplicates, files)
    return events, replace(
        report,
        forgotten=intake.forgotten,
        log_watermark=export.watermark,
        forgotten_watermark=export.forgotten_watermark,
    )


def _report(tally: BadRowTally, events: Events, duplicates: int, files: list[str]) -> IngestReport:
    return IngestReport(
        rows_read=tally.rows_read,
        events=len(events),
        duplicates=duplicates,
        bad=tally.by_reason(),
        examples=tuple(tally.examples),
        files=tuple(files),
        first=EPOCH + timedelta(milliseconds=int(events.times[0])),
        last=EPOCH + timedelta(milliseconds=int(events.times[-1])),
    )


@dataclass
class _Intake:
    """What has been read so far, as numbers."""

    kind_names: tuple[str, ...]
    people: pl.DataFrame  # who is to be forgotten
    forgotten: int = 0
    tally: BadRowTally = field(default_factory=BadRowTally)
    users: IdBook = field(default_factory=IdBook)
    items: IdBook = field(default_factory=IdBook)
    parts: list[pl.DataFrame] = field(default_factory=list)

    def read(self, source: EventSource, path: Path, file: str) -> None:
        """Add one file."""
        times = TimesSeen(file, source.timestamp)
        for block in read_blocks(path, file, event_columns(source), source.separator):
            rows = event_rows(block.frame, source)
            self.tally.add(file, block, rows["reason"])
            times.add(block, rows["time"], rows["time_given"])
            rows = rows.with_columns(kind_codes(rows, self.kind_names, file, block))
            good = rows.filter(pl.col("reason").is_null())
            kept = without(good, self.people)
            self.forgotten += good.height - kept.height
            self._keep(kept)
        times.check()

    def _keep(self, good: pl.DataFrame) -> None:
        if good.height:
            numbered = good.select(
                "time",
                pl.Series("user", self.users.codes(good["user"])),
                pl.Series("item", self.items.codes(good["item"])),
                "kind",
                pl.col("value").fill_null(float("nan")),
            )
            self.parts.append(numbered)

    def sorted_events(self) -> tuple[Events, int]:
        """The events in order, each once, and how many were left out for that."""
        user_ids, user_rows = self.users.in_order()
        item_ids, item_rows = self.items.in_order()
        table = pl.concat(self.parts)
        self.parts.clear()
        table = table.with_columns(
            pl.Series("user", user_rows[table["user"].to_numpy()]),
            pl.Series("item", item_rows[table["item"].to_numpy()]),
        ).sort(_SORT_KEYS)
        fresh = _first_of_each(table)
        columns = {name: table[name].to_numpy()[fresh] for name in _SORT_KEYS}
        events = Events(
            users=columns["user"],
            items=columns["item"],
            kinds=columns["kind"],
            times=columns["time"],
            values=columns["value"],
            user_ids=user_ids,
            item_ids=item_ids,
            kind_names=self.kind_names,
        )
        return events, table.height - len(events)


def _first_of_each(table: pl.DataFrame) -> NDArray[np.bool_]:
    """Marks (n,) the rows of a sorted table that differ from the one before."""
    fresh = np.zeros(table.height, dtype=np.bool_)
    fresh[0] = True
    for name in _SORT_KEYS:
        column = table[name].to_numpy()
        # As bits, so that a missing value (NaN) is the same as another.
        bits = column.view(np.int32) if name == "value" else column
        fresh[1:] |= bits[1:] != bits[:-1]
    return fresh
