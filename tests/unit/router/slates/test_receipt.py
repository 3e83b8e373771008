"""What the router appends to a shard's slate says the same as a receipt that is put together message by message."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.asking.attempts import Attempt
from router.slates import receipt
from router.slates.receipt import NOWHERE, Asking, Reach
from trunkshow.serving.call import PROCESS
from trunkshow.serving.deadline import Deadline
from trunkshow.v1 import recommendation_pb2 as pb

names = st.text(max_size=8)
moments = st.floats(0, 1e4, width=32)
rungs = st.sampled_from((pb.RUNG_SNAPSHOT, pb.RUNG_PREVIOUS, pb.RUNG_STAND_IN))
outcomes = st.sampled_from((pb.OUTCOME_ANSWERED, pb.OUTCOME_LATE, pb.OUTCOME_CANCELLED))
attempts = st.tuples(names, outcomes, moments, rungs, st.booleans()).map(
    lambda one: Attempt(one[0], one[1], ms=one[2], rung=one[3], hedge=one[4])
)
failures = st.builds(pb.ModelFailure, carousel=names, model=names)
reached = st.tuples(rungs, st.integers(0, 3), st.lists(attempts, max_size=3).map(tuple), moments, moments).map(
    lambda step: Reach.of(*step)
)


@given(
    asking=st.builds(Asking, names, moments, st.builds(Deadline, moments), moments),
    reach=st.just(NOWHERE) | reached | st.tuples(reached, reached).map(lambda two: two[0].plus(two[1])),
    reasons=st.lists(st.sampled_from((pb.REASON_SHARD_LATE, pb.REASON_CANARY)), max_size=2),
    failed=st.lists(failures, max_size=2),
    now=moments,
)
def test_the_routers_part_tells_everything(
    asking: Asking, reach: Reach, reasons: list[pb.Reason], failed: list[pb.ModelFailure], now: float
) -> None:
    """However it is written."""
    plain = pb.Receipt(
        request_id=asking.request_id,
        reasons=reasons,
        partitions_asked=reach.asked,
        partitions_answered=reach.answered,
        elapsed_ms=(now - asking.arrived) * 1000,
        stages=reach.stages,
        attempts=receipt.told(reach.attempts),
        budget_ms=asking.budget_ms,
        hedged=any(one.hedge for one in reach.attempts),
        model_failures=failed,
        router=PROCESS,
    )
    said = pb.RecommendResponse.FromString(receipt.routers_part(asking, reach, reasons, failed, now))
    assert said == pb.RecommendResponse(receipt=plain)


@given(first=reached, second=reached)
def test_steps_add_up(first: Reach, second: Reach) -> None:
    """Nothing before the first one changes nothing."""
    assert NOWHERE.plus(first) == first == first.plus(NOWHERE)
    assert first.plus(second).attempts == first.attempts + second.attempts
