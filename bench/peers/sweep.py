"""How far a peer's index is turned up: the least setting that finds as much of the exact answers as all are to find.

A decision over numbers: it says what to try, and is told what that found. Recall is taken to rise with the setting;
where noise has it fall by a little, what is chosen still reached the aim when it was tried.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

RECALL = 0.98
TOLERANCE = 0.005


class Swept(NamedTuple):
    """What a sweep came to.

    Attributes:
        knob: the setting.
        recall: that it found.
    """

    knob: int
    recall: float

    def equal(self, aim: float = RECALL) -> bool:
        """Whether that is the aim, no less and no more than the tolerance."""
        return abs(self.recall - aim) <= TOLERANCE


def sweep(low: int, high: int, aim: float = RECALL) -> Generator[int, float, Swept]:
    """Yields settings to try, is sent what each recalls; returns the least that reaches the aim, or else the highest.

    Doubling from the lowest, then halving the gap: 2 log2(high ÷ low) trials at most.
    """
    below, at = low - 1, low
    recall = yield at
    while recall < aim:
        if at >= high:
            return Swept(at, recall)
        below, at = at, min(2 * at, high)
        recall = yield at
    best = Swept(at, recall)
    while best.knob - below > 1:
        middle = (best.knob + below) // 2
        recall = yield middle
        if recall >= aim:
            best = Swept(middle, recall)
        else:
            below = middle
    return best
