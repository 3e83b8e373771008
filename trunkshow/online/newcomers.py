"""Where somebody lives whom no snapshot knows: the partition nearest to the taste that their first event shows.

The home follows from that event's item and the snapshot alone, so that every router and every shard finds the same one
without asking anybody: solved from one item, a vector's direction does not depend on what the event weighs. The first
event is the one that stands first in the log, of those since the snapshot with an item that its catalogue knows;
whoever hears an earlier one later on moves the newcomer. Somebody who did nothing but with items that came since the
snapshot lives nowhere, and nothing of it is in anybody's slate; that there was something is remembered. Reading the log
is left to `trunkshow.online.follower`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from trunkshow.models.fold_in import NormalEquations
from trunkshow.online.positions import Position
from trunkshow.taste import Codebook

NEWCOMERS_MAX = 200_000
"""In one snapshot, about 50 MB; beyond it those who came first are forgotten, and are new again."""

HOMELESS_MAX = 100_000
"""In one snapshot, about 15 MB; of whom there are more, nobody is said to have done nothing."""


class Arrival(NamedTuple):
    """A newcomer's first event, as far as it was heard.

    Attributes:
        at: where it stands.
        home: the partition that it leads to.
    """

    at: Position
    home: int


class Newcomers:
    """The newcomers of one snapshot.

    Args:
        leads_to: the partition that an item's row leads to; asked once for each.
        most: newcomers that are known at a time.
        homeless_max: users who live nowhere, and who are remembered.
    """

    def __init__(
        self, leads_to: Callable[[int], int], most: int = NEWCOMERS_MAX, homeless_max: int = HOMELESS_MAX
    ) -> None:
        self._leads_to = leads_to
        self._most = most
        self._arrivals: dict[str, Arrival] = {}
        self._homes: dict[int, int] = {}
        self._homeless_max = homeless_max
        self._homeless: set[str] = set()
        self._lost_any = False  # somebody was heard of, and it is not known any more who

    def __len__(self) -> int:
        return len(self._arrivals)

    def hear(self, user_id: str, row: int, at: Position) -> int:
        """An event of somebody whom the snapshot does not know, with an item that it knows; where they live by now."""
        known = self._arrivals.get(user_id)
        if known is not None and known.at <= at:
            return known.home
        if known is None and len(self._arrivals) >= self._most:
            del self._arrivals[next(iter(self._arrivals))]
            self._lost_any = True
        if row not in self._homes:
            self._homes[row] = self._leads_to(row)
        self._arrivals[user_id] = Arrival(at, self._homes[row])
        return self._homes[row]

    def hear_without_item(self, user_id: str) -> None:
        """An event of somebody whom the snapshot does not know, with an item that it does not know either."""
        if user_id in self._arrivals or user_id in self._homeless:
            return
        if len(self._homeless) < self._homeless_max:
            self._homeless.add(user_id)
        else:
            self._lost_any = True

    def did_nothing(self, user_id: str) -> bool:
        """Whether nothing at all was heard of somebody; False, too, where that cannot be said any more."""
        return not (self._lost_any or user_id in self._arrivals or user_id in self._homeless)

    def forget(self, user_id: str) -> None:
        """Somebody is nobody's newcomer any more, until they are heard of again."""
        self._arrivals.pop(user_id, None)
        self._homeless.discard(user_id)

    def find(self, user_id: str) -> int | None:
        """Where a newcomer lives; None for somebody who was not heard of."""
        arrival = self._arrivals.get(user_id)
        return None if arrival is None else arrival.home


def home_of(equations: NormalEquations, codebook: Codebook, row: int) -> int:
    """The partition nearest to the taste of somebody of whom one item is known.

    Args:
        equations: that the snapshot's vectors solve.
        codebook: of its partitions.
        row: of the item.
    """
    vector = equations.solve(np.array([row], np.int32), np.ones(1, np.float32))
    return codebook.probe(vector, 1)[0]
