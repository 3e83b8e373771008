"""What an answer says of itself: receipts, made once per answer, and messages put together from serialised parts.

Protobuf's own rule makes the pass-through possible: serialised messages laid end to end parse as one, in which the
later scalar wins and lists go on (protobuf.dev, "Encoding: last one wins"). So the router's part of the receipt is
appended to a shard's slate that nobody has decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from router.asking.attempts import Attempt, once
from router.slates import ladder
from trunkshow.serving.call import PROCESS
from trunkshow.serving.deadline import Deadline
from trunkshow.v1 import recommendation_pb2 as pb

_STAGES = {pb.RUNG_PREVIOUS: "previous", pb.RUNG_STAND_IN: "stand-in"}
"""Names of the steps down; the first one is called `shard`."""


class Asking(NamedTuple):
    """What a slate's making needs to know of the call.

    Attributes:
        request_id: goes into the receipt and the logs.
        arrived: seconds on the monotonic clock.
        shards_by: until when shards may be waited for; what is left after that is for the ladder.
        budget_ms: that the call was given on its arrival.
    """

    request_id: str
    arrived: float
    shards_by: Deadline
    budget_ms: float = 0.0


class Reach(NamedTuple):
    """How far the asking got.

    Attributes:
        asked: partitions.
        answered: of these.
        attempts: all askings of shards, in the order in which they began.
        stages: the time that each step of it took, and was given.
    """

    asked: int = 0
    answered: int = 0
    attempts: tuple[Attempt, ...] = ()
    stages: tuple[pb.Stage, ...] = ()

    @classmethod
    def of(cls, rung: pb.Rung, asked: int, attempts: tuple[Attempt, ...], ms: float, budget_ms: float) -> Reach:
        """One step, of which nothing is known but that shards were asked; where none was, it took no time."""
        stage = pb.Stage(name=_STAGES.get(rung, "shard"), ms=ms, budget_ms=budget_ms)
        return cls(asked, 0, attempts, (stage,) if attempts else ())

    def plus(self, later: Reach) -> Reach:
        """Both, one after the other."""
        if self is NOWHERE:
            return later
        return Reach(
            self.asked + later.asked,
            self.answered + later.answered,
            self.attempts + later.attempts,
            self.stages + later.stages,
        )


NOWHERE = Reach()
"""Nobody was asked."""


def routers_part(
    asking: Asking, reach: Reach, reasons: Sequence[pb.Reason], failures: Sequence[pb.ModelFailure], now: float
) -> bytes:
    """The router's part of a receipt, as a serialised RecommendResponse of nothing else."""
    response = pb.RecommendResponse()
    receipt = response.receipt  # written in place: a message that is put into another one is copied
    receipt.request_id = asking.request_id
    receipt.partitions_asked = reach.asked
    receipt.partitions_answered = reach.answered
    receipt.elapsed_ms = (now - asking.arrived) * 1000
    receipt.budget_ms = asking.budget_ms
    receipt.router = PROCESS
    receipt.stages.extend(reach.stages)
    for one in reach.attempts:
        receipt.attempts.add(replica=one.replica, outcome=one.outcome, ms=one.ms, rung=one.rung, hedge=one.hedge)
        receipt.hedged |= one.hedge
    if reasons:
        receipt.reasons.extend(reasons)
    if failures:
        receipt.model_failures.extend(failures)
    return response.SerializeToString()


def reasons_once(data: bytes) -> bytes:
    """A serialised RecommendResponse whose receipt was put together from parts, each reason in it once."""
    response = pb.RecommendResponse.FromString(data)
    reasons = once(response.receipt.reasons)
    response.receipt.ClearField("reasons")
    response.receipt.reasons.extend(reasons)
    return response.SerializeToString()


def whole(
    asking: Asking,
    reach: Reach,
    made: Sequence[pb.Carousel],
    reasons: Sequence[pb.Reason],
    *,
    version: str,
    of_shards: Sequence[pb.Receipt],
    failures: Sequence[pb.ModelFailure] = (),
    now: float,
) -> pb.Receipt:
    """A receipt for carousels that the router put together, with what the shards' own ones said."""
    known = next((receipt for receipt in of_shards if receipt.watermark), pb.Receipt())
    of_models = [*(failure for receipt in of_shards for failure in receipt.model_failures), *failures]
    return pb.Receipt(
        request_id=asking.request_id,
        rung=ladder.rung_of(made),
        reasons=once([*(reason for receipt in of_shards for reason in receipt.reasons), *reasons]),
        snapshot_version=version,
        partitions_asked=reach.asked,
        partitions_answered=reach.answered,
        elapsed_ms=(now - asking.arrived) * 1000,
        effort=max((receipt.effort for receipt in of_shards), default=pb.EFFORT_UNSPECIFIED),
        model_failures={failure.SerializeToString(): failure for failure in of_models}.values(),
        stages=[*(stage for receipt in of_shards for stage in receipt.stages), *reach.stages],
        attempts=told(reach.attempts),
        budget_ms=asking.budget_ms,
        hedged=_hedged(reach),
        watermark=known.watermark,
        events_folded=known.events_folded,
        watermark_age_ms=known.watermark_age_ms if known.HasField("watermark_age_ms") else None,
        kept_age_ms=max((one.kept_age_ms for one in of_shards if one.HasField("kept_age_ms")), default=None),
        router=PROCESS,
    )


def told(attempts: Sequence[Attempt]) -> list[pb.Attempt]:
    """Attempts as a receipt has them."""
    return [
        pb.Attempt(replica=one.replica, outcome=one.outcome, ms=one.ms, rung=one.rung, hedge=one.hedge)
        for one in attempts
    ]


def slateless(asking: Asking, reason: pb.Reason, now: float) -> bytes:
    """A serialised RecommendResponse without a slate: what one of a batch gets who is to have none."""
    receipt = pb.Receipt(
        request_id=asking.request_id,
        reasons=[reason],
        elapsed_ms=(now - asking.arrived) * 1000,
        budget_ms=asking.budget_ms,
        router=PROCESS,
    )
    return pb.RecommendResponse(receipt=receipt).SerializeToString()


def _hedged(reach: Reach) -> bool:
    return any(attempt.hedge for attempt in reach.attempts)
