"""The optional tables: what is known of items and of users besides their events.

A table is read whole; the first of several rows with the same id wins. Rows that cannot be used are counted
and bounded as those of events are, and left out. Items that have events but no row here are items without
metadata: matching the two is left to the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from builder.dataset import Dataset, ItemSource, UserSource
from builder.export import items as exported_items
from builder.ingest.bad_rows import BadRow, BadRowTally
from builder.ingest.sources import file_name, find_files, read_blocks
from builder.ingest.table_rows import item_columns, item_rows, user_rows
from builder.ingest.times_seen import TimesSeen


@dataclass(frozen=True)
class ItemTable:
    """The items table, one row per id, in the order of the file."""

    ids: pl.Series  # (rows,) str
    titles: pl.Series  # (rows,) str, null where unknown
    categories: pl.Series  # (rows,) str, null where unknown
    attributes: Mapping[str, pl.Series]  # by column: (rows,) str, null where unknown
    available: NDArray[np.bool_]  # (rows,) true where unknown
    created_at: NDArray[np.int64]  # (rows,) milliseconds since the epoch, UTC; -1 where unknown
    occasions: pl.Series  # (rows,) list of str, never null, each occasion once
    duplicates: int  # rows left out because their id had come before
    bad: Mapping[str, int]  # rows left out because they could not be used, by reason
    examples: tuple[BadRow, ...]  # the first few of these

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class UserTable:
    """The users table, one row per id, in the order of the file."""

    ids: pl.Series  # (rows,) str
    segments: pl.Series  # (rows,) str, null where there is none
    duplicates: int
    bad: Mapping[str, int]
    examples: tuple[BadRow, ...]

    def __len__(self) -> int:
        return len(self.ids)


def read_items(dataset: Dataset) -> ItemTable | None:
    """The items table, and after it what serving was told of new items; none if the dataset has neither.

    Raises:
        BuildError: One of its subclasses; see `builder.errors`.
    """
    own, told = _own_items(dataset), _told_items(dataset)
    if own is None or told is None:
        return told if own is None else own
    more = ~told.ids.is_in(own.ids.implode()).to_numpy()
    rest = pl.Series(more)
    return replace(
        own,
        ids=pl.concat([own.ids, told.ids.filter(rest)]),
        titles=pl.concat([own.titles, told.titles.filter(rest)]),
        categories=pl.concat([own.categories, told.categories.filter(rest)]),
        attributes={
            name: pl.concat([values, told.attributes[name].filter(rest)]) for name, values in own.attributes.items()
        },
        available=np.concatenate([own.available, told.available[more]]),
        created_at=np.concatenate([own.created_at, told.created_at[more]]),
        occasions=pl.concat([own.occasions, told.occasions.filter(rest)]),
    )


def _own_items(dataset: Dataset) -> ItemTable | None:
    source = dataset.items
    if source is None:
        return None
    return _item_table(_read(dataset, source, item_columns(source), lambda frame: item_rows(frame, source)), source)


def _told_items(dataset: Dataset) -> ItemTable | None:
    """New items of the data set's export, normalised as a file's are."""
    told = exported_items.read(dataset.folder / dataset.export) if dataset.export is not None else None
    if told is None or not told.height:
        return None
    source = exported_items.source_for(told, dataset.items)
    rows = item_rows(exported_items.columns(told, source), source)
    good = rows.filter(pl.col("reason").is_null()).unique("id", keep="first", maintain_order=True)
    return _item_table(_Table(good, 0, BadRowTally()), source)


def _item_table(table: _Table, source: ItemSource) -> ItemTable:
    rows = table.rows
    return ItemTable(
        ids=rows["id"],
        titles=rows["title"],
        categories=rows["category"],
        attributes={name: rows[f"attribute {name}"].alias(name) for name in source.attributes},
        available=rows["available"].fill_null(True).to_numpy(),
        created_at=rows["time"].fill_null(-1).to_numpy(),
        occasions=rows["occasions"],
        duplicates=table.duplicates,
        bad=table.tally.by_reason(),
        examples=tuple(table.tally.examples),
    )


def read_users(dataset: Dataset) -> UserTable | None:
    """The users table, or none if the dataset has none.

    Raises:
        BuildError: One of its subclasses; see `builder.errors`.
    """
    source = dataset.users
    if source is None:
        return None
    table = _read(dataset, source, [source.id, *source.segment], lambda frame: user_rows(frame, source))
    return UserTable(
        ids=table.rows["id"],
        segments=table.rows["segment"],
        duplicates=table.duplicates,
        bad=table.tally.by_reason(),
        examples=tuple(table.tally.examples),
    )


@dataclass(frozen=True)
class _Table:
    rows: pl.DataFrame
    duplicates: int
    tally: BadRowTally


def _read(
    dataset: Dataset,
    source: ItemSource | UserSource,
    columns: Sequence[str],
    clean: Callable[[pl.DataFrame], pl.DataFrame],
) -> _Table:
    tally = BadRowTally()
    # An empty part gives the columns their types also where no file has a row.
    parts = [clean(pl.DataFrame(schema=dict.fromkeys(columns, pl.String)))]
    for path in find_files(dataset.folder, source.path):
        parts += _read_file(dataset, source, path, columns, clean, tally)
    tally.check(dataset.ingest.bad_rows_share_max)
    good = pl.concat(parts).filter(pl.col("reason").is_null())
    rows = good.unique("id", keep="first", maintain_order=True)
    return _Table(rows, good.height - rows.height, tally)


def _read_file(
    dataset: Dataset,
    source: ItemSource | UserSource,
    path: Path,
    columns: Sequence[str],
    clean: Callable[[pl.DataFrame], pl.DataFrame],
    tally: BadRowTally,
) -> list[pl.DataFrame]:
    file = file_name(path, dataset.folder)
    created, occasions = (source.created_at, source.occasions) if isinstance(source, ItemSource) else (None, None)
    times = None if created is None else TimesSeen(file, created)
    parts = []
    for block in read_blocks(path, file, columns, source.separator, lists=() if occasions is None else (occasions,)):
        rows = clean(block.frame)
        tally.add(file, block, rows["reason"])
        if times is not None:
            times.add(block, rows["time"], rows["time_given"])
        parts.append(rows)
    if times is not None:
        times.check()
    return parts
