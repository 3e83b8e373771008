"""When a second replica is asked because the first one takes long. Decided here, done by `router.asking.race`.

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

from dataclasses import dataclass


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

    def of(self, tail_ms: float) -> float:
        """Milliseconds, given the tail of a replica's times; 0 stands for not known yet."""
        return min(max(tail_ms, self.floor_ms), self.ceiling_ms) if tail_ms else self.default_ms


PATIENCE = Patience()
"""Where nobody says otherwise."""


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

    def give_back(self) -> None:
        """A token that was taken is not to count."""
        self._left = min(self._left + 1, self._burst)
