"""Recommend, from the caller's side: a page is always given, and its receipt says how good it is."""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio
import pytest
from fake_shard import FakeShard, always, answer, carousel, everything, failing, knowing_nobody, late, status
from router_caller import Start

from trunkshow.errors import SnapshotMismatch, from_rpc_error
from trunkshow.serving import metrics
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

TWO = ["for-you", "popular"]


def ids(made: pb.Carousel) -> list[str]:
    """What a carousel shows."""
    return [item.item_id for item in made.items]


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


async def test_replicas_take_turns(start: Start) -> None:
    """Two idle holders share the work."""
    first, second = FakeShard(everything()), FakeShard(everything())
    caller = await start(first, second)
    for _ in range(4):
        await caller.recommend()
    assert (len(first.asked), len(second.asked)) == (2, 2)


async def test_an_unknown_item_in_hand_is_told(start: Start) -> None:
    """It was left out, and the receipt says so."""
    caller = await start(FakeShard(everything()))
    got = await caller.recommend(context_item_ids=["i1", "no such item"])
    assert list(got.receipt.reasons) == [pb.REASON_CONTEXT_ITEM_UNKNOWN]


# --- a known user, something missing ---


async def test_a_missing_carousel_steps_down_alone(start: Start) -> None:
    """The rest of the slate stands, in the order asked for."""
    made = [carousel("popular", ["i3"])]
    caller = await start(FakeShard(always(answer(made, [("for-you", pb.REASON_MODEL_FAILED)]))))
    got = await caller.recommend(carousels=TWO)
    assert [(one.id, one.rung) for one in got.carousels] == [
        ("for-you", pb.RUNG_SEGMENT),
        ("popular", pb.RUNG_SNAPSHOT),
    ]
    assert list(got.receipt.reasons) == [pb.REASON_MODEL_FAILED]
    assert got.receipt.rung == pb.RUNG_SEGMENT


async def test_what_replaces_a_carousel_repeats_nothing_of_the_slate(start: Start) -> None:
    """An item appears once per slate, whoever made its carousel."""
    made = [carousel("popular", ["i20", "i21"])]
    caller = await start(FakeShard(always(answer(made, [("for-you", pb.REASON_CAROUSEL_EMPTY)]))))
    got = await caller.recommend(carousels=TWO)
    assert ids(got.carousels[0]) == ["i22", "i23", "i24"]


async def test_an_empty_list_of_the_shop_is_left_out(start: Start) -> None:
    """A shop without new arrivals does not show a popular list in their name."""
    made = [carousel("for-you", ["i1"])]
    caller = await start(FakeShard(always(answer(made, [("new-arrivals", pb.REASON_CAROUSEL_EMPTY)]))))
    got = await caller.recommend(carousels=["for-you", "new-arrivals"])
    assert ([one.id for one in got.carousels], list(got.receipt.reasons), got.receipt.rung) == (
        ["for-you"],
        [pb.REASON_CAROUSEL_EMPTY],
        pb.RUNG_SNAPSHOT,
    )


async def test_a_reason_that_two_places_gave_stands_once(start: Start) -> None:
    """The first one had too little time for any of it; who stands in made all of it, with little time, and says so."""
    made = answer([carousel("for-you", ["i1"], rung=pb.RUNG_STAND_IN)])
    slate = pb.RecommendResponse.FromString(made.slate)
    slate.receipt.reasons.append(pb.REASON_REDUCED_EFFORT)
    made.slate = slate.SerializeToString()

    async def script(asked: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        return made if asked.rung == pb.RUNG_STAND_IN else answer((), [("for-you", pb.REASON_REDUCED_EFFORT)])

    shard = FakeShard(script)
    shard.status.generations[0].stand_ins.extend(range(4))
    got = await (await start(shard)).recommend(carousels=["for-you"])
    assert [one.rung for one in got.carousels] == [pb.RUNG_STAND_IN]
    assert list(got.receipt.reasons) == [pb.REASON_REDUCED_EFFORT]


async def test_a_page_is_never_empty_while_there_is_something_popular(start: Start) -> None:
    """Where only an empty list was asked for, the popular one takes its place."""
    caller = await start(FakeShard(always(answer((), [("occasion:ball", pb.REASON_CAROUSEL_EMPTY)]))))
    got = await caller.recommend(carousels=["occasion:ball"])
    assert [(one.id, one.title) for one in got.carousels] == [("occasion:ball", "Popular right now")]


async def test_a_slate_that_cannot_be_read_is_as_good_as_none(start: Start) -> None:
    """A shard's garbage never reaches the caller as an error."""
    garbage = shard_pb2.PredictResponse(slate=b"\xff\xff", missing=answer((), [("for-you", 10)]).missing)
    caller = await start(FakeShard(always(garbage)))
    got = await caller.recommend(carousels=TWO)
    assert ([one.id for one in got.carousels], list(got.receipt.reasons)) == (TWO, [pb.REASON_SHARD_FAILED])


async def test_an_answer_without_anything_in_it_is_as_good_as_none(start: Start) -> None:
    """A shard that neither makes a carousel nor says what is missing has failed."""
    caller = await start(FakeShard(always(shard_pb2.PredictResponse())))
    got = await caller.recommend(carousels=TWO)
    assert ([one.id for one in got.carousels], list(got.receipt.reasons)) == (TWO, [pb.REASON_SHARD_FAILED])


# --- a known user, nobody answers ---


@pytest.mark.parametrize(
    ("script", "reason"), [(failing(), pb.REASON_SHARD_FAILED), (failing(SnapshotMismatch("no")), pb.REASON_NO_REPLICA)]
)
async def test_an_error_of_the_shard_costs_a_rung(start: Start, script: object, reason: pb.Reason) -> None:
    """The caller gets a page, and why it is not a better one."""
    caller = await start(FakeShard(script))
    got = await caller.recommend(carousels=TWO)
    assert (got.receipt.rung, list(got.receipt.reasons)) == (pb.RUNG_SEGMENT, [reason])


async def test_a_late_shard_costs_a_rung_and_not_the_deadline(start: Start) -> None:
    """The answer is there before the caller's own deadline, with the reserve to spare."""
    caller = await start(FakeShard(late), reserve_ms=40)
    request = pb.RecommendRequest(user_id="u0", carousels=TWO).SerializeToString()
    got = pb.RecommendResponse.FromString(await caller.raw("Recommend", request, timeout=0.2))
    assert (got.receipt.rung, list(got.receipt.reasons)) == (pb.RUNG_SEGMENT, [pb.REASON_SHARD_LATE])
    assert got.receipt.elapsed_ms < 200


async def test_the_routers_own_deadline_cuts_a_longer_one(start: Start) -> None:
    """A patient caller is answered within the router's deadline all the same."""
    caller = await start(FakeShard(late), deadline_ms=50)
    got = await caller.recommend(carousels=TWO)
    assert list(got.receipt.reasons) == [pb.REASON_SHARD_LATE]


async def test_without_any_shard_the_router_answers_alone(start: Start) -> None:
    """Nobody to ask: the segment's list, then everyone's, going on where the carousel above ended."""
    caller = await start()
    got = await caller.recommend(carousels=["for-you", "people-like-you"], items_per_carousel=3)
    assert [(one.id, one.title, one.rung, ids(one)) for one in got.carousels] == [
        ("for-you", "Popular right now", pb.RUNG_SEGMENT, ["i20", "i21", "i22"]),
        ("people-like-you", "Popular right now", pb.RUNG_SEGMENT, ["i23", "i24"]),
    ]
    assert list(got.receipt.reasons) == [pb.REASON_NO_REPLICA]
    assert not got.receipt.stages


async def test_a_segment_whose_list_is_used_up_steps_to_popular(start: Start) -> None:
    """A third carousel over a list of five items has everyone's list to go on with."""
    caller = await start()
    got = await caller.recommend(carousels=["for-you", "because-you-liked"], items_per_carousel=5)
    assert [(one.rung, ids(one)[:2]) for one in got.carousels] == [
        (pb.RUNG_SEGMENT, ["i20", "i21"]),
        (pb.RUNG_POPULAR, ["i0", "i1"]),
    ]


@pytest.mark.parametrize("user", ["u4", "u6"])
async def test_a_user_without_a_segments_list_gets_everyones(start: Start, user: str) -> None:
    """A segment without a list, or no segment: the last rung."""
    got = await (await start()).recommend(user, carousels=["for-you"])
    assert got.carousels[0].rung == pb.RUNG_POPULAR


async def test_the_shops_own_lists_are_made_by_the_router_too(start: Start) -> None:
    """New arrivals and occasions are themselves, not the popular list in their name."""
    got = await (await start()).recommend(carousels=["new-arrivals", "occasions"])
    assert [(one.id, one.rung, ids(one)) for one in got.carousels] == [
        ("new-arrivals", pb.RUNG_POPULAR, ["i30", "i31", "i32"]),
        ("occasion:wedding", pb.RUNG_POPULAR, ["i33", "i34", "i35"]),
    ]


async def test_a_slate_made_alone_keeps_to_filters_and_exclusions(start: Start) -> None:
    """A poor page is not an excuse for showing what was ruled out."""
    got = await (await start()).recommend(
        "u6",
        carousels=["for-you"],
        items_per_carousel=3,
        exclude_item_ids=["i1"],
        context_item_ids=["i3"],
        filters=pb.Filters(categories=["hats"]),
    )
    assert ids(got.carousels[0]) == ["i5", "i7", "i9"]


async def test_filters_that_nothing_passes_give_an_empty_page(start: Start) -> None:
    """There is nothing to show, and the receipt says so."""
    got = await (await start()).recommend(carousels=["for-you"], filters=pb.Filters(categories=["gloves"]))
    assert (list(got.carousels), pb.REASON_CAROUSEL_EMPTY in got.receipt.reasons) == ([], True)


async def test_a_cluster_on_another_snapshot_is_named(start: Start) -> None:
    """Shards that are up but serve something else are a different story from shards that are gone."""
    got = await (await start(FakeShard(everything(), version="v2"))).recommend(carousels=TWO)
    assert list(got.receipt.reasons) == [pb.REASON_NO_REPLICA, pb.REASON_SNAPSHOT_MISMATCH]


# --- replicas ---


async def test_another_replica_is_asked_at_once(start: Start) -> None:
    """One broken replica of two costs nobody a rung."""
    broken, well = FakeShard(failing()), FakeShard(everything())
    caller = await start(broken, well)
    got = [(await caller.recommend(carousels=TWO)).receipt for _ in range(4)]
    assert {(receipt.rung, tuple(receipt.reasons)) for receipt in got} == {(pb.RUNG_SNAPSHOT, ())}
    assert broken.asked


async def test_a_replica_that_died_is_not_waited_for(start: Start) -> None:
    """A killed process costs nobody a rung while another one holds the partition."""
    gone, well = FakeShard(everything()), FakeShard(everything())
    caller = await start(gone, well)
    await gone.stop()
    got = [(await caller.recommend(carousels=TWO)).receipt.rung for _ in range(4)]
    assert set(got) == {pb.RUNG_SNAPSHOT}


async def test_a_draining_replica_is_left_alone(start: Start) -> None:
    """What takes nothing new is asked nothing new, as soon as the router hears of it."""
    leaving, staying = FakeShard(everything()), FakeShard(everything())
    caller = await start(leaving, staying)
    leaving.report(status("v1", range(4), shard_pb2.SHARD_STATE_DRAINING))
    while (await caller.status()).shards[0].status.state != shard_pb2.SHARD_STATE_DRAINING:
        pass
    for _ in range(4):
        await caller.recommend()
    assert (len(leaving.asked), len(staying.asked)) == (0, 4)


async def test_a_hung_replica_costs_a_hedge_and_no_rung(start: Start) -> None:
    """The other one is asked as well, wins, and the hung one is told that nobody waits any more."""
    hung, well = FakeShard(late), FakeShard(everything())
    caller = await start(hung, well)
    receipts = [(await caller.recommend(carousels=TWO)).receipt for _ in range(2)]
    assert [one.rung for one in receipts] == [pb.RUNG_SNAPSHOT] * 2
    hedged = next(one for one in receipts if one.hedged)
    assert [(one.outcome, one.hedge) for one in hedged.attempts] == [
        (pb.OUTCOME_CANCELLED, False),
        (pb.OUTCOME_ANSWERED, True),
    ]
    async with asyncio.timeout(60):
        while not hung.cancelled:
            await caller.status()
    assert (ended("CANCELLED", "no"), ended("ANSWERED", "yes"), ended("CANCELLED", "yes")) == (1, 1, 0)


def ended(outcome: str, hedge: str) -> float | None:
    """Attempts of the router under test, as Prometheus reads them."""
    return metrics.REGISTRY.get_sample_value("trunkshow_router_attempts_total", {"outcome": outcome, "hedge": hedge})


async def test_every_attempt_is_in_the_receipt(start: Start) -> None:
    """Of a slate that was passed on unread too: who failed, who answered, in this order, with what time was given."""
    broken, well = FakeShard(failing()), FakeShard(everything())
    caller = await start(broken, well, deadline_ms=1000)
    receipts = [(await caller.recommend(carousels=TWO)).receipt for _ in range(2)]
    told = max(receipts, key=lambda receipt: len(receipt.attempts))
    assert [one.outcome for one in told.attempts] == [pb.OUTCOME_FAILED, pb.OUTCOME_ANSWERED]
    assert len({one.replica for one in told.attempts}) == 2
    assert (told.budget_ms, told.stages[-1].name) == (pytest.approx(1000, abs=5), "shard")
    assert told.attempts[1].ms <= told.stages[-1].ms < told.stages[-1].budget_ms < told.budget_ms


# --- somebody the snapshot does not know ---


async def test_a_stranger_with_nothing_in_hand_gets_the_shops_lists(start: Start) -> None:
    """No shard is asked, and no three carousels step down to the same list."""
    shard = FakeShard(everything())
    got = await (await start(shard)).recommend("stranger")
    assert [one.id for one in got.carousels] == ["popular", "new-arrivals", "occasion:wedding"]
    assert list(got.receipt.reasons) == [pb.REASON_USER_UNKNOWN, pb.REASON_NOTHING_IN_HAND]
    assert not shard.asked


async def test_a_stranger_with_items_in_hand_is_folded_in(start: Start) -> None:
    """The nearest partitions are asked with a vector; the receipt says what the answer rests on."""
    shard = FakeShard(everything())
    got = await (await start(shard)).recommend("stranger", carousels=TWO, context_item_ids=["i1"])
    asked = shard.asked[0]
    assert (len(shard.asked), asked.partitions[0], len(asked.vector)) == (1, 1, 4 * 4)
    assert (got.receipt.rung, list(got.receipt.reasons)) == (
        pb.RUNG_SNAPSHOT,
        [pb.REASON_USER_UNKNOWN, pb.REASON_FOLDED_IN],
    )


async def test_shards_that_are_merged_are_asked_for_more(start: Start) -> None:
    """What one shows further up another may have further down."""
    shard = FakeShard(everything())
    await (await start(shard)).recommend("stranger", items_per_carousel=7, context_item_ids=["i1"])
    assert pb.RecommendRequest.FromString(shard.asked[0].request).items_per_carousel == 14


async def test_the_longest_carousels_are_full_after_merging_too(start: Start) -> None:
    """A hundred items that another shard shows further up are made up for, although nobody may ask for more."""

    def shard(wanted: str, partition: int, score: float) -> FakeShard:
        async def script(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
            count = pb.RecommendRequest.FromString(request.request).items_per_carousel
            return answer([carousel(wanted, [f"i{place}" for place in range(count)], score=score)])

        return FakeShard(script, warm=[partition])

    caller = await start(shard("for-you", 0, 9), shard("popular", 1, 5))
    got = await caller.recommend("stranger", carousels=TWO, items_per_carousel=100, context_item_ids=["i1", "i0"])
    assert [(one.rung, len(one.items)) for one in got.carousels] == [(pb.RUNG_SNAPSHOT, 100)] * 2


async def test_several_shards_answers_become_one_slate(start: Start) -> None:
    """The best of each carousel, every item once."""
    low = [carousel("for-you", ["i1", "i2"], score=0.5), carousel("popular", ["i9", "i8"], score=5)]
    high = [carousel("for-you", ["i9", "i1"], score=0.9)]
    shards = FakeShard(always(answer(low)), warm=[0]), FakeShard(always(answer(high)), warm=[1])
    caller = await start(*shards)
    got = await caller.recommend("stranger", carousels=TWO, items_per_carousel=2, context_item_ids=["i1", "i0"])
    assert [ids(one) for one in got.carousels] == [["i9", "i1"], ["i8"]]
    assert (got.receipt.partitions_asked, got.receipt.partitions_answered) == (2, 2)


async def test_a_partition_that_does_not_answer_is_told(start: Start) -> None:
    """Half an answer is an answer, and is called half."""
    shards = FakeShard(everything(), warm=[0]), FakeShard(failing(), warm=[1])
    got = await (await start(*shards)).recommend("stranger", carousels=TWO, context_item_ids=["i1", "i0"])
    assert (got.receipt.rung, got.receipt.partitions_asked, got.receipt.partitions_answered) == (pb.RUNG_SNAPSHOT, 2, 1)
    assert list(got.receipt.reasons) == [
        pb.REASON_USER_UNKNOWN,
        pb.REASON_SHARD_FAILED,
        pb.REASON_FOLDED_IN,
        pb.REASON_PARTITION_MISSING,
    ]


async def test_a_partition_of_a_broken_shard_is_asked_of_another(start: Start) -> None:
    """Failover holds for strangers too."""
    shards = FakeShard(failing()), FakeShard(everything())
    caller = await start(*shards)
    got = [await caller.recommend("stranger", carousels=TWO, context_item_ids=["i1"]) for _ in range(2)]
    assert [one.receipt.partitions_answered for one in got] == [2, 2]


async def test_a_hung_shard_costs_a_stranger_a_hedge(start: Start) -> None:
    """Where another one holds all of the group."""
    caller = await start(FakeShard(late), FakeShard(everything()))
    got = [(await caller.recommend("stranger", carousels=TWO, context_item_ids=["i1"])).receipt for _ in range(2)]
    assert [one.partitions_answered for one in got] == [2, 2]
    assert [one.hedged for one in got].count(True) == 1


async def test_a_stranger_whom_nobody_answers_gets_a_page_too(start: Start) -> None:
    """The last rung needs no shard and no name."""
    got = await (await start()).recommend("stranger", carousels=["for-you"], context_item_ids=["i1"])
    assert (got.receipt.rung, list(got.receipt.reasons)) == (
        pb.RUNG_POPULAR,
        [pb.REASON_USER_UNKNOWN, pb.REASON_NO_REPLICA],
    )


async def test_a_user_whom_home_does_not_know_is_a_stranger(start: Start) -> None:
    """A stranger who shares a hash with a user is served as the stranger they are."""
    shard = FakeShard(knowing_nobody())
    got = await (await start(shard)).recommend("u0", carousels=TWO, context_item_ids=["i1"])
    assert [bool(asked.vector) for asked in shard.asked] == [False, True]
    assert list(got.receipt.reasons) == [pb.REASON_USER_UNKNOWN, pb.REASON_FOLDED_IN]


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
