"""Items that the event log's neighbour tells of and a snapshot's catalogue does not know, with rows of their own.

A value: adding gives another one. Rows go on where the catalogue's end, and none is ever used twice, so that whoever
holds a row of before finds that item or none. The newest `OFFERED_MAX` are offered; older ones keep their names for a
while, for slates that are being made, and go. An item that is told of again keeps its row, and is what was said last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from trunkshow.models.protocol import NO_NEW_ITEMS, Floats, NewItems, Rows
from trunkshow.snapshot.likeness import Description
from trunkshow.v1 import recommendation_pb2 as pb

OFFERED_MAX = 5_000
KEPT_MAX = 7_000
"""More are kept only until there are so many; then as many go as leave those offered and some more."""

Mask = Callable[[Rows], NDArray[np.bool_]]


@dataclass(frozen=True)
class Addition:
    """An item that came since the build.

    Attributes:
        id: of it.
        said: of it.
        available: False where it was withdrawn.
        created_ms: since when it is new, milliseconds since the epoch.
    """

    id: str
    said: Description
    available: bool = True
    created_ms: int = 0


@dataclass(frozen=True, eq=False)
class Additions:
    """Of one snapshot.

    Attributes:
        built: items of the catalogue; rows from there on are additions'.
        gone: additions that are not known any more; their rows are before those of all others.
        items: in the order of their rows.
        vectors: (k, factors) float32 of these; of any width where there are none.
    """

    built: int
    gone: int = 0
    items: tuple[Addition, ...] = ()
    vectors: Floats = field(default_factory=lambda: NO_NEW_ITEMS.vectors)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def start(self) -> int:
        """Row of the first one."""
        return self.built + self.gone

    @cached_property
    def _positions(self) -> Mapping[str, int]:
        oldest = max(len(self.items) - OFFERED_MAX, 0)
        return {one.id: oldest + number for number, one in enumerate(self.items[oldest:])}

    def row(self, item_id: str) -> int | None:
        """An item's row; None for one that is not offered."""
        position = self._positions.get(item_id)
        return None if position is None else self.start + position

    def at(self, row: int) -> Addition:
        """The item of a row.

        Raises:
            IndexError: there is none, or not any more.
        """
        position = row - self.start
        if position < 0:
            raise IndexError(row)
        return self.items[position]

    def find(self, item_id: str) -> Addition | None:
        """What was said last of an item; None for one that is not offered."""
        position = self._positions.get(item_id)
        return None if position is None else self.items[position]

    def vectors_of(self, rows: Rows) -> Floats:
        """(r, factors) vectors of some rows; zeros for what is gone."""
        positions = rows - self.start
        found = self.vectors[np.maximum(positions, 0)]
        found[positions < 0] = 0
        return found

    def with_items(self, items: Iterable[Addition], vector_of: Callable[[Description], Floats]) -> Additions:
        """With items that are new, or of which something else is said now; the same value where there are none.

        Args:
            items: none of which the catalogue knows; of one that comes twice the last counts.
            vector_of: the vector of an item of which something is said.
        """
        changed = {one.id: one for one in items}
        changed = {item_id: one for item_id, one in changed.items() if self.find(item_id) != one}
        if not changed:
            return self
        known, vectors = list(self.items), [self.vectors] if len(self) else []
        if replaced := [item_id for item_id in changed if item_id in self._positions]:
            vectors = [self.vectors.copy()]
            for item_id in replaced:
                position, one = self._positions[item_id], changed.pop(item_id)
                known[position], vectors[0][position] = one, vector_of(one.said)
        if changed:
            known += changed.values()
            vectors.append(np.array([vector_of(one.said) for one in changed.values()], np.float32))
        return replace(self, items=tuple(known), vectors=np.concatenate(vectors))._trimmed()

    def placed(self, item_ids: Iterable[str], vector_of: Callable[[Description], Floats]) -> Additions:
        """With other vectors of some items, as far as these are offered still."""
        vectors = self.vectors.copy()
        for position in (self._positions[one] for one in item_ids if one in self._positions):
            vectors[position] = vector_of(self.items[position].said)
        return replace(self, vectors=vectors)

    def _trimmed(self) -> Additions:
        """Without the oldest, where there are too many."""
        if len(self) <= KEPT_MAX:
            return self
        go = len(self) - (OFFERED_MAX + KEPT_MAX) // 2
        return Additions(self.built, self.gone + go, self.items[go:], self.vectors[go:].copy())

    @cached_property
    def offered(self) -> NewItems:
        """Those that may be proposed, as models see them."""
        oldest = max(len(self) - OFFERED_MAX, 0)
        rows = np.arange(self.start + oldest, self.start + len(self), dtype=np.int32)
        created = np.array([one.created_ms for one in self.items[oldest:]], np.int64)
        return NewItems(rows, self.vectors[oldest:], created)

    # --- what filters ask ----------------------------------------------------------------------------------------

    @cached_property
    def available(self) -> NDArray[np.bool_]:
        """(k,) bool."""
        return np.array([one.available for one in self.items], np.bool_)

    @cached_property
    def _columns(self) -> dict[str, tuple[NDArray[np.int32], Mapping[str, int]]]:
        """By name (the category's is empty), the codes of values, filled when a filter first asks."""
        return {}

    def allowed(self, filters: pb.Filters | None) -> NDArray[np.bool_]:
        """(k,) bool, what a request's filters allow; without any, what is available."""
        if filters is None:
            return self.available
        allowed = np.ones(len(self), np.bool_) if filters.include_unavailable else self.available
        if filters.categories:
            allowed = allowed & self._is_one_of("", filters.categories)
        for asked in filters.attributes:
            allowed = allowed & self._is_one_of(asked.name, asked.values)
        return allowed

    def masked(self, catalogues: Mask | None, filters: pb.Filters | None) -> Mask | None:
        """A catalogue's mask for the same filters, of these items as well."""
        allowed = self.allowed(filters)
        if catalogues is None and allowed.all():
            return None
        built, start = self.built, self.start

        def mask(rows: Rows) -> NDArray[np.bool_]:
            new = rows >= built
            if not new.any():
                return np.ones(len(rows), np.bool_) if catalogues is None else catalogues(rows)
            said = np.ones(len(rows), np.bool_)
            if catalogues is not None:
                said[~new] = catalogues(rows[~new])
            positions = rows[new] - start
            told = (positions >= 0) & (positions < len(allowed))  # others are gone, or came after the request
            said[new] = told & allowed[np.where(told, positions, 0)]
            return said

        return mask

    def _is_one_of(self, name: str, values: Iterable[str]) -> NDArray[np.bool_]:
        if name not in self._columns:
            told = [one.said.attributes.get(name, "") if name else one.said.category for one in self.items]
            numbers = {value: number for number, value in enumerate(dict.fromkeys(told))}
            self._columns[name] = np.array([numbers[value] for value in told], np.int32), numbers
        codes, known = self._columns[name]
        wanted = [known[value] for value in values if value and value in known]
        return np.isin(codes, np.array(wanted, np.int32))
