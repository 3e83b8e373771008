"""One request that a shard was asked for: what is to be done next, and the receipt in the end.

    flying   the shard has not answered; once its patience is over the router is asked as well
    landed   its answer is the slate, or the router's will be

The clients send and wait; this is told what came, and when. A receipt counts from the call of the client, since that is
where the time began that both ways share.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import replace

import grpc

from trunkshow.answers import Slate
from trunkshow.direct.shards import Ending
from trunkshow.direct.ways import Plan, ShortWay, ending_of
from trunkshow.receipts import DIRECT, Attempt, Outcome, Rung
from trunkshow.v1 import recommendation_pb2 as pb

LEFT_MS_MIN = 1.0
"""A call is given at least so much; one with nothing left would not even be sent."""

_OUTCOMES = {
    Ending.LATE: Outcome.LATE,
    Ending.NOT_HELD: Outcome.NOT_HELD,
    Ending.OVERLOADED: Outcome.OVERLOADED,
    Ending.OVERTAKEN: Outcome.CANCELLED,
}
"""Others are FAILED, an answer that was not whole among them: it is not in the slate."""

# A counter behind a random prefix: unique across processes.
_prefix = os.urandom(6).hex()
_numbers = itertools.count(1)


class Trip:
    """From the asking of a shard to the slate.

    Args:
        way: that decided it.
        plan: of it.
        began: when the client was called; seconds, monotonic.
        budget_ms: that the caller gives.
        request_id: of the caller; made here where empty, so that shard and router log the same.

    Attributes:
        plan: of it.
        request_id: of the request.
        flying: the shard has not answered.
        hedged: the router was asked meanwhile.
    """

    def __init__(self, way: ShortWay, plan: Plan, began: float, budget_ms: float, request_id: str) -> None:
        self.plan = plan
        self.request_id = request_id or f"{_prefix}-{next(_numbers):x}"
        self.flying = True
        self.hedged = False
        self._way = way
        self._began = began
        self._budget_ms = budget_ms
        self._next_look_ms = plan.patience_ms
        self._attempt: Attempt | None = None

    def left_ms(self, now: float) -> float:
        """Of the caller's time."""
        return max(self._budget_ms - self._elapsed_ms(now), LEFT_MS_MIN)

    def wait_s(self, now: float) -> float | None:
        """How long an answer is waited for before `asks_router`; None once that has been answered yes."""
        return None if self.hedged or not self.flying else max(self._next_look_ms - self._elapsed_ms(now), 0.0) / 1e3

    def asks_router(self, now: float) -> bool:
        """Whether the router is to be asked now, which it was not yet."""
        if not self.flying:
            return True
        elapsed = self._elapsed_ms(now)
        if elapsed < self._next_look_ms:
            return False
        self.hedged = self._way.may_hedge(self.plan, elapsed)
        self._next_look_ms = min(elapsed + self.plan.patience_ms, max(self.plan.share_ms, elapsed))
        return self.hedged

    def answered(self, data: bytes, now: float) -> Slate | None:
        """The shard answered: the slate, or None where the router's is to be it."""
        slate = self._way.taken(self.plan, data)
        if isinstance(slate, Ending):
            self._way.ended(self.plan, slate, self._land(slate, now), now)
            return None
        ms = self._land(Ending.ANSWERED, now)
        self._way.ended(self.plan, Ending.ANSWERED, ms, now)
        self._way.went("direct", hedged=self.hedged)
        self._complete(slate.receipt, ms)
        return Slate.from_message(slate)

    def failed(self, code: grpc.StatusCode | None, now: float) -> None:
        """The shard's call ended with this status, or could not be begun."""
        ending = ending_of(code)
        self._way.ended(self.plan, ending, self._land(ending, now), now)

    def mended(self, slate: Slate, now: float) -> Slate:
        """The router's slate, with what became of the shard's asking before it."""
        if self.flying:
            self._way.ended(self.plan, Ending.OVERTAKEN, self._land(Ending.OVERTAKEN, now), now)
        self._way.went("mended", hedged=self.hedged)
        assert self._attempt is not None
        receipt = replace(
            slate.receipt,
            attempts=(self._attempt, *slate.receipt.attempts),
            elapsed_ms=self._elapsed_ms(now),
            budget_ms=self._budget_ms,
            hedged=slate.receipt.hedged or self.hedged,
        )
        return replace(slate, receipt=receipt)

    def called_off(self, now: float) -> None:
        """The request has come to its end, answered or not."""
        if self.flying:
            self._way.ended(self.plan, Ending.ABANDONED, self._land(Ending.ABANDONED, now), now)

    def _elapsed_ms(self, now: float) -> float:
        return (now - self._began) * 1e3

    def _land(self, ending: Ending, now: float) -> float:
        self.flying = False
        ms = self._elapsed_ms(now)
        outcome = _OUTCOMES.get(ending, Outcome.FAILED)
        self._attempt = Attempt(self.plan.address, outcome, ms, Rung.SNAPSHOT, hedge=False)
        return ms

    def _complete(self, receipt: pb.Receipt, ms: float) -> None:
        """What a router would have added to a shard's receipt."""
        receipt.request_id = self.request_id
        receipt.partitions_asked = receipt.partitions_answered = 1
        receipt.elapsed_ms, receipt.budget_ms, receipt.hedged = ms, self._budget_ms, self.hedged
        receipt.stages.add(name=DIRECT, ms=ms, budget_ms=self._budget_ms)
        receipt.attempts.add(
            replica=self.plan.address, outcome=pb.OUTCOME_ANSWERED, ms=ms, rung=receipt.rung or pb.RUNG_SNAPSHOT
        )
