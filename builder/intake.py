"""Events as numbers: what has been read so far of some files, ids numbered as they came, bad rows counted.

Which blocks there are is the business of whoever reads files (`builder.events`) or parts of them (`builder.divided`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from builder.dataset import EventSource
from builder.export.forgotten import without
from builder.ingest.bad_rows import BadRowTally
from builder.ingest.block import Block
from builder.ingest.event_rows import event_rows, kind_codes
from builder.ingest.id_book import IdBook
from builder.ingest.times_seen import TimesSeen

SORT_KEYS = ("time", "user", "item", "kind", "value")


@dataclass
class Intake:
    """What has been read so far.

    Attributes:
        kind_names: that are known.
        people: who is to be forgotten, as `builder.export.forgotten` has them.
        until_ms: when an event may have happened at the latest, milliseconds since the epoch.
        forgotten: rows of theirs.
        tally: of bad rows.
        users: their ids, numbered.
        items: likewise.
        parts: the good rows of each block: `SORT_KEYS`, 21 bytes a row, users and items by these numbers.
    """

    kind_names: tuple[str, ...]
    people: pl.DataFrame
    until_ms: int
    forgotten: int = 0
    tally: BadRowTally = field(default_factory=BadRowTally)
    users: IdBook = field(default_factory=IdBook)
    items: IdBook = field(default_factory=IdBook)
    parts: list[pl.DataFrame] = field(default_factory=list)

    def read(self, source: EventSource, file: str, blocks: Iterable[Block], times: TimesSeen) -> None:
        """Add blocks of one file.

        Raises:
            InteractionUnknown: A good row's type is not known.
        """
        for block in blocks:
            rows = event_rows(block.frame, source, self.until_ms)
            self.tally.add(file, block, rows["reason"])
            times.add(block, rows["time"], rows["time_given"])
            rows = rows.with_columns(kind_codes(rows, self.kind_names, file, block))
            good = rows.filter(pl.col("reason").is_null())
            kept = without(good, self.people)
            self.forgotten += good.height - kept.height
            self._keep(kept)

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

    @property
    def has_events(self) -> bool:
        """Whether any row was good."""
        return bool(self.parts)

    def table(self) -> tuple[pl.DataFrame, pl.Series, pl.Series]:
        """All good rows, users and items by their places among the ids, and these, ascending. The rows are let go."""
        user_ids, user_rows = self.users.in_order()
        item_ids, item_rows = self.items.in_order()
        table = pl.concat(self.parts)
        self.parts.clear()
        return renumbered(table, user_rows, item_rows), user_ids, item_ids


def renumbered(table: pl.DataFrame, user_rows: NDArray[np.int32], item_rows: NDArray[np.int32]) -> pl.DataFrame:
    """The rows, their users and items by other numbers: (users,) and (items,) of each one's so far."""
    return table.with_columns(
        pl.Series("user", user_rows[table["user"].to_numpy()]), pl.Series("item", item_rows[table["item"].to_numpy()])
    )


def first_of_each(table: pl.DataFrame) -> NDArray[np.bool_]:
    """Marks (n,) the rows of a sorted table that differ from the one before."""
    fresh = np.zeros(table.height, dtype=np.bool_)
    fresh[0] = True
    for name in SORT_KEYS:
        column = table[name].to_numpy()
        # As bits, so that a missing value (NaN) is the same as another.
        bits = column.view(np.int32) if name == "value" else column
        fresh[1:] |= bits[1:] != bits[:-1]
    return fresh
