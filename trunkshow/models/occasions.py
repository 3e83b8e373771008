"""Curated collections: a wedding, a work week, a stylist's edit. One carousel per occasion, in the user's own order."""

from __future__ import annotations

from collections import Counter
from itertools import chain, repeat
from typing import ClassVar, Self

import numpy as np

from trunkshow.largest import largest
from trunkshow.models.popularity import decayed_counts
from trunkshow.models.protocol import NO_ROWS, NOTHING, Arrays, Candidates, Floats, Query, Rows, Shelf, Training
from trunkshow.snapshot.arrays import Strings

ITEMS_MAX = 500
"""Of one occasion: the most popular. A carousel shows at most a hundred of them."""

HISTORY_MAX = 100
"""Newest items of the history that choose the occasions."""

GATHERED_MAX = 64
"""Occasions whose items' vectors are kept side by side, 128 KB each at 64 factors. Brought together from all over the
catalogue at each request, they cost several times what the products do."""


class Occasions:
    """A family of carousels, one per occasion; `Query.topic` names it.

    Args:
        arrays: names as `Strings` (`name_offsets`, `name_text`), largest occasion first; `starts` and `rows`, the
            members of each, most popular first.
    """

    name: ClassVar[str] = "occasions"
    carousel: ClassVar[str] = "occasions"
    title: ClassVar[str] = "{topic}"
    may_be_short: ClassVar[bool] = True

    def __init__(self, arrays: Arrays) -> None:
        names = Strings(arrays["name_offsets"], arrays["name_text"])
        self._names = [names[code] for code in range(len(names))]
        starts = arrays["starts"]
        self._members = {name: arrays["rows"][starts[code] : starts[code + 1]] for code, name in enumerate(self._names)}
        self._gathered: dict[str, Floats] = {}
        self._occasions_of: dict[int, list[str]] = {}
        for name, rows in self._members.items():
            for row in rows.tolist():
                self._occasions_of.setdefault(row, []).append(name)

    @classmethod
    def fit(cls, training: Training) -> Arrays:
        """Keep each occasion's most popular items. Items that are not available are left out."""
        counts = decayed_counts(training)
        members: dict[str, list[int]] = {}
        for name, rows in training.occasions.items():
            held = rows[training.available[rows]]
            members[name] = held[np.lexsort((held, -counts[held]))][:ITEMS_MAX].tolist()
        names = sorted((name for name in members if members[name]), key=lambda name: (-len(members[name]), name))
        offsets, text = Strings.pack(names)
        return {
            "name_offsets": offsets,
            "name_text": text,
            "starts": np.cumsum([0, *(len(members[name]) for name in names)]).astype(np.int64),
            "rows": np.array([row for name in names for row in members[name]], np.int32),
        }

    @classmethod
    def open(cls, arrays: Arrays) -> Self:
        """The occasions; which item is in which is turned round once, here."""
        return cls(arrays)

    def topics(self, query: Query, count: int) -> list[str]:
        """The occasions that most of the query's newest items belong to; then the largest ones."""
        newest = [*query.context, *query.history[:HISTORY_MAX].tolist()]
        near = Counter(chain.from_iterable(map(self._occasions_of.get, newest, repeat(()))))
        return sorted(self._names, key=lambda name: -near.get(name, 0))[:count]

    def recommend(self, query: Query, shelf: Shelf, count: int) -> Candidates:
        """The occasion's items, by taste where there is one, else by popularity."""
        members = self._members.get(query.topic, NO_ROWS)
        if not len(members):
            return NOTHING
        reasons = (f"From the collection {query.topic}",)
        if not len(query.vector):
            scores = np.arange(len(members), 0, -1, dtype=np.float32)[:count]
            return Candidates(members[:count].tolist(), scores.tolist(), reasons=reasons)
        scores = self._vectors_of(query.topic, members, shelf) @ query.vector
        order = largest(scores, count)
        return Candidates(members[order].tolist(), scores[order].tolist(), reasons=reasons)

    def _vectors_of(self, topic: str, members: Rows, shelf: Shelf) -> Floats:
        """(m, factors) of an occasion's items, which all shelves of a snapshot have alike."""
        vectors = self._gathered.get(topic)
        if vectors is None:
            vectors = shelf.vectors_of(members)
            if len(self._gathered) < GATHERED_MAX:
                self._gathered[topic] = vectors
        return vectors
