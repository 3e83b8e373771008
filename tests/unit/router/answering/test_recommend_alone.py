"""Recommend where the shard lacks carousels, or nobody answers: the router has lists of its own, and says why."""

from __future__ import annotations

import pytest
from fake_shard import FakeShard, always, answer, carousel, everything, failing, late
from router_caller import TWO, Start, ids

from trunkshow.errors import SnapshotMismatch
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

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
