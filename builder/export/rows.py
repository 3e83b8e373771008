"""Events as rows of the four-field standard and what came with them. Pure but for the memory they take.

What says something of taste (a view, an order, a hidden item) and what was merely shown or looked for are kept apart:
of the latter there is much more, and models do not learn from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import polars as pl
from polars._typing import PolarsDataType

from trunkshow.v1 import events_pb2 as pb

SCHEMA: Mapping[str, PolarsDataType] = {
    "user": pl.String,
    "item": pl.String,
    "interaction": pl.String,
    "timestamp": pl.Datetime("us", "UTC"),
    "event_id": pl.String,
    "value": pl.Float32,
    "request_id": pl.String,
    "carousel": pl.String,
    "position": pl.UInt32,
    "channel": pl.String,
    "context": pl.String,
}
SHOWN = frozenset({pb.INTERACTION_SEARCH, pb.INTERACTION_IMPRESSION, pb.INTERACTION_CONTENT_IMPRESSION})
"""Says nothing of taste by itself."""

BLOCK_ROWS = 10_000
"""Rows are plain objects for so long; then they are columns, a tenth of the size."""


class Rows:
    """Rows of one part."""

    def __init__(self) -> None:
        self.bytes = 0
        self._rows: list[tuple[Any, ...]] = []
        self._frames: list[pl.DataFrame] = []
        self._framed = 0

    def __len__(self) -> int:
        return self._framed + len(self._rows)

    def add(self, event: pb.Event) -> None:
        """One more."""
        self.bytes += event.ByteSize()
        self._rows.append(_row(event))
        if len(self._rows) >= BLOCK_ROWS:
            self._compact()

    def taken(self) -> pl.DataFrame:
        """All of them, in the order of their coming; none are left here."""
        self._compact()
        frame = pl.concat([pl.DataFrame(schema=SCHEMA), *self._frames])
        self.bytes, self._framed, self._frames = 0, 0, []
        return frame

    def _compact(self) -> None:
        self._frames.append(pl.DataFrame(self._rows, schema=SCHEMA, orient="row"))
        self._framed += len(self._rows)
        self._rows = []


def name_of(interaction: int) -> str:
    """How data set files write a type."""
    name = pb.Interaction.Name(pb.Interaction.ValueType(interaction))
    return name.removeprefix("INTERACTION_").lower().replace("_", "-")


_INTERACTIONS = {kind: name_of(kind) for kind in pb.Interaction.values()}
_CHANNELS = {
    kind: pb.Channel.Name(kind).removeprefix("CHANNEL_").lower() if kind else None for kind in pb.Channel.values()
}


def _row(event: pb.Event) -> tuple[Any, ...]:
    return (
        event.user_id,
        event.item_id or None,
        # A type of a later release keeps its number: nothing is dropped, and a data set file can name it.
        _INTERACTIONS.get(event.interaction, str(event.interaction)),
        event.timestamp.ToMicroseconds(),
        event.event_id,
        event.value if event.HasField("value") else None,
        event.request_id or None,
        event.carousel or None,
        event.position if event.HasField("position") else None,
        _CHANNELS.get(event.channel),
        json.dumps(dict(event.context), ensure_ascii=False, sort_keys=True) if event.context else None,
    )
