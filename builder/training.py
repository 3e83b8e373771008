"""From events and tables to what the models learn from, in rows.

Users are those with events; items those with events or a row in the items table. Both are numbered in the order of
their ids, so that rows depend on nothing but the data. `up_to` cuts the history first and numbers after: nothing that
comes later, not even a new id, can reach what is trained on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from builder.dataset import Dataset
from builder.events import Events
from builder.tables import ItemTable, UserTable
from trunkshow.marks import HAD, marks_of
from trunkshow.models.protocol import Floats, Rows, Settings, Training
from trunkshow.snapshot.catalogue import Columns

SEGMENT_USERS_MIN = 20
"""A segment of fewer users has no popular list of its own: it would be noise, and close to naming people."""

SEGMENTS_MAX = 1000
"""The largest ones are kept; each costs a popular list in every process that serves."""


@dataclass(frozen=True)
class Numbered:
    """The training value, and what its rows are called.

    Attributes:
        training: what the models see.
        user_ids: in the order of the user rows, ascending.
        columns: the catalogue, in the order of the item rows.
        marks: (n,) uint8 of each event that is learned from (`trunkshow.marks`).
    """

    training: Training
    user_ids: Sequence[str]
    columns: Columns
    marks: NDArray[np.uint8]

    def had(self, of: NDArray[np.bool_] | None = None) -> csr_matrix:
        """(users, items), above 0 where a user had an item, which is then not shown again where repeats are not.

        Args:
            of: (users,) bool, only whose rows are to be filled; everybody's where None.
        """
        of_had = self.marks & HAD > 0
        if of is not None:
            of_had &= of[self.training.users]
        users, items = self.training.users[of_had], self.training.items[of_had]
        return csr_matrix((np.ones(len(users), np.float32), (users, items)), shape=self.training.matrix.shape)


def number(
    dataset: Dataset,
    events: Events,
    items: ItemTable | None,
    users: UserTable | None,
    settings: Settings,
    *,
    up_to: NDArray[np.bool_] | None = None,
    progress: Callable[[str, int, int], None] = lambda what, done, of: None,
) -> Numbered:
    """Number users and items, and gather what the models learn from.

    Args:
        dataset: weights of the interaction types.
        events: of the whole history.
        items: the items table, where there is one.
        users: the users table, where there is one.
        settings: of the models.
        up_to: (n,) bool, the events to learn from; all where None.
        progress: told by long fits.
    """
    chosen = np.ones(len(events), np.bool_) if up_to is None else up_to
    user_ids, user_rows = _renumber(events.user_ids, events.users[chosen])
    # A table's items are known from the start; in an evaluation, only as far as events or dates say so.
    listed = items.ids if items is not None and up_to is None else pl.Series("item", [], pl.String)
    item_ids, item_rows = _renumber(events.item_ids, events.items[chosen], listed)
    times, weights = events.times[chosen], events.weights(dataset.interactions)[chosen]
    columns, occasions = _columns(item_ids, items, _first_times(item_rows, times, len(item_ids)))
    segments, segment_names = _segments(user_ids, users)
    training = Training(
        matrix=matrix_of(user_rows, item_rows, weights, (len(user_ids), len(item_ids))),
        users=user_rows,
        items=item_rows,
        times=times,
        weights=weights,
        segments=segments,
        segment_names=segment_names,
        categories=columns.categories,
        category_names=tuple(columns.category_names),
        created=columns.created,
        available=columns.available,
        occasions=occasions,
        settings=settings,
        progress=progress,
    )
    return Numbered(training, user_ids.to_list(), columns, _marks(events)[chosen])


def _marks(events: Events) -> NDArray[np.uint8]:
    """(n,) of every event."""
    marks = marks_of(events.kind_names)
    return np.array([marks[name] for name in events.kind_names], np.uint8)[events.kinds]


def _renumber(ids: pl.Series, rows: Rows, more: pl.Series | None = None) -> tuple[pl.Series, Rows]:
    """Of ascending ids those that occur, and more, ascending, and the rows in their terms."""
    used = np.flatnonzero(np.bincount(rows, minlength=len(ids)))
    position = np.full(len(ids), -1, np.int32)
    occurring = ids.gather(used)
    if more is None or not len(more):
        position[used] = np.arange(len(used), dtype=np.int32)
        return occurring, position[rows]
    ordered = pl.concat([occurring, more.alias(occurring.name)]).unique().sort()
    position[used] = _positions(occurring, ordered)
    return ordered, position[rows]


def _positions(values: pl.Series, ordered: pl.Series) -> Rows:
    """(n,) position of each value among ascending unique ones, -1 where it is not there."""
    where = ordered.search_sorted(values).to_numpy().astype(np.int64)
    inside = np.minimum(where, max(len(ordered) - 1, 0))
    if not len(ordered):
        return np.full(len(values), -1, np.int32)
    found = (ordered.gather(inside) == values).fill_null(False).to_numpy()
    return np.where(found, inside, -1).astype(np.int32)


def matrix_of(users: Rows, items: Rows, weights: Floats, shape: tuple[int, int]) -> csr_matrix:
    """Summed weights of events (n,); what is not positive (all of it returned) says nothing of taste: is left out."""
    summed = csr_matrix((weights, (users, items)), shape=shape, dtype=np.float32)
    summed.sum_duplicates()
    summed.data[summed.data < 0] = 0
    summed.eliminate_zeros()
    return summed


def _first_times(items: Rows, times: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    first = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(first, items, times)
    return np.where(first == np.iinfo(np.int64).max, -1, first)


def _segments(user_ids: pl.Series, users: UserTable | None) -> tuple[Rows, tuple[str, ...]]:
    """(users,) segment codes and their names, largest first; -1 for none, and for those too small or too many."""
    if users is None:
        return np.full(len(user_ids), -1, np.int32), ()
    known = pl.DataFrame({"user": users.ids, "segment": users.segments})
    joined = pl.DataFrame({"user": user_ids}).join(known, on="user", how="left", maintain_order="left")["segment"]
    counted = joined.drop_nulls().value_counts().filter(pl.col("count") >= SEGMENT_USERS_MIN)
    names = counted.sort(["count", "segment"], descending=[True, False])["segment"].head(SEGMENTS_MAX).to_list()
    return _codes(joined, names), tuple(names)


def _codes(values: pl.Series, names: Sequence[str]) -> Rows:
    """(n,) position of each value in `names`, -1 for null or another."""
    if not names:
        return np.full(len(values), -1, np.int32)
    codes = values.replace_strict(names, list(range(len(names))), default=-1, return_dtype=pl.Int32)
    return codes.fill_null(-1).to_numpy()


def _columns(
    item_ids: pl.Series, items: ItemTable | None, first_times: NDArray[np.int64]
) -> tuple[Columns, dict[str, Rows]]:
    """The catalogue's columns in the order of the item rows, and each occasion's rows."""
    count = len(item_ids)
    if items is None:
        bare = Columns(
            item_ids.to_list(),
            item_ids.to_list(),
            np.full(count, -1, np.int32),
            (),
            {},
            {},
            np.ones(count, np.bool_),
            first_times,
        )
        return bare, {}
    order = items.ids.arg_sort()
    table_row = _positions(item_ids, items.ids.gather(order))
    table_row = np.where(table_row >= 0, order.to_numpy()[table_row], -1).astype(np.int32)
    take = pl.Series(np.where(table_row >= 0, table_row, 0))
    known = pl.Series(table_row >= 0)

    def column(values: pl.Series) -> pl.Series:
        gathered = values.gather(take)
        return pl.select(pl.when(known).then(gathered).otherwise(None)).to_series()

    def coded(values: pl.Series) -> tuple[Rows, list[str]]:
        of_rows = column(values)
        names = of_rows.drop_nulls().unique().sort().to_list()
        return _codes(of_rows, names), names

    categories, category_names = coded(items.categories)
    attributes = {name: coded(values) for name, values in items.attributes.items()}
    titles = column(items.titles)
    created = np.where(known.to_numpy(), items.created_at[take.to_numpy()], -1)
    columns = Columns(
        ids=item_ids.to_list(),
        titles=pl.select(pl.coalesce(titles, item_ids)).to_series().to_list(),
        categories=categories,
        category_names=category_names,
        attributes={name: codes for name, (codes, _) in attributes.items()},
        attribute_values={name: values for name, (_, values) in attributes.items()},
        available=np.where(known.to_numpy(), items.available[take.to_numpy()], True),
        created=np.where(created >= 0, created, first_times),
    )
    return columns, _occasions(items, table_row)


def _occasions(items: ItemTable, table_row: Rows) -> dict[str, Rows]:
    """Each occasion's item rows, ascending."""
    members = pl.DataFrame(
        {"row": np.arange(len(table_row), dtype=np.int32), "table": table_row.astype(np.int64)}
    ).join(pl.DataFrame({"table": np.arange(len(items)), "occasion": items.occasions}), on="table", how="inner")
    grouped = members.explode("occasion").drop_nulls("occasion").group_by("occasion").agg("row").sort("occasion")
    return {name: np.sort(np.array(rows, np.int32)) for name, rows in grouped.iter_rows()}
