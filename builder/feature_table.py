"""Features for training, as a table: of everybody at one moment, or of each row's user and item at the row's own.

They are counted from an export of the event log (`builder.export`), impressions and searches among them, each event id
once, by the definition that serving counts by (`builder.feature_windows`); a row is never told what came after its
moment. Categories are those of the data set's items table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from builder import tables
from builder.dataset import Dataset
from builder.errors import ColumnMissing, DatasetInvalid, SourceMissing, TimestampUnreadable
from builder.events import Events
from builder.export import state
from builder.feature_windows import FeatureTable, features
from builder.ingest import values
from trunkshow.models.protocol import Rows
from trunkshow.stream.windows import WINDOWS
from trunkshow.v1 import events_pb2

USER, ITEM, TIMESTAMP = "user", "item", "timestamp"

NAMES = tuple(
    "other" if not code else name.removeprefix("INTERACTION_").lower()
    for name, code in sorted(events_pb2.Interaction.items(), key=lambda one: one[1])
)
"""Of interactions, in columns, by their number."""


@dataclass(frozen=True)
class History:
    """All that an export knows.

    Attributes:
        events: with a last item "", of those that had none.
        categories: (items,) code of each item's category, in the order of their names; -1 for none.
        category_names: by code.
    """

    events: Events
    categories: Rows
    category_names: tuple[str, ...]

    @classmethod
    def of(cls, rows: pl.DataFrame, category_of: Mapping[str, str]) -> History:
        """From rows as exports have them."""
        said = rows.unique([USER, "event_id"], keep="first", maintain_order=True)
        users, items = said[USER].unique().sort(), said[ITEM].drop_nulls().unique().sort()
        items = pl.concat([items, pl.Series([""], dtype=pl.String)])
        kinds = said["interaction"].unique().sort()
        names = tuple(sorted(set(category_of.values())))
        codes = {name: code for code, name in enumerate(names)}
        return cls(
            Events(
                users=_rows(said[USER], users),
                items=_rows(said[ITEM].fill_null(""), items),
                kinds=_rows(said["interaction"], kinds).astype(np.uint8),
                times=values.milliseconds(said[TIMESTAMP]).to_numpy(),
                values=said["value"].fill_null(float("nan")).to_numpy(),
                user_ids=users,
                item_ids=items,
                kind_names=tuple(kinds),
            ),
            np.array([codes[category_of[one]] if one in category_of else -1 for one in items], np.int32),
            names,
        )


def read(dataset: Dataset) -> History:
    """What the export of a data set knows.

    Raises:
        BuildError: the data set has none, or its files cannot be read.
    """
    if dataset.export is None:
        raise DatasetInvalid(
            f"{dataset.name}: it has no [log] export; run `trunkshow export-events`, and name its folder"
        )
    folder = dataset.folder / dataset.export
    exported = state.read(folder)
    if exported is None:
        raise SourceMissing(f"{dataset.export}: it has no {state.FILE_NAME}; run `trunkshow export-events`")
    parts = [_part(folder / part.name) for part in (*exported.events, *exported.shown)]
    table = tables.read_items(dataset)
    known = () if table is None else zip(table.ids, table.categories, strict=True)
    return History.of(pl.concat([_NOTHING, *parts]), {item: category for item, category in known if category})


def of_everybody(history: History, at_ms: int) -> pl.DataFrame:
    """One row for each user and item that there was an event of before a moment, within the longest window."""
    events = history.events
    frames = []
    for of, ids, keys in ((USER, events.user_ids, events.users), (ITEM, events.item_ids.head(-1), events.items)):
        asked = np.arange(len(ids), dtype=np.int32)
        found = features(events, keys, history.categories, asked, np.full(len(ids), at_ms, np.int64))
        columns = dict(_columns("", found, history.category_names))
        frame = pl.DataFrame({"of": pl.Series([of] * len(ids), dtype=pl.String), "id": ids, **columns})
        frames.append(frame.filter(pl.Series(found.counts[:, -1].any(axis=1))))
    return pl.concat(frames)


def of_rows(history: History, rows: pl.DataFrame) -> pl.DataFrame:
    """The same rows, with columns of their user's and their item's features.

    Args:
        history: of everybody.
        rows: with `user`, `item` or both, and `timestamp`; other columns are kept as they are.

    Raises:
        ColumnMissing: one of these is not there.
        TimestampUnreadable: a row has no time that can be read.
    """
    if TIMESTAMP not in rows.columns or not {USER, ITEM} & set(rows.columns):
        raise ColumnMissing(f"rows: they need {TIMESTAMP}, and {USER} or {ITEM}; there are {', '.join(rows.columns)}")
    at = values.milliseconds(rows[TIMESTAMP])
    if at.null_count():
        raise TimestampUnreadable(f"rows: {at.null_count()} of {len(at)} have no {TIMESTAMP} that can be read")
    events = history.events
    for of, ids, keys in ((USER, events.user_ids, events.users), (ITEM, events.item_ids, events.items)):
        if of in rows.columns:
            asked = _rows(values.ids(rows[of]), ids)
            found = features(events, keys, history.categories, asked, at.to_numpy())
            rows = rows.with_columns(**dict(_columns(f"{of}_", found, history.category_names)))
    return rows


_NOTHING = pl.DataFrame(
    schema={
        USER: pl.String,
        ITEM: pl.String,
        "interaction": pl.String,
        TIMESTAMP: pl.Datetime("us", "UTC"),
        "event_id": pl.String,
        "value": pl.Float32,
    }
)


def _part(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path, columns=_NOTHING.columns, glob=False, hive_partitioning=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DatasetInvalid(f"{path}: cannot be read ({error!s:.100}); export the log anew") from error


def _rows(ids: pl.Series, known: pl.Series) -> Rows:
    """(n,) places of ids in a sorted list, -1 for one that is not there."""
    places = dict(zip(known, range(len(known)), strict=True))
    return np.array([places.get(one, -1) for one in ids], np.int32)


def _columns(prefix: str, found: FeatureTable, category_names: tuple[str, ...]) -> Iterator[tuple[str, pl.Series]]:
    for number, window in enumerate(WINDOWS):
        for kind, name in enumerate(NAMES):
            yield f"{prefix}{window.name}_{name}", pl.Series(found.counts[:, number, kind])
    yield f"{prefix}last_price", pl.Series(found.last_values).fill_nan(None)
    named = [category_names[code] if code >= 0 else None for code in found.last_categories.tolist()]
    yield f"{prefix}last_category", pl.Series(named, dtype=pl.String)
