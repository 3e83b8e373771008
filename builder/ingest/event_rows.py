"""One block of an event source as clean columns, each row with what is wrong with it, if anything.

Reading the blocks is left to `sources`; counting, numbering and sorting to `builder.events`.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from builder.dataset import EventSource
from builder.errors import InteractionUnknown
from builder.ingest import values
from builder.ingest.bad_rows import place, quoted
from builder.ingest.block import Block
from trunkshow.snapshot.catalogue import ID_BYTES_MAX


def event_columns(source: EventSource) -> list[str]:
    """The columns that an event source is read for."""
    named = (source.user, source.item, source.interaction, source.timestamp, source.value)
    return [name for name in named if name is not None]


def event_rows(frame: pl.DataFrame, source: EventSource, until_ms: int) -> pl.DataFrame:
    """Raw columns as `user`, `item`, `kind`, `reason` (String), `time` (Int64, ms) and `value` (Float32).

    `reason` is null for a good row; the first reason is given where there are several. What is said to have happened
    later than `until_ms`, milliseconds since the epoch, did not: with it a snapshot would claim to know all until then.
    """
    clean = pl.DataFrame(
        {
            "user": values.ids(frame[source.user]),
            "item": values.ids(frame[source.item]),
            "kind": _kinds(frame, source),
            "time": values.milliseconds(frame[source.timestamp]),
            "time_given": values.present(frame[source.timestamp]),
        }
    )
    if source.value is None:
        clean = clean.with_columns(value=pl.lit(None, pl.Float32), value_given=pl.lit(False))
    else:
        raw = frame[source.value]
        clean = clean.with_columns(values.numbers(raw).alias("value"), values.present(raw).alias("value_given"))
    return clean.with_columns(
        reason=pl.when(pl.col("user").is_null())
        .then(pl.lit("missing user"))
        .when(pl.col("item").is_null())
        .then(pl.lit("missing item"))
        .when(pl.max_horizontal(pl.col("user", "item").str.len_bytes()) > ID_BYTES_MAX)
        .then(pl.lit("id too long"))
        .when(pl.col("kind").is_null())
        .then(pl.lit("missing interaction"))
        .when(~pl.col("time_given"))
        .then(pl.lit("missing timestamp"))
        .when(pl.col("time").is_null())
        .then(pl.lit("unreadable timestamp"))
        .when(pl.col("time") > until_ms)
        .then(pl.lit("timestamp in the future"))
        .when(pl.col("value_given") & pl.col("value").is_null())
        .then(pl.lit("unreadable value"))
    )


def kind_codes(rows: pl.DataFrame, known: Sequence[str], file: str, block: Block) -> pl.Series:
    """Each row's place in the known interaction types, dtype UInt8; null for a row without one.

    Raises:
        InteractionUnknown: A good row's type is not known.
    """
    codes = rows["kind"].cast(pl.Enum(known), strict=False).to_physical().cast(pl.UInt8)
    unknown = (codes.is_null() & rows["reason"].is_null()).arg_true()
    if len(unknown):
        at = unknown[0]
        raise InteractionUnknown(
            f'{place(file, int(block.rows[at]))}: unknown interaction type "{quoted(rows["kind"][at])}"; '
            f"the known ones are {', '.join(known)}; add it to [interactions] with its weight"
        )
    return codes


def _kinds(frame: pl.DataFrame, source: EventSource) -> pl.Series:
    if source.interaction is not None:
        return values.ids(frame[source.interaction])
    return pl.repeat(source.interaction_type, frame.height, dtype=pl.String, eager=True)
