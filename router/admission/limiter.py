"""How many slates are made at a time: a limit that finds itself, so that no queue grows behind it.

Rules:

1. A request beyond the limit is not made to wait: it is answered from resident lists at once (`router.admission.shed`).
2. What is looked at is the time that shards' answers took, the median over a window of as many answers as the limit.
   The median, since overload is everybody's trouble: one shard that hangs must not shed what the others could serve.
3. Median above the goal: the limit falls to a share of what was in flight at most, so that one that stands far above
   the traffic bites at once. Never below the floor: that many a router takes on whatever happens.
4. Median within the goal, and the limit was nearly reached: it grows by its square root, up to the ceiling. A limit
   that nobody came near says nothing and stays.

Additive increase, multiplicative decrease: Chiu and Jain, "Analysis of the increase and decrease algorithms for
congestion avoidance", 1989; the step of √limit as in Netflix's concurrency-limits. The goal is a share of the deadline
and not a multiple of the least latency seen, as in Vegas: what is wanted is the deadline, and on a machine that others
use too the least latency is luck.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median_low

WINDOW_ANSWERS_MIN = 16
WINDOW_ANSWERS_MAX = 128


@dataclass(frozen=True)
class Bounds:
    """What the limit moves in.

    Attributes:
        goal_ms: for the median of shards' answers.
        floor: least.
        start: before anything was seen.
        ceiling: most.
        decrease: share of the most in flight that is left after a window above the goal.
        near: share of the limit that must have been in flight for it to grow.
    """

    goal_ms: float
    floor: int = 4
    start: int = 128
    ceiling: int = 1024
    decrease: float = 0.8
    near: float = 0.8


def window_answers(limit: float) -> int:
    """How many answers are looked at before the limit moves: about one round of all that are in flight."""
    return max(WINDOW_ANSWERS_MIN, min(round(limit), WINDOW_ANSWERS_MAX))


def moved(limit: float, median_ms: float, most_in_flight: int, bounds: Bounds) -> float:
    """The limit after a window.

    Args:
        limit: before it.
        median_ms: of the shards' answers in it.
        most_in_flight: requests at a time in it.
        bounds: that hold.
    """
    if median_ms > bounds.goal_ms:
        return max(bounds.decrease * min(limit, most_in_flight), bounds.floor)
    if most_in_flight >= bounds.near * limit:
        return min(limit + math.sqrt(limit), bounds.ceiling)
    return limit


class Limiter:
    """Counts what is in flight, and keeps the limit.

    Args:
        bounds: that the limit moves in.

    Attributes:
        in_flight: requests that were admitted and are not answered.
        shed: requests that were not admitted, since the start.
        limit: as of now.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.in_flight = 0
        self.shed = 0
        self.limit = float(bounds.start)
        self._bounds = bounds
        self._most = 0
        self._window: list[float] = []
        self._size = window_answers(self.limit)

    def admit(self) -> bool:
        """Whether a request may be worked on; who was admitted must `leave`."""
        if self.in_flight >= self.limit:
            self.shed += 1
            return False
        self.in_flight += 1
        if self.in_flight > self._most:
            self._most = self.in_flight
        return True

    @property
    def busy(self) -> bool:
        """Whether there is little room: work that can wait had better."""
        return self.in_flight > self.limit / 2

    def leave(self) -> None:
        """A request that was admitted is answered."""
        self.in_flight -= 1

    def observe(self, ms: float) -> None:
        """Shards took so long to answer a request, or to be given up."""
        self._window.append(ms)
        if len(self._window) >= self._size:
            self.limit = moved(self.limit, median_low(self._window), self._most, self._bounds)
            self._size = window_answers(self.limit)
            self._most = self.in_flight
            self._window.clear()
