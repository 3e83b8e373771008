"""Where somebody lives whom no snapshot knows: the partition nearest to the taste that their first event shows.

The home follows from that event's item and the snapshot alone, so that every router and every shard finds the same one
without asking anybody: solved from one item, a vector's direction does not depend on what the event weighs. The first
event is the one that stands first in the log, of those since the snapshot that say something good of an item which its
catalogue was built with; whoever hears an earlier one later on moves the newcomer.

Until such an event a newcomer is unsettled: all that they did was with items that came since the snapshot, or said that
they do not want something. What is known of new items differs for moments from process to process, so that nobody
could agree on a home by it. Instead every shard keeps the events of who is unsettled, and a router leads them to
wherever their first event points, by what it knows: to the partition nearest to an item that they liked, or farthest
from the direction of one that they did not.

There is room for so many. Whoever came keeps their place, and once somebody had to be left out nobody comes any more:
so of everybody who is known all is known, from their first event on, and of nobody else it is claimed. To a later
snapshot they are known, or come anew. Reading the log is left to `trunkshow.online.follower`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from trunkshow.models.fold_in import Solver
from trunkshow.online.positions import Position
from trunkshow.online.weights import SHARES
from trunkshow.serving import metrics
from trunkshow.taste import Codebook
from trunkshow.v1 import events_pb2 as pb

NEWCOMERS_MAX = 500_000
"""In one snapshot, about 80 MB, taken as they come; beyond it people stay strangers to it."""

UNSETTLED_MAX = 100_000
"""In one snapshot, about 25 MB; of more nothing is known, and of nobody that they did nothing."""

_HOME_BITS = 16
_PLACE_BITS = 64

LEFT_OUT = metrics.counter(
    "trunkshow_newcomers_left_out_total", "Events of people whom no snapshot knows, for whom there was no room."
)


class Lead(NamedTuple):
    """The event that says most of somebody who is unsettled: the first that says something good, or else the first.

    Attributes:
        bad: whether it says that they do not want the item.
        at: where it stands.
        item_id: that it is about.
    """

    bad: bool
    at: Position
    item_id: str


class Newcomers:
    """The newcomers of one snapshot.

    Args:
        leads_to: the partition that an item's row leads to; asked once for each.
        most: newcomers that are known at a time.
        unsettled_max: users who are unsettled, and known.
    """

    def __init__(
        self, leads_to: Callable[[int], int], most: int = NEWCOMERS_MAX, unsettled_max: int = UNSETTLED_MAX
    ) -> None:
        self._leads_to = leads_to
        self._most = most
        self._arrivals: dict[str, int] = {}  # where their first event stands, and the home that it leads to
        self._logs: dict[str, int] = {}  # by name, in the order in which they were heard of
        self._homes: dict[int, int] = {}
        self._unsettled_max = unsettled_max
        self._leads: dict[str, Lead] = {}  # of who is not in `_arrivals`
        self._left_out = False  # somebody was
        self._lost_unsettled = False  # somebody was, who may have come since

    def __len__(self) -> int:
        return len(self._arrivals)

    def take(self, event: pb.Event, at: Position, built_row: Callable[[str], int | None]) -> int | None:
        """An event of somebody whom the snapshot does not know; where they live by now.

        None for who is unsettled, or left out.

        Args:
            event: of an interaction that is folded in.
            at: where it stands.
            built_row: the row of an item that was there when the snapshot was built.
        """
        known = self._arrivals.get(event.user_id)
        if known is not None and known >> _HOME_BITS <= self._place(at):
            return _home_in(known)
        bad = SHARES[event.interaction] <= 0
        row = None if bad else built_row(event.item_id)  # homes follow from the snapshot alone
        if row is not None:
            return self.hear(event.user_id, row, at)
        self.hear_unsettling(event.user_id, Lead(bad, at, event.item_id))
        return self.find(event.user_id)

    def hear(self, user_id: str, row: int, at: Position) -> int | None:
        """An event that says something good of an item that was built with; where its user lives by now."""
        known, place = self._arrivals.get(user_id), self._place(at)
        if known is not None and known >> _HOME_BITS <= place:
            return _home_in(known)
        if known is None and (self._left_out or len(self._arrivals) >= self._most):
            self._leave_out(user_id)
            return None
        if row not in self._homes:
            self._homes[row] = self._leads_to(row)
        self._arrivals[user_id] = place << _HOME_BITS | self._homes[row]
        self._leads.pop(user_id, None)
        return self._homes[row]

    def hear_unsettling(self, user_id: str, lead: Lead) -> None:
        """Any other event of somebody whom the snapshot does not know."""
        if user_id in self._arrivals:
            return
        known = self._leads.get(user_id)
        if known is None and (self._left_out or len(self._leads) >= self._unsettled_max):
            self._lost_unsettled = self._lost_unsettled or not self._left_out
            LEFT_OUT.inc()
            return
        self._leads[user_id] = lead if known is None else min(known, lead)

    def did_nothing(self, user_id: str) -> bool:
        """Whether nothing at all was heard of somebody; False, too, where that cannot be said any more."""
        return not (self._left_out or self._lost_unsettled or self._knows(user_id))

    def has_lost(self, user_id: str) -> bool:
        """Whether events of somebody may have been let go."""
        return self._lost_unsettled or (self._left_out and not self._knows(user_id))

    def forget(self, user_id: str) -> None:
        """Somebody is nobody's newcomer any more, until they are heard of again."""
        self._arrivals.pop(user_id, None)
        self._leads.pop(user_id, None)

    def find(self, user_id: str) -> int | None:
        """Where a newcomer lives; None for somebody who is unsettled, left out, or was not heard of."""
        known = self._arrivals.get(user_id)
        return None if known is None else _home_in(known)

    def lead(self, user_id: str) -> Lead | None:
        """What is known of somebody who is unsettled; None for anybody else."""
        return self._leads.get(user_id)

    def _knows(self, user_id: str) -> bool:
        return user_id in self._arrivals or user_id in self._leads

    def _place(self, at: Position) -> int:
        """Where an event stands among all of its user, who are in one lane of a log, as one small number."""
        return self._logs.setdefault(at.log, len(self._logs)) << _PLACE_BITS | at.number

    def _leave_out(self, user_id: str) -> None:
        """There is no room for somebody; who is unsettled stays so, and every event of theirs is kept."""
        self._left_out = True
        if user_id not in self._leads:
            LEFT_OUT.inc()


def _home_in(known: int) -> int:
    return known & (1 << _HOME_BITS) - 1


def home_of(equations: Solver, codebook: Codebook, row: int, *, bad: bool = False) -> int:
    """The partition nearest to the taste of somebody of whom one item is known.

    Args:
        equations: that the snapshot's vectors solve.
        codebook: of its partitions.
        row: of the item.
        bad: whether they do not want it: then what is farthest from it is nearest to them.
    """
    vector = equations.solve(np.array([row], np.int32), np.ones(1, np.float32))
    return codebook.probe(-vector if bad else vector, 1)[0]
