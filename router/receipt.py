"""What an answer says of itself: receipts, made once per answer, and messages put together from serialised parts.

Protobuf's own rule makes the pass-through possible: serialised messages laid end to end parse as one, in which the
later scalar wins and lists go on (protobuf.dev, "Encoding: last one wins"). So the router's part of the receipt is
appended to a shard's slate that nobody has decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from router import ladder
from router.attempts import Attempt
from trunkshow.serving.deadline import Deadline
from trunkshow.v1 import recommendation_pb2 as pb

_INDEX_TAG = b"\x08"  # field 1, varint
_RESPONSE_TAG = b"\x12"  # field 2, length-delimited


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
        shard_ms: time from asking the first shard to having the last answer; 0 where none was asked.
        attempts: all askings of shards, in the order in which they began.
        budget_ms: that shards were given together.
    """

    asked: int = 0
    answered: int = 0
    shard_ms: float = 0.0
    attempts: tuple[Attempt, ...] = ()
    budget_ms: float = 0.0


def routers_part(asking: Asking, reach: Reach, reasons: Sequence[pb.Reason], now: float) -> bytes:
    """The router's part of a receipt, as a serialised RecommendResponse of nothing else."""
    receipt = pb.Receipt(
        request_id=asking.request_id,
        reasons=reasons,
        partitions_asked=reach.asked,
        partitions_answered=reach.answered,
        elapsed_ms=(now - asking.arrived) * 1000,
        stages=_stages(reach),
        attempts=told(reach.attempts),
        budget_ms=asking.budget_ms,
        hedged=_hedged(reach),
    )
    return pb.RecommendResponse(receipt=receipt).SerializeToString()


def whole(
    asking: Asking,
    reach: Reach,
    made: Sequence[pb.Carousel],
    reasons: Sequence[pb.Reason],
    *,
    version: str,
    of_shards: Sequence[pb.Receipt],
    now: float,
) -> pb.Receipt:
    """A receipt for carousels that the router put together, with what the shards' own ones said."""
    return pb.Receipt(
        request_id=asking.request_id,
        rung=ladder.rung_of(made),
        reasons=ladder.once([*(reason for receipt in of_shards for reason in receipt.reasons), *reasons]),
        snapshot_version=version,
        partitions_asked=reach.asked,
        partitions_answered=reach.answered,
        elapsed_ms=(now - asking.arrived) * 1000,
        stages=[*(stage for receipt in of_shards for stage in receipt.stages), *_stages(reach)],
        attempts=told(reach.attempts),
        budget_ms=asking.budget_ms,
        hedged=_hedged(reach),
    )


def told(attempts: Sequence[Attempt]) -> list[pb.Attempt]:
    """Attempts as a receipt has them."""
    return [
        pb.Attempt(replica=one.replica, outcome=one.outcome, ms=one.ms, rung=one.rung, hedge=one.hedge)
        for one in attempts
    ]


def batch_answer(index: int, slate: bytes) -> bytes:
    """A serialised RecommendBatchResponse around a serialised RecommendResponse."""
    return b"".join((_INDEX_TAG, _varint(index), _RESPONSE_TAG, _varint(len(slate)), slate))


def _stages(reach: Reach) -> list[pb.Stage]:
    return [pb.Stage(name="shard", ms=reach.shard_ms, budget_ms=reach.budget_ms)] if reach.shard_ms else []


def _hedged(reach: Reach) -> bool:
    return any(attempt.hedge for attempt in reach.attempts)


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)
