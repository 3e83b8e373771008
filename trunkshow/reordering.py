"""What a user is doing, and what they were shown in vain, puts a model's candidates in another order.

Rules:

1. Candidates of carousels made from taste (`BY_INTENT`) are raised by the present intent (`trunkshow.stream.ranking`).
   Those of "because you liked" are not: the newest item leads to them, so that they are of the present already. What
   the shop shows to everybody (popular, new, occasions) keeps the shop's order, and a plugged-in carousel its model's.
2. In all carousels that are made for one user (`trunkshow.carousels.PERSONAL`) what was shown often and never taken up
   sinks (`trunkshow.stream.fatigue`), by its rank among what may be shown.
3. None is added or left out. A score is the model's, raised by the intent; who sank, or rose past others, has none
   above that of the one before, so that scores still order the items.

Values only: when it is now, and what the user did, is the caller's business (`shard.online`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import accumulate

from trunkshow import carousels
from trunkshow.candidates import Nonsense
from trunkshow.models.protocol import Candidates, Rows
from trunkshow.snapshot.kinds import codes_of, of_none
from trunkshow.stream import fatigue
from trunkshow.stream.intent import Intent
from trunkshow.stream.ranking import best_first, raised

BY_INTENT = frozenset({carousels.FOR_YOU, carousels.PEOPLE_LIKE_YOU})

POOL = 128
"""Candidates to be ordered: more than are shown, so that some can rise into what is. From 150 on a filter is applied
before the search (`trunkshow.models.ials`), which costs several times as much."""

STRENGTH_MIN = 0.02
"""Of an intent that is weaker nothing is left to be seen."""

Discount = Callable[[int], float]
"""What an item's standing is multiplied by, by its row: above 0, at most 1."""


@dataclass(frozen=True)
class Reordering:
    """For one user, now.

    Attributes:
        intent: what they are doing; None for nothing in particular.
        kinds: (items,) code of each item's kind, -1 for none.
        since: the same of an item that came since the build, by its row.
        discount: of what they were shown in vain; None where there is nothing.
    """

    intent: Intent | None
    kinds: Rows
    discount: Discount | None = None
    since: Callable[[int], int] = of_none

    def pool(self, carousel: str) -> int:
        """How many candidates there should be to choose from."""
        return POOL if self._raises(carousel) or self._sinks(carousel) else 0

    def ordered(self, carousel: str, found: Candidates, taken: Collection[int], most: int | None = None) -> Candidates:
        """The candidates of a carousel that are not taken, in the order in which they are to be shown.

        The first `most` of them where that is said: of no other is it looked up how often it was shown.
        """
        if not self.pool(carousel) or not found.rows:
            return found
        places = [at for at, row in enumerate(found.rows) if row not in taken]
        if most is not None and len({*found.rows}) < len(found.rows):
            most = None  # who comes twice is shown once
        scores = [found.scores[at] for at in places]
        if self._raises(carousel) and self.intent is not None:
            scores = raised(scores, self._kinds_of([found.rows[at] for at in places]), self.intent.lift)
        order = best_first(scores)
        if self._sinks(carousel) and self.discount is not None:
            discount = self.discount
            order = fatigue.sink(order, lambda at: discount(found.rows[places[at]]), most)
        order = order[:most]
        return _taken_from(found, [places[at] for at in order], list(accumulate((scores[at] for at in order), min)))

    def _kinds_of(self, rows: list[int]) -> list[int]:
        try:
            return codes_of(rows, self.kinds, self.since)
        except IndexError as error:
            raise Nonsense(f"an item of {len(rows)}; the catalogue has {len(self.kinds)}") from error

    def _raises(self, carousel: str) -> bool:
        return carousel in BY_INTENT and self.intent is not None and self.intent.strength >= STRENGTH_MIN

    def _sinks(self, carousel: str) -> bool:
        return carousel in carousels.PERSONAL and self.discount is not None


def _taken_from(found: Candidates, places: list[int], scores: list[float]) -> Candidates:
    return Candidates(
        [found.rows[at] for at in places],
        scores,
        found.about,
        found.reasons if len(found.reasons) == 1 else [found.reasons[at] for at in places],
    )
