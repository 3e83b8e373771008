"""Exponentially decayed sums of weighted events, for many items at once, by forward decay.

An event at time t counts 2^-((now - t) / half-life) at `now`. It is added as 2^((t - L) / half-life) with a landmark
L, and a sum is scaled when it is read: nothing needs touching as time passes, and the order of arrival does not matter
(Cormode, Shkapenyuk, Srivastava and Xu: "Forward Decay: A Practical Time Decay Model for Streaming Systems", ICDE
2009). The landmark moves before numbers become too large. Rows are the caller's business.
"""

from __future__ import annotations

import math

import numpy as np

from trunkshow.stream.surges import Numbers, Slots

HOUR_S = 3600.0

_REACH = 12
"""Half-lives; what lies further back weighs less than a four-thousandth."""

_LEAST = 1e-6
"""Sums below this are nothing."""

_REBASE = 200.0
"""Half-lives from the landmark after which it moves; 2^400, of a square, is far from what a float cannot hold."""


class Decayed:
    """Sums of one half-life.

    Args:
        half_life_s: after which an event counts half.
        rows: items that there is room for.
        weights: (kinds,) of the interactions.
    """

    def __init__(self, half_life_s: float, rows: int, weights: Numbers) -> None:
        self.half_life_s = half_life_s
        self._weights = weights
        self._sums = np.zeros((rows, len(weights)))
        self._squares = np.zeros(rows)  # of weights times decay
        self._landmark_s = 0.0

    def add(self, rows: Slots, kinds: Slots, times_s: Numbers, now_s: float) -> None:
        """Count events; of those further back than anything weighs, nothing."""
        self._move_landmark(now_s)
        ages = (times_s - self._landmark_s) / self.half_life_s
        growth = np.exp2(np.maximum(ages, -_REBASE))
        np.add.at(self._sums, (rows, kinds), growth)
        np.add.at(self._squares, rows, (self._weights[kinds] * growth) ** 2)

    def sums(self, rows: Slots, now_s: float) -> Numbers:
        """(k,) Σ w of k items, where w is an interaction's weight times its decay."""
        sums: Numbers = self._sums[rows] @ self._weights * self._scale(now_s)
        return sums

    def sizes(self, rows: Slots, now_s: float) -> Numbers:
        """(k,) s: what one event is worth of each sum (`trunkshow.stream.surges`); 1 where next to nothing is left."""
        scale = self._scale(now_s)
        own = self._sums[rows] @ self._weights * scale
        steady = self._sums[rows] @ self._weights**2 * scale / 2
        sizes: Numbers = np.ones(len(rows))
        np.divide(np.maximum(self._squares[rows] * scale**2, steady), own, out=sizes, where=own > _LEAST)
        return sizes

    def by_kind(self, rows: Slots, now_s: float) -> Numbers:
        """(k, kinds) decayed counts of k items by interaction, unweighted."""
        counts: Numbers = self._sums[rows] * self._scale(now_s)
        return counts

    def hours(self, since_s: float, now_s: float) -> tuple[Slots, Numbers]:
        """Where the weight of a steady stream lies: (h,) hours since the epoch, and (h,) their weight in hours."""
        first = max(since_s, now_s - _REACH * self.half_life_s)
        hours = np.arange(int(first // HOUR_S), int(now_s // HOUR_S) + 1)
        begins = np.clip(hours * HOUR_S, first, now_s)
        ends = np.clip((hours + 1) * HOUR_S, first, now_s)
        mean_life_h = self.half_life_s / math.log(2) / HOUR_S
        weights: Numbers = mean_life_h * (self._decay(ends, now_s) - self._decay(begins, now_s))
        return hours, weights

    def keep(self, rows: Slots) -> None:
        """Forget all other items; these move to the front, in this order."""
        for table in (self._sums, self._squares):
            table[: len(rows)] = table[rows]
            table[len(rows) :] = 0

    def clear(self) -> None:
        """Forget what was counted."""
        self._sums[:], self._squares[:], self._landmark_s = 0, 0, 0.0

    def grow(self, rows: int) -> None:
        """Make room."""
        more = rows - len(self._squares)
        self._sums = np.pad(self._sums, ((0, more), (0, 0)))
        self._squares = np.pad(self._squares, (0, more))

    def _decay(self, times_s: Numbers, now_s: float) -> Numbers:
        decay: Numbers = np.exp2((times_s - now_s) / self.half_life_s)
        return decay

    def _scale(self, now_s: float) -> float:
        return float(0.5 ** min((now_s - self._landmark_s) / self.half_life_s, 2 * _REBASE))

    def _move_landmark(self, now_s: float) -> None:
        if now_s - self._landmark_s <= _REBASE * self.half_life_s:
            return
        scale = self._scale(now_s)
        self._sums *= scale
        self._squares *= scale**2
        self._landmark_s = now_s
