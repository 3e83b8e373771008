"""Whether another replica is worth asking because one failed: a budget for each replica.

Rules:

1. Asking a replica because another one failed costs nothing where it answers. Where it fails too, it costs one of its
   tokens.
2. Every good answer of a replica, however it came to be asked, earns it a share of a token; it holds a burst of them at
   most, and at first.
3. Who has no token is passed over. Whose turn comes first is asked all the same, and so it earns tokens again.

So of a replica's askings after a failure, those in vain are, over any time, no more than the burst, what was on its
way at a time, and the share of its good answers. Shards that all refuse are soon asked once for a request and not once
each, while one that answers is never too dear, whatever becomes of the others.

The bucket is that of gRPC's retry throttling (proposal A6), which drains by failures and fills by successes. That one
is the whole service's, and any failure counts: a replica that dies with two hundred calls would have spent it at the
very moment at which asking somebody else is worth most.
"""

from __future__ import annotations

from trunkshow.v1 import recommendation_pb2 as pb

SHARE = 0.1
"""Of a token, that a good answer earns; gRPC's tokenRatio of its examples."""

BURST = 10.0
"""Tokens that a replica holds at most."""


class Failovers:
    """The budgets of all replicas.

    Args:
        share: of a token that a good answer earns.
        burst: tokens that a replica holds at most.

    Attributes:
        refused: times that nobody was asked after a failure although somebody was left, since the start.
    """

    def __init__(self, share: float = SHARE, burst: float = BURST) -> None:
        self.refused = 0
        self._share = share
        self._burst = burst
        self._spent: dict[str, float] = {}

    def affords(self, address: str) -> bool:
        """Whether a replica may be asked after a failure."""
        return self._spent.get(address, 0.0) <= self._burst - 1

    def ended(self, address: str, outcome: pb.Outcome, *, failover: bool) -> None:
        """An asking has ended; one that was called off says nothing."""
        if outcome == pb.OUTCOME_ANSWERED:
            if self._spent:  # nearly never
                self._earn(address)
        elif failover and outcome != pb.OUTCOME_CANCELLED:
            self._spent[address] = min(self._spent.get(address, 0.0) + 1, self._burst)

    def _earn(self, address: str) -> None:
        left = self._spent.get(address, 0.0) - self._share
        if left > 0:
            self._spent[address] = left
        else:
            self._spent.pop(address, None)
