"""How many slates are made at a time: counts what is in flight and what answers take, and keeps the limit.

Nobody waits here: a page beyond the limit is answered from resident lists at once (`router.admission.shed`), and who of
a batch may wait for room does so in `router.admission.line`.

Rules:

1. What is looked at is the median time of shards' answers over a window of as many of them as the limit. The median,
   since overload is everybody's trouble: one shard that hangs must not shed what the others could serve.
2. Time that a request waited by its own wish, for events that are to be in its slate, does not count.
3. An asking that came to nothing counts as one that took for ever, where it was waited for as long as the goal. One
   that failed sooner says nothing of load.
4. Answers to those who were admitted before the limit moved say nothing of how it is now, and are left out.
5. Pages come first: a page is admitted while there are fewer pages than the limit. Batches have what pages leave of it,
   and all of them together never more than `BATCH_SHARE`; but one call for a batch may always be under way to each
   shard. It brings dozens of slates in one go, of which nothing would be left where few pages use the limit up.
6. Of a batch counts what lies with a shard at a time (`router.admission.line`), and what both have in flight is what a
   trial compares.

Where the limit goes from a window is `router.admission.limit`'s to say.
"""

from __future__ import annotations

import math
from statistics import median_low

from router.admission.limit import Bounds, Limit, Window, after

BATCH_SHARE = 0.5
"""Of the limit, that batches may have: what may lie with the shards when a page comes."""

WINDOW_ANSWERS_MIN = 8
WINDOW_ANSWERS_MAX = 128
WINDOW_ANSWERS_TRIAL = 64
"""At least so many in a trial: more rests on them."""


def window_answers(limit: Limit) -> int:
    """How many answers are looked at before the limit moves: about one round of all that are in flight."""
    least = WINDOW_ANSWERS_MIN if limit.trial is None else WINDOW_ANSWERS_TRIAL
    return max(least, min(round(limit.now), WINDOW_ANSWERS_MAX))


LEAST_MS = 0.01
"""No answer comes sooner; medians are compared as logarithms, and there is none of nothing."""


class Limiter:
    """Counts what is in flight, and keeps the limit.

    Args:
        bounds: that the limit moves in.

    Attributes:
        in_flight: pages that were admitted and are not answered.
        of_batches: what calls for batches count as, likewise.
        shed: pages that were not admitted, since the start.
        shed_of_batches: users of batches who were turned away, since the start, as whoever did so counts them.
        limit: how many may be in flight, as of now.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.in_flight = 0
        self.of_batches = 0
        self.shed = 0
        self.shed_of_batches = 0
        self.limit = float(bounds.start)
        self._bounds = bounds
        self._state = Limit(self.limit)
        self._most = 0
        self._left_out = 0
        self._window: list[float] = []
        self._begin()

    def admit(self) -> bool:
        """Whether a page may be worked on; who was admitted must `leave`."""
        self._came += 1
        self._found += self.all_in_flight
        if self.in_flight >= self.limit:
            self.shed += 1
            return False
        self.in_flight += 1
        self._most = max(self._most, self.all_in_flight)
        return True

    def admit_of_batch(self, slates: int, *, always: bool = False) -> bool:
        """Whether a call for a batch may be made, which counts as so many (rule 5); it must `leave_of_batch`."""
        room = min(BATCH_SHARE * self.limit, self.limit - self.in_flight) - self.of_batches
        if slates > room and not always:
            return False
        self.of_batches += slates
        self._most = max(self._most, self.all_in_flight)
        return True

    @property
    def all_in_flight(self) -> int:
        """Slates that are being made, for pages and in batches."""
        return self.in_flight + self.of_batches

    @property
    def busy(self) -> bool:
        """Whether there is little room: work that can wait had better."""
        return self.all_in_flight > self.limit / 2

    def leave(self) -> None:
        """A page that was admitted is answered."""
        self.in_flight -= 1

    def leave_of_batch(self, slates: int) -> None:
        """A call that was admitted has ended."""
        self.of_batches -= slates

    def observe(self, ms: float, *, answered: bool = True) -> None:
        """Shards took so long to answer a request, or to be given up."""
        if not answered and ms < self._bounds.goal_ms:
            return
        if self._left_out > 0:
            self._left_out -= 1
            if not self._left_out:
                self._begin()
            return
        self._window.append(max(ms, LEAST_MS) if answered else math.inf)
        self._in_vain += not answered
        if len(self._window) >= self._size or 2 * self._in_vain > self._size:  # then the rest of it changes nothing
            self._move()

    def _move(self) -> None:
        in_flight = self._found / self._came if self._came else float(self.all_in_flight)
        seen = Window(len(self._window), median_low(self._window), max(in_flight, 1.0), self._most)
        before = self._state
        self._state = after(before, seen, self._bounds)
        self.limit = self._state.now
        self._left_out = self.in_flight if self.limit != before.now else 0
        self._begin()

    def _begin(self) -> None:
        """A new window."""
        self._window.clear()
        self._size = window_answers(self._state)
        self._came = self._found = self._in_vain = 0
        self._most = self.all_in_flight
