"""Recommend, from the caller's side: a page is always given, and its receipt says how good it is."""

from __future__ import annotations

import grpc
import grpc.aio
import pytest
from fake_shard import FakeShard, always, answer, carousel, everything, failing
from router_caller import TWO, Start, ids

from trunkshow.errors import from_rpc_error
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

# --- a known user, everything well ---


async def test_a_full_answer_is_passed_on_as_the_shard_made_it(start: Start) -> None:
    """Carousels arrive as they left the shard."""
    made = [carousel("for-you", ["i1", "i2"]), carousel("popular", ["i3"])]
    caller = await start(FakeShard(always(answer(made))))
    assert list((await caller.recommend(carousels=TWO)).carousels) == made


async def test_a_full_answer_is_not_decoded(start: Start) -> None:
    """Bytes that no message of ours explains go through untouched, with the receipt behind them."""
    of_later_release = b"\xfa\x7f\x03abc"  # field 2047, which this release does not know
    caller = await start(FakeShard(always(shard_pb2.PredictResponse(slate=of_later_release))))
    got = await caller.raw("Recommend", pb.RecommendRequest(user_id="u0").SerializeToString())
    assert got.startswith(of_later_release)


async def test_the_receipt_of_a_full_answer_is_the_shards_and_the_routers(start: Start) -> None:
    """Rung and snapshot are the shard's; the id, the reach and the time are the router's."""
    caller = await start(FakeShard(everything()))
    receipt = (await caller.recommend(carousels=TWO, request_id="order-17")).receipt
    assert (
        receipt.rung,
        receipt.snapshot_version,
        receipt.request_id,
        receipt.partitions_asked,
        receipt.partitions_answered,
        list(receipt.reasons),
        [stage.name for stage in receipt.stages],
    ) == (pb.RUNG_SNAPSHOT, "v1", "order-17", 1, 1, [], ["predict", "shard"])


async def test_a_fresh_slate_is_counted_as_one(start: Start) -> None:
    """Though nobody decoded it; its receipt says what the shard said."""
    made = answer([carousel("for-you", ["i1"], rung=pb.RUNG_FRESH)])
    slate = pb.RecommendResponse.FromString(made.slate)
    slate.receipt.watermark, slate.receipt.events_folded, slate.receipt.watermark_age_ms = "log/0:7", 3, 40
    slate.receipt.kept_age_ms = 1500
    made.slate = slate.SerializeToString()
    caller = await start(FakeShard(always(made)))
    receipt = (
        await caller.recommend(carousels=["for-you"], worst_rung=pb.RUNG_FRESH, partial=pb.PARTIAL_ABORT)
    ).receipt
    passed_on = (await caller.recommend(carousels=["for-you"])).receipt
    assert {(one.rung, one.watermark, one.events_folded, one.watermark_age_ms) for one in (receipt, passed_on)} == {
        (pb.RUNG_FRESH, "log/0:7", 3, 40)
    }
    assert (receipt.kept_age_ms, passed_on.kept_age_ms) == (1500, 1500)
    status = await caller.status()
    assert [(one.rung, one.carousels) for one in status.rungs] == [(pb.RUNG_FRESH, 2)]


async def test_what_the_user_is_doing_is_told_on(start: Start) -> None:
    """Whether the slate is passed on as it came, or has to be put together."""
    made = answer([carousel("for-you", ["i1"])])
    slate = pb.RecommendResponse.FromString(made.slate)
    slate.intent.window = "5m"
    slate.intent.interests.add(category="party", share=0.5)
    made.slate = slate.SerializeToString()
    part = shard_pb2.PredictResponse(slate=made.slate, rung=made.rung)
    part.missing.add(carousel="people-like-you", reason=pb.REASON_MODEL_FAILED)
    for answered, wanted in ((made, ["for-you"]), (part, ["for-you", "people-like-you"])):
        caller = await start(FakeShard(always(answered)))
        response = await caller.recommend(carousels=wanted)
        assert [one.id for one in response.carousels] == wanted
        assert response.intent == slate.intent


async def test_what_a_user_hid_does_not_stand_in_for_an_empty_carousel(start: Start) -> None:
    """The shard knows what that is, and the router's lists do not; what they had stands in only in place of nothing."""
    whole = await (await start(FakeShard(failing()))).recommend(carousels=["for-you"])
    first, second, *others = ids(whole.carousels[0])
    empty = shard_pb2.PredictResponse(slate=answer([]).slate, hidden=[first], had=[second])
    empty.missing.add(carousel="for-you", reason=pb.REASON_CAROUSEL_EMPTY)
    caller = await start(FakeShard(always(empty)))
    shown = ids((await caller.recommend(carousels=["for-you"])).carousels[0])
    assert shown[: len(others)] == others
    assert not {first, second} & set(shown)
    nothing_else = [f"i{row}" for row in range(40) if f"i{row}" not in (first, second)]
    left = await caller.recommend(carousels=["for-you"], exclude_item_ids=nothing_else)
    assert [ids(one) for one in left.carousels] == [[second]]


async def test_where_no_shard_answers_nothing_recent_is_in_the_slate(start: Start) -> None:
    """Who asked for it is told; nobody else is."""
    caller = await start(FakeShard(failing()))
    asked = (await caller.recommend(carousels=TWO, at_least_as_fresh="log/0:7")).receipt
    plain = (await caller.recommend(carousels=TWO)).receipt
    assert list(asked.reasons) == [pb.REASON_SHARD_FAILED, pb.REASON_NOT_AS_FRESH]
    assert list(plain.reasons) == [pb.REASON_SHARD_FAILED]


async def test_the_time_in_the_receipt_covers_the_shards(start: Start) -> None:
    """A stage lies within the whole."""
    caller = await start(FakeShard(everything()))
    receipt = (await caller.recommend()).receipt
    assert 0 < receipt.stages[-1].ms <= receipt.elapsed_ms


async def test_the_home_shard_gets_the_callers_bytes(start: Start) -> None:
    """The request travels on as it came, with where to look and what to make."""
    shard = FakeShard(everything())
    caller = await start(shard)
    data = pb.RecommendRequest(user_id="u6", surface="search", context_item_ids=["i1"]).SerializeToString()
    await caller.raw("Recommend", data)
    asked = shard.asked[0]
    assert (asked.request, asked.snapshot_version, list(asked.partitions), list(asked.carousels)) == (
        data,
        "v1",
        [2],
        ["for-you", "popular"],
    )


async def test_the_request_id_travels_to_the_shard(start: Start) -> None:
    """One id finds a request in every log."""
    shard = FakeShard(everything())
    caller = await start(shard)
    await caller.recommend(request_id="order-17")
    assert shard.request_ids == ["order-17"]


async def test_an_unknown_item_in_hand_is_told(start: Start) -> None:
    """It was left out, and the receipt says so."""
    caller = await start(FakeShard(everything()))
    got = await caller.recommend(context_item_ids=["i1", "no such item"])
    assert list(got.receipt.reasons) == [pb.REASON_CONTEXT_ITEM_UNKNOWN]


# --- invalid requests ---


async def test_an_invalid_request_is_refused_with_field_and_reason(start: Start) -> None:
    """The ladder is not for callers' mistakes."""
    caller = await start()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await caller.recommend(carousels=["hats"])
    outcome = from_rpc_error(caught.value)
    assert (caught.value.code(), outcome.field, outcome.reason) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "carousels[0]",
        "CAROUSEL_UNKNOWN",
    )


@pytest.mark.parametrize("method", ["Recommend", "SimilarItems"])
async def test_malformed_bytes_are_refused(start: Start, method: str) -> None:
    """Bytes that are no request are the caller's mistake."""
    caller = await start()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await caller.raw(method, b"\xff\xff\xff")
    assert from_rpc_error(caught.value).reason == "MALFORMED_REQUEST"
