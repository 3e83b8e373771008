"""Recommend for somebody whom the snapshot does not know: by what is in hand, and by what several shards make of it."""

from __future__ import annotations

from fake_shard import FakeShard, always, answer, carousel, everything, failing, knowing_nobody, late
from router_caller import TWO, Start, ids

from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2


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
