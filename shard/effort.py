"""How much work a prediction gets: what its time allows, going by what predictions lately took.

Rules:

1. Cost is learned for each effort and number of partitions: a moving mean plus four moving deviations, as TCP times out
   (RFC 6298, section 2). What nothing is known of is taken for a share of what full effort costs, and where nothing is
   known of that either, for free.
2. The most effort that fits into the time left is put in; where not even the least fits, the work is refused: another
   replica, or a lower rung, answers sooner than this shard could.
3. One that took very long counts as a few times what was expected, so that a process which was stopped for a while
   does not take all work for impossible. A cost shrinks each time that it is found too high, so that after a while it
   is tried again.

Pure: the time left and the time taken are the caller's to measure.
"""

from __future__ import annotations

from collections.abc import Mapping

from trunkshow.proposals import FULL, Work
from trunkshow.v1 import recommendation_pb2 as pb

MARGIN_MS = 1.0
"""Of the time left, for the answer to be written and to travel."""

WAIT_SHARE = 0.7
"""Of the time left, that is waited at most: a busy process wakes who waits late, and an answer must come in time."""

WAIT_MS_MAX = 10_000.0
"""And this long: what is being read meanwhile cannot be closed, and some callers set no deadline."""

WORK: Mapping[pb.Effort, Work] = {  # most first
    pb.EFFORT_FULL: FULL,
    pb.EFFORT_REDUCED: Work(spare_max=1),
    pb.EFFORT_MINIMAL: Work(spare_max=1, again=False, costly=False),
}

SHARES: Mapping[pb.Effort, float] = {pb.EFFORT_FULL: 1.0, pb.EFFORT_REDUCED: 0.6, pb.EFFORT_MINIMAL: 0.3}
"""Of the cost of full effort, where an effort's own is not known."""

SURPRISE_MAX = 4.0
"""A prediction counts at most so many times what was expected."""

FORGET = 0.95
"""What is left of a cost that was found too high for the time left."""

_MEAN_GAIN, _DEVIATION_GAIN = 1 / 8, 1 / 4
_START_MS_MAX = 10.0
"""The first one of a kind reads cold pages; it counts as no more than this."""


def partitions_of(effort: pb.Effort, asked: int) -> int:
    """How many of the partitions asked for, the nearest first, are looked in."""
    if effort == pb.EFFORT_MINIMAL:
        return min(asked, 1)
    return -(-asked // 2) if effort == pb.EFFORT_REDUCED else asked


class Costs:
    """What predictions lately took, in milliseconds, by effort and number of partitions asked for."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[float, float]] = {}  # mean, deviation

    def learn(self, effort: pb.Effort, partitions: int, ms: float) -> None:
        """One that took so long."""
        key = (effort, partitions)
        known = self._known.get(key)
        if known is None:
            first = min(ms, _START_MS_MAX)
            self._known[key] = (first, first / 2)
            return
        mean, deviation = known
        off = min(ms, SURPRISE_MAX * (mean + 4 * deviation)) - mean
        self._known[key] = (mean + _MEAN_GAIN * off, deviation + _DEVIATION_GAIN * (abs(off) - deviation))

    def expected_ms(self, effort: pb.Effort, partitions: int) -> float:
        """What one will hardly exceed; 0 where nothing is known."""
        known = self._known.get((effort, partitions))
        if known is not None:
            return known[0] + 4 * known[1]
        full = self._known.get((pb.EFFORT_FULL, partitions))
        return SHARES[effort] * (full[0] + 4 * full[1]) if full else 0.0

    def spare_ms(self, remaining_ms: float, partitions: int) -> float:
        """Of the time left, what can be waited before full effort is put in."""
        beside_work = remaining_ms - 2 * MARGIN_MS - self.expected_ms(pb.EFFORT_FULL, partitions)
        return max(min(beside_work, WAIT_SHARE * remaining_ms, WAIT_MS_MAX), 0.0)

    def choose(self, remaining_ms: float, partitions: int) -> pb.Effort:
        """The most effort that fits into the time left; EFFORT_UNSPECIFIED where none does."""
        left = remaining_ms - MARGIN_MS
        if 0 < left >= self.expected_ms(pb.EFFORT_FULL, partitions):  # nearly always
            return pb.EFFORT_FULL
        fits = [0 < left >= self.expected_ms(effort, partitions) for effort in WORK]
        for effort, enough in zip(WORK, fits, strict=True):
            if enough:
                return effort
            self._forget((effort, partitions))
        return pb.EFFORT_UNSPECIFIED

    def _forget(self, kind: tuple[int, int]) -> None:
        if kind in self._known:
            mean, deviation = self._known[kind]
            self._known[kind] = (FORGET * mean, FORGET * deviation)
