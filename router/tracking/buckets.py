"""Token buckets by key: how much a caller may do at once, and how fast it may go on. Pure: the time comes in.

A bucket is asked before work is known and charged once it is, so it may owe: a call that is let in may be larger than
what was left, and the next one waits for that. So many keys are kept at most. The one that was charged longest ago goes
first; where keys are kept for `burst / per_s` seconds it is full again by then, and nothing is forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple


class _Level(NamedTuple):
    tokens: float
    at: float


class Buckets:
    """One bucket per key.

    Args:
        per_s: tokens that come back each second.
        burst: tokens of a full bucket.
        keys_max: buckets that are kept.
    """

    def __init__(self, per_s: float, burst: float, keys_max: int) -> None:
        self._per_s = per_s
        self._burst = burst
        self._keys_max = keys_max
        self._levels: OrderedDict[Hashable, _Level] = OrderedDict()

    def __len__(self) -> int:
        """Buckets that are kept."""
        return len(self._levels)

    def wait_s(self, key: Hashable, now: float) -> float:
        """Seconds until it has a token; 0 where it has one."""
        return max(0.0, (1.0 - self._tokens(key, now)) / self._per_s)

    def charge(self, key: Hashable, tokens: float, now: float) -> None:
        """Take tokens out, whether they are there or not."""
        self._levels[key] = _Level(self._tokens(key, now) - tokens, now)
        self._levels.move_to_end(key)
        if len(self._levels) > self._keys_max:
            self._levels.popitem(last=False)

    def _tokens(self, key: Hashable, now: float) -> float:
        level = self._levels.get(key)
        if level is None:
            return self._burst
        return min(self._burst, level.tokens + (now - level.at) * self._per_s)
