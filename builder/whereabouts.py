"""Where somebody is in files: rows of theirs in a data set's own sources, and in an export's parts.

They are read as a build reads them, a block at a time, bad rows too: what a build does not use names people as well.
What is to be forgotten, and what a build leaves out, is `builder.export.forgotten`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from builder.dataset import Dataset
from builder.export.state import Exported
from builder.ingest import values
from builder.ingest.sources import file_name, find_files, read_blocks
from trunkshow.eventlog.names import as_built


class Rows(NamedTuple):
    """Somebody's, in one file.

    Attributes:
        file: within its folder, where it is in there.
        before: of what happened up to a moment, or at a time that cannot be told.
        after: of what happened since.
    """

    file: str
    before: int
    after: int


def in_export(folder: Path, exported: Exported, user: str, until_ms: int) -> Rows:
    """Rows in the parts that an export names, of taste and of what was shown.

    Args:
        folder: of it.
        exported: what it says of itself.
        user: who.
        until_ms: the moment, milliseconds since the epoch.

    Raises:
        OSError | pl.exceptions.PolarsError: a part cannot be read.
    """
    before = after = 0
    for part in (*exported.events, *exported.shown):
        rows = pl.read_parquet(folder / part.name, columns=["user", "timestamp"], glob=False, hive_partitioning=False)
        found = _counted(rows["user"], rows["timestamp"], user, until_ms)
        before, after = before + found[0], after + found[1]
    return Rows(str(folder), before, after)


def in_dataset(dataset: Dataset, user: str, until_ms: int) -> Iterator[Rows]:
    """Rows in a data set's own events and users, file by file; an export that it names is looked into by itself.

    Args:
        dataset: whose.
        user: who.
        until_ms: the moment, milliseconds since the epoch; a row of the users table counts as before it.

    Raises:
        BuildError: a file is missing, or is not what the data set says.
    """
    for source in dataset.events:
        yield from _in_files(dataset, source.path, (source.user, source.timestamp), source.separator, user, until_ms)
    if dataset.users is not None:
        users = dataset.users
        yield from _in_files(dataset, users.path, (users.id,), users.separator, user, until_ms)


def _in_files(
    dataset: Dataset, pattern: str, columns: Sequence[str], separator: str, user: str, until_ms: int
) -> Iterator[Rows]:
    """Of one source: columns of ids and, where it has them, of times."""
    for path in find_files(dataset.folder, pattern):
        before = after = 0
        name = file_name(path, dataset.folder)
        for block in read_blocks(path, name, columns, separator):
            times = block.frame[columns[1]] if len(columns) > 1 else None
            found = _counted(block.frame[columns[0]], times, user, until_ms)
            before, after = before + found[0], after + found[1]
        yield Rows(name, before, after)


def _counted(ids: pl.Series, times: pl.Series | None, user: str, until_ms: int) -> tuple[int, int]:
    """Rows of somebody before and after a moment."""
    theirs = (values.ids(ids) == as_built(user)).fill_null(False)
    if times is None or not theirs.any():
        return int(theirs.sum()), 0
    after = int((values.milliseconds(times.filter(theirs)) > until_ms).sum())
    return int(theirs.sum()) - after, after
