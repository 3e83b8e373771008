"""`forgotten.json` beside an export: who is to be forgotten, and until when; for the export's own parts and any source.

A row is forgotten where it is of such a user and happened before they asked for it, whatever file it is in; or, in an
export's own parts, where it was read before that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from builder.errors import DatasetInvalid
from builder.ingest import values
from trunkshow.eventlog.names import as_built
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.forgotten import Tombstone
from trunkshow.online.positions import Position

FILE_NAME = "forgotten.json"
SCHEMA = {"user": pl.String, "until": pl.Int64}

NOBODY = pl.DataFrame(schema=SCHEMA)
"""(people,) `user`, an id as sources have it, and `until`, milliseconds since the epoch."""


FOREVER = 2**63 - 1


def table(tombstones: Iterable[Tombstone]) -> pl.DataFrame:
    """Everybody in these."""
    return pl.DataFrame([(one.user_id, one.time_ms) for one in tombstones], schema=SCHEMA, orient="row")


def joined(before: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """Everybody in either of these, each until the later moment; in the order of their ids."""
    return pl.concat([before, now]).group_by("user").agg(pl.col("until").max()).sort("user")


def table_within(tombstones: Iterable[Tombstone], read: Watermark | None) -> pl.DataFrame:
    """The same, for rows that were read up to a watermark: who asked after all of these has none, of any time."""
    told = [(one.user_id, FOREVER if _is_after(one, read) else one.time_ms) for one in tombstones]
    return pl.DataFrame(told, schema=SCHEMA, orient="row")


def _is_after(tombstone: Tombstone, read: Watermark | None) -> bool:
    until = tombstone.events_until
    return read is not None and until is not None and until.log == read.log and until.covers(read)


class People:
    """Who is to be forgotten, by their ids as a build has them.

    Args:
        tombstones: all of them; of two ids that a build takes for one, both count.
    """

    def __init__(self, tombstones: Iterable[Tombstone]) -> None:
        self._of: dict[str, list[Tombstone]] = {}
        for one in tombstones:
            self._of.setdefault(as_built(one.user_id), []).append(one)

    def covers(self, user_id: str, at: Position, time_ms: int) -> bool:
        """Whether an event is forgotten."""
        return any(one.covers(at, time_ms) for one in self._of.get(as_built(user_id), ()))


def text(people: pl.DataFrame) -> str:
    """As the file has it."""
    return json.dumps(people.to_dicts(), ensure_ascii=False, indent=1) + "\n"


def read(folder: Path) -> pl.DataFrame:
    """Everybody in a folder's file.

    Raises:
        DatasetInvalid: it is missing, or cannot be read: then nobody must be built with.
    """
    path = folder / FILE_NAME
    try:
        return pl.DataFrame(json.loads(path.read_text(encoding="utf-8")), schema=SCHEMA)
    except (OSError, ValueError, TypeError, RecursionError, pl.exceptions.PolarsError) as error:
        raise DatasetInvalid(f"{path}: cannot be read ({error!s:.100}); run `trunkshow export-events` again") from error


def without(rows: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    """Rows, of which `user` is one's id and `time` milliseconds since the epoch, that nobody asked to be forgotten.

    Both sides' ids are taken as a build has them: the log may have some from before such ids were refused.
    """
    if not people.height:
        return rows
    known = people.with_columns(values.ids(people["user"])).group_by("user").agg(pl.col("until").max())
    asked = pl.DataFrame({"user": values.ids(rows["user"])})
    until = asked.join(known, on="user", how="left", maintain_order="left")["until"]
    return rows.filter((until.is_null() | (rows["time"] > until)).fill_null(True))
