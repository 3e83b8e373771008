"""When a second replica is asked because the first one takes long. Nothing here waits or sends; `router.race` does.

Rules:

1. A replica's patience is the p95 of its recent answers of the same kind, within a floor and a ceiling; a default
   until there are enough of them. (Dean and Barroso, "The Tail at Scale", CACM 2013: a request deferred until the
   95th percentile costs about 5 % more load.)
2. A hedge costs a token. Every request earns a share of one; the bucket is bounded, so that what was saved up in quiet
   times buys a burst and no more: over any time, hedges ≤ burst + share × requests.
3. A request that was refused a token asks for one again after another patience.
4. Nobody is asked twice for the same partition in one request: who was slow or failed in it is never the hedge.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto

RECENT_ANSWERS_MAX = 256
"""Answers of one replica and kind that its p95 is taken over."""

RECENT_ANSWERS_MIN = 20
"""Below them there is no p95 to speak of."""

_RENEWED_EVERY = 16
"""Answers between two looks at the window: sorting it for every answer would cost more than it tells."""

_QUANTILE = 0.95


class Kind(Enum):
    """Askings whose times can be compared."""

    ONE = auto()
    """A user's home."""
    SEVERAL = auto()
    """Several partitions for a user who is folded in."""
    STAND_IN = auto()
    """The compact copy of a user, and the partitions near it."""


@dataclass(frozen=True)
class Patience:
    """How long an answer is waited for before a second replica is asked.

    Attributes:
        default_ms: until enough answers were seen.
        floor_ms: never less, however fast a replica is: the difference would be the machine's, not the replica's.
        ceiling_ms: never more.
    """

    default_ms: float = 30.0
    floor_ms: float = 5.0
    ceiling_ms: float = 80.0

    def of(self, p95_ms: float) -> float:
        """Milliseconds, given a replica's p95; 0 stands for not known yet."""
        return min(max(p95_ms, self.floor_ms), self.ceiling_ms) if p95_ms else self.default_ms


PATIENCE = Patience()
"""Where nobody says otherwise."""


class Latencies:
    """A replica's recent answers of one kind.

    Attributes:
        p95_ms: of the window, renewed every 16 answers; 0 while there are fewer than 20.
        median_ms: the same of the median.
        answers: seen, the ones that left the window included.
        renewed: the figures are as of the latest answer.
    """

    def __init__(self) -> None:
        self.p95_ms = 0.0
        self.median_ms = 0.0
        self.answers = 0
        self.renewed = False
        self._window: deque[float] = deque(maxlen=RECENT_ANSWERS_MAX)

    def add(self, ms: float) -> None:
        """One answer took so long."""
        self._window.append(ms)
        self.answers += 1
        answers = self.answers
        self.renewed = answers == RECENT_ANSWERS_MIN or (answers > RECENT_ANSWERS_MIN and answers % _RENEWED_EVERY == 0)
        if self.renewed:
            ordered = sorted(self._window)
            self.p95_ms = ordered[int(_QUANTILE * (len(ordered) - 1))]
            self.median_ms = ordered[len(ordered) // 2]


class Tokens:
    """The budget: a bucket that requests fill and hedges empty.

    Args:
        share: of a token that each request earns.
        burst: tokens that the bucket holds; it is full at first.
    """

    def __init__(self, share: float = 0.1, burst: float = 32) -> None:
        self._share = share
        self._burst = burst
        self._left = float(burst)

    def earn(self) -> None:
        """A request came."""
        self._left = min(self._left + self._share, self._burst)

    @property
    def any(self) -> bool:
        """Whether there is a token."""
        return self._left >= 1

    def spend(self) -> bool:
        """Take a token; False where there is none."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
