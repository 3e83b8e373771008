"""What every shard does where it cannot do all that it is asked: for a neighbour's user, without time, with a bug."""

from __future__ import annotations

import grpc
import pytest
from subjects import BROKEN, CULPRIT, ELSEWHERE, HELD, TIME_MS, WANTED, Subject, refusal

from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2


def standing_in(shard: Subject, user: str) -> shard_pb2.PredictRequest:
    """A prediction from the compact copy of somebody whose home is elsewhere."""
    return shard.asking(user, partitions=[ELSEWHERE], rung=pb.RUNG_STAND_IN)


async def with_copies(shard: Subject) -> None:
    """Until everything that the shard should hold is warm."""
    await shard.load_next()
    await shard.load_next()


# --- stand-ins ---


async def test_copies_that_are_not_here_are_refused_as_a_precondition(shard: Subject) -> None:
    """As a partition that is not; and a partition that is here is no copy of its users."""
    for partition in (ELSEWHERE, HELD[0]):
        asked = shard.asking(partitions=[partition], rung=pb.RUNG_STAND_IN)
        refused = await refusal(shard.predict(asked))
        assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SNAPSHOT_MISMATCH")


async def test_copies_are_reported_and_can_be_asked_for(shard: Subject) -> None:
    """Apart from the partitions: who is asked for them makes a slate of the rung that says so."""
    await with_copies(shard)
    (held,) = (await anext(shard.watch())).generations
    slate = await shard.slate(standing_in(shard, shard.neighbour))
    assert (list(held.stand_ins), ELSEWHERE in held.warm) == ([ELSEWHERE], False)
    assert [(one.id, one.rung, bool(one.items)) for one in slate.carousels] == [
        (wanted, pb.RUNG_STAND_IN, True) for wanted in WANTED
    ]


async def test_copies_are_no_partition(shard: Subject) -> None:
    """Who has the copies of a partition's users cannot answer for the partition."""
    await with_copies(shard)
    refused = await refusal(shard.predict(shard.asking(shard.neighbour, partitions=[ELSEWHERE])))
    assert refused.code == grpc.StatusCode.FAILED_PRECONDITION


async def test_who_is_not_among_the_copies_is_unknown(shard: Subject) -> None:
    """An answer in which everything is missing."""
    await with_copies(shard)
    answer = await shard.predict(standing_in(shard, "nobody"))
    assert [lost.reason for lost in answer.missing] == [pb.REASON_USER_UNKNOWN] * len(WANTED)


# --- effort ---


async def test_with_time_enough_everything_is_done_and_said(shard: Subject) -> None:
    """The receipt has no reason to give."""
    receipt = (await shard.slate(shard.asking())).receipt
    assert (receipt.effort, list(receipt.reasons)) == (pb.EFFORT_FULL, [])


async def test_with_little_time_less_is_done_and_said(shard: Subject) -> None:
    """The slate is whole all the same."""
    shard.slow(1.2 * TIME_MS)
    slate = await shard.slate(shard.asking())
    assert [one.id for one in slate.carousels] == list(WANTED)
    assert (slate.receipt.effort, list(slate.receipt.reasons)) == (pb.EFFORT_REDUCED, [pb.REASON_REDUCED_EFFORT])


async def test_without_time_a_prediction_is_refused_at_once(shard: Subject) -> None:
    """Another replica, or a lower rung, answers sooner."""
    shard.slow(100 * TIME_MS)
    refused = await refusal(shard.predict(shard.asking()))
    assert (refused.code, refused.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TIME_TOO_SHORT")


# --- models that fail ---


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_model_that_fails_costs_its_carousel_alone_and_is_named(shard: Subject, place: int) -> None:
    """Wherever it comes; the others keep their order."""
    wanted = [*WANTED[:place], BROKEN, *WANTED[place:]]
    answer = await shard.predict(shard.asking(carousels=wanted))
    slate = pb.RecommendResponse.FromString(answer.slate)
    assert [one.id for one in slate.carousels] == list(WANTED)
    assert [(lost.carousel, lost.reason, lost.model) for lost in answer.missing] == [
        (BROKEN, pb.REASON_MODEL_FAILED, CULPRIT)
    ]


async def test_where_nothing_could_be_made_there_still_is_a_slate(shard: Subject) -> None:
    """Without carousels, and with its version: the call succeeds."""
    answer = await shard.predict(shard.asking(carousels=[BROKEN]))
    slate = pb.RecommendResponse.FromString(answer.slate)
    assert (list(slate.carousels), slate.receipt.snapshot_version) == ([], shard.version)
    assert [lost.carousel for lost in answer.missing] == [BROKEN]


async def test_a_model_that_fails_in_a_batch_costs_the_same(shard: Subject) -> None:
    """In the answers that it was asked for, and in no other."""
    answers = await shard.batch([shard.asking(), shard.asking(carousels=[BROKEN, *WANTED])])
    missing = {one.index: [lost.carousel for lost in one.response.missing] for one in answers}
    assert missing == {0: [], 1: [BROKEN]}
