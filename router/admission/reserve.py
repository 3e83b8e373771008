"""The time that is kept from the shards, learned: what the router itself lately took once they had answered.

Rules:

1. A sample runs from the moment at which shards had answered, or should have, until the slate was made. A router that
   notices late that they are late pays for it here.
2. The reserve is the 99th percentile of the last samples, half as much again, within a floor and a ceiling. Those of
   shards that were late have a window of their own: they are few, they are what the reserve is for, and a
   thousand quick answers must not make it forget them.
3. Until there are enough samples it is what the configuration says.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

SAMPLES_MAX = 512
SAMPLES_MIN = 64
SAMPLES_LATE_MIN = 8
_SAFETY = 1.5
_QUANTILE = 0.99
_RENEWED_EVERY = 32


@dataclass(frozen=True)
class Bounds:
    """What the reserve moves in, in milliseconds."""

    start_ms: float
    floor_ms: float
    ceiling_ms: float


class Reserve:
    """Learns.

    Args:
        bounds: of what is learned.

    Attributes:
        ms: to keep, as of now.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.ms = bounds.start_ms
        self._bounds = bounds
        self._usual: deque[float] = deque(maxlen=SAMPLES_MAX)
        self._late: deque[float] = deque(maxlen=SAMPLES_MAX)
        self._unseen = 0

    def learn(self, ms: float, *, late: bool) -> None:
        """The router took so long after the shards' answers, or after their time was up."""
        (self._late if late else self._usual).append(ms)
        self._unseen += 1
        if self._unseen >= _RENEWED_EVERY or (late and ms > self.ms):
            self._unseen = 0
            self.ms = self._learned()

    def _learned(self) -> float:
        bounds = self._bounds
        seen = [_quantile(self._usual)] if len(self._usual) >= SAMPLES_MIN else [bounds.start_ms / _SAFETY]
        if len(self._late) >= SAMPLES_LATE_MIN:
            seen.append(_quantile(self._late))
        return min(max(_SAFETY * max(seen), bounds.floor_ms), bounds.ceiling_ms)


def _quantile(samples: deque[float]) -> float:
    ordered = sorted(samples)
    return ordered[int(_QUANTILE * (len(ordered) - 1))]
