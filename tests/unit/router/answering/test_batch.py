"""RecommendBatch: everybody is answered once, whatever happens to the shards."""

from __future__ import annotations

import grpc
import grpc.aio
import pytest
from batch_callers import KNOWN, MIXED, rungs
from fake_shard import FakeShard, answer, everything
from router_caller import Start
from structlog.testing import capture_logs

from router.answering.batch_time import RESIDENT_MS_AT_FIRST, BatchTime
from router.slates.receipt import Asking
from trunkshow.bundles import each
from trunkshow.errors import from_rpc_error
from trunkshow.serving.deadline import Deadline
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

pytestmark = pytest.mark.usefixtures("patient")


async def test_every_index_comes_once(start: Start) -> None:
    """Known users and strangers, several chunks on several shards."""
    caller = await start(FakeShard(everything()), FakeShard(everything()), batch_chunk_users=3)
    assert await rungs(caller, MIXED) == [pb.RUNG_SNAPSHOT if user in KNOWN else pb.RUNG_POPULAR for user in MIXED]


async def test_each_slate_is_its_own_users(start: Start) -> None:
    """Chunks do not mix up who asked for what."""

    async def echo(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        user = pb.RecommendRequest.FromString(request.request).user_id
        return answer([pb.Carousel(id="for-you", title=user, rung=pb.RUNG_SNAPSHOT)])

    caller = await start(FakeShard(echo), FakeShard(echo), batch_chunk_users=3)
    answers = await caller.batch([pb.RecommendRequest(user_id=user) for user in KNOWN])
    assert {one.index: one.response.carousels[0].title for one in answers} == dict(enumerate(KNOWN))


async def test_who_allows_it_gets_what_is_ready_in_one_message(start: Start) -> None:
    """The same slates in fewer messages; whoever does not know of it gets one in each."""
    caller = await start(FakeShard(everything()), FakeShard(everything()))
    users = KNOWN * 20
    asked = [pb.RecommendRequest(user_id=user, carousels=["for-you"]) for user in users]
    alone, together = await caller.batch(asked), await caller.batch(asked, together=True)
    assert len(alone) == len(users) > len(together)
    assert not any(one.also for one in alone)
    shown = [
        sorted((one.index, one.response.carousels[0].id, one.response.receipt.rung) for one in answers)
        for answers in (alone, [one for message in together for one in each(message)])
    ]
    assert shown[0] == shown[1]


async def test_every_slate_of_a_message_has_a_receipt_of_its_own(start: Start) -> None:
    """Written once for all of them, it says of each who was asked, and what else went wrong for that one alone."""

    async def short_of_one(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        if pb.RecommendRequest.FromString(request.request).user_id != "u1":
            return await everything()(request)
        del request.carousels[1:]
        made = await everything()(request)
        made.missing.add(carousel="popular", reason=pb.REASON_CAROUSEL_EMPTY)
        return made

    caller = await start(FakeShard(short_of_one))
    asked = [pb.RecommendRequest(user_id=user, carousels=["for-you", "popular"]) for user in KNOWN[:4]]
    messages = await caller.batch(asked, together=True)
    receipts = {one.index: one.response.receipt for message in messages for one in each(message)}
    for receipt in receipts.values():
        assert (receipt.partitions_asked, receipt.partitions_answered) == (1, 1)
        assert [(attempt.outcome, bool(attempt.replica)) for attempt in receipt.attempts] == [
            (pb.OUTCOME_ANSWERED, True)
        ]
        assert receipt.request_id and 0 < receipt.elapsed_ms < receipt.budget_ms
    assert len({receipt.request_id for receipt in receipts.values()}) == 1
    assert [list(receipts[index].reasons) for index in range(4)] == [[], [pb.REASON_CAROUSEL_EMPTY], [], []]


async def test_chunks_hold_so_many_users_at_most(start: Start) -> None:
    """A large batch comes in pieces, so that other requests get in between."""
    shard = FakeShard(everything())
    await rungs(await start(shard, batch_chunk_users=3), KNOWN)
    assert sorted(shard.batches) == [2, 3, 3]


async def test_a_shard_that_takes_fewer_users_in_a_call_gets_no_more(start: Start) -> None:
    """It would refuse a larger chunk as a whole. That is logged as it is found; others' chunks are what they were."""
    small, large = FakeShard(everything(), batch_users_max=2), FakeShard(everything())
    with capture_logs() as logs:
        caller = await start(small, large, batch_chunk_users=3)
        cut = [one for one in logs if one["event"] == "batch.chunks_cut"]
    assert [(one["batch_users_max"], one["batch_chunk_users"]) for one in cut] == [(2, 3)]
    assert set(await rungs(caller, KNOWN * 8)) == {pb.RUNG_SNAPSHOT}
    assert (max(small.batches), max(large.batches)) == (2, 3)
    assert sum(small.batches) + sum(large.batches) == len(KNOWN) * 8  # nobody had to be asked for alone


async def test_the_last_of_a_batch_are_waited_for_longer(start: Start) -> None:
    """What is kept for resident slates shrinks with the users who still need one: a second for a thousand."""
    shard = FakeShard(everything())
    caller = await start(shard, batch_deadline_ms=5_000)
    await rungs(caller, (KNOWN * 125)[:1000])
    first, last = shard.batch_deadlines[0], shard.batch_deadlines[-1]
    assert 0.8 < last.at - first.at < 1.2  # on the wire gRPC rounds a deadline, by up to a hundredth


def test_a_batch_in_a_hurry_keeps_half_its_time() -> None:
    """A thousand users and too little time for a thousand resident slates: shards get the other half."""
    asking = Asking("r", began := 100.0, Deadline.after(400, began), 400)
    hurried = BatchTime(asking, 1000, RESIDENT_MS_AT_FIRST, lambda: began)
    assert hurried.now().shards_by.remaining_ms(began) == pytest.approx(200)


async def test_one_invalid_request_refuses_the_batch(start: Start) -> None:
    """The refusal names the index."""
    caller = await start()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await caller.batch([pb.RecommendRequest(user_id="u0"), pb.RecommendRequest()])
    assert from_rpc_error(caught.value).field == "requests[1].user_id"


async def test_a_large_batch_is_answered_in_full(start: Start) -> None:
    """A thousand users, more than the queue of ready answers holds."""
    caller = await start(FakeShard(everything()), FakeShard(everything()), batch_deadline_ms=10_000)
    assert len(await rungs(caller, (MIXED * 56)[:1000])) == 1000
