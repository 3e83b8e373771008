"""New items that serving was told of, as a file beside an export, and as rows of the items table.

`items.parquet` has one row per item, as it was told of last; each export adds what came since to what it has. To the
builder the data set's own table comes first: it is the shop's word, and this is for what it does not have yet.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import polars as pl
from polars._typing import PolarsDataType

from builder.dataset import ItemSource
from builder.errors import DatasetInvalid
from builder.export import state
from trunkshow.eventlog.log import EventLog, LogMissing
from trunkshow.eventlog.watermark import Watermark
from trunkshow.v1 import events_pb2 as pb

FILE_NAME = "items.parquet"
ATTRIBUTES_MAX = 32
"""Columns of a data set that has no items table of its own: the attributes that most items have."""

END_WITHIN_S = 10.0

SCHEMA: Mapping[str, PolarsDataType] = {
    "id": pl.String,
    "title": pl.String,
    "category": pl.String,
    "attributes": pl.String,  # JSON
    "available": pl.Boolean,
    "created": pl.Datetime("ms", "UTC"),
    "occasions": pl.List(pl.String),
}

Row = tuple[Any, ...]


async def told_since(log: EventLog, after: Watermark | None) -> tuple[dict[str, Row], Watermark | None]:
    """Items of the log after a watermark, by id, each as it was told of last; and where the log ends.

    Raises:
        LogUnavailable: the log does not answer.
    """
    try:
        end = await log.end(END_WITHIN_S)
    except LogMissing:  # it is made by the first router
        return {}, after
    # One that went back, restored from an older copy, has other items at the same numbers: it is read whole.
    begun = after if after is not None and after.log == end.log and end.covers(after) else None
    told: dict[str, Row] = {}
    if begun is not None and begun.covers(end):
        return told, end
    async with aclosing(log.read(begun, end)) as reads:
        async for read in reads:
            for item in read.record.items:
                told.pop(item.id, None)
                told[item.id] = _row(item)
    return told, end


def merged(before: pl.DataFrame, told: Mapping[str, Row]) -> pl.DataFrame:
    """What was exported before, with what was told since instead of it."""
    since = pl.DataFrame(list(told.values()), schema=dict(SCHEMA), orient="row")
    return pl.concat([before.join(since.select("id"), on="id", how="anti", maintain_order="left"), since])


def read(folder: Path) -> pl.DataFrame:
    """The items of an export's folder; none where it has none.

    Raises:
        DatasetInvalid: they cannot be read.
    """
    exported = state.read(folder)
    if exported is None or not exported.items:
        return pl.DataFrame(schema=dict(SCHEMA))
    try:
        return pl.read_parquet(folder / FILE_NAME, glob=False, hive_partitioning=False).select(list(SCHEMA))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DatasetInvalid(f"{folder / FILE_NAME}: cannot be read ({error!s:.100})") from error


def source_for(told: pl.DataFrame, own: ItemSource | None) -> ItemSource:
    """How these rows are read: with the attributes of the data set's own table, where it has one."""
    attributes = own.attributes if own is not None else _most_frequent(told["attributes"])
    return ItemSource(
        path=FILE_NAME,
        attributes=tuple(attributes),
        id=_column("id"),
        title=_column("title"),
        category=_column("category"),
        available=_column("available"),
        created_at=_column("created"),
        occasions=_column("occasions"),
    )


def columns(told: pl.DataFrame, source: ItemSource) -> pl.DataFrame:
    """These rows with a column for each attribute of a source, as a file would have them."""
    attributes = [json.loads(text) for text in told["attributes"]]
    given = {name: [one.get(name) for one in attributes] for name in source.attributes}
    return (
        told.drop("attributes")
        .rename(_column)
        .with_columns(pl.Series(name, values, dtype=pl.String) for name, values in given.items())
    )


def _column(name: str) -> str:
    """What a column is called beside attributes, which may have any name."""
    return f"\0{name}"


def _most_frequent(attributes: pl.Series) -> Sequence[str]:
    counts = Counter(name for text in attributes for name in json.loads(text))
    return sorted(name for name, _ in counts.most_common(ATTRIBUTES_MAX))


def _row(item: pb.NewItem) -> Row:
    return (
        item.id,
        item.title or None,
        item.category or None,
        json.dumps(dict(item.attributes), ensure_ascii=False, sort_keys=True),
        item.available if item.HasField("available") else True,
        item.created.ToMilliseconds(),
        list(item.occasions),
    )
