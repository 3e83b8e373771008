"""SimilarItems, and what the router tells of itself."""

from __future__ import annotations

import grpc
import grpc.aio
import pytest
from fake_shard import FakeShard, everything, failing
from router_caller import NOBODY, Start

from trunkshow.errors import NotFound, from_rpc_error
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2


async def test_the_nearest_items_come_first(start: Start) -> None:
    """No shard is needed, and the title names the item."""
    got = (await (await start()).similar("i5", items=2)).carousel
    assert (got.id, got.title, [item.item_id for item in got.items]) == (
        "similar-items",
        "Goes with Item 5",
        ["i6", "i7"],
    )


async def test_filters_hold_for_similar_items(start: Start) -> None:
    """What is not asked for is not shown, however near."""
    got = (await (await start()).similar("i5", filters=pb.Filters(categories=["hats"]))).carousel
    assert [item.item_id for item in got.items] == ["i7"]


async def test_an_item_without_neighbours_has_an_empty_carousel(start: Start) -> None:
    """Nothing goes with it; that is an answer."""
    got = await (await start()).similar("i13")
    assert (len(got.carousel.items), list(got.receipt.reasons)) == (0, [pb.REASON_CAROUSEL_EMPTY])


async def test_an_unknown_item_is_not_found(start: Start) -> None:
    """The catalogue does not have it."""
    caller = await start()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await caller.similar("no such item")
    outcome = from_rpc_error(caught.value)
    assert (type(outcome), outcome.field) == (NotFound, "item_id")


async def test_status_shows_shards_and_coverage(start: Start) -> None:
    """What an operator wants to see."""
    caller = await start(FakeShard(everything(), warm=[0, 1]), FakeShard(everything(), warm=[1, 2]))
    got = await caller.status()
    assert (got.snapshot_version, got.partitions, got.partitions_covered) == ("v1", 4, 3)
    assert [(one.reachable, one.status.state, one.status.rss_bytes) for one in got.shards] == [
        (True, shard_pb2.SHARD_STATE_READY, 11)
    ] * 2


async def test_status_shows_why_a_shard_is_not_there(start: Start) -> None:
    """The last error is the first thing to look at."""
    (shard,) = (await (await start()).status()).shards
    assert (shard.address, shard.reachable, shard.last_error.startswith("UNAVAILABLE")) == (NOBODY, False, True)


async def test_status_shows_the_last_error_of_a_reachable_shard(start: Start) -> None:
    """A shard that reports well and answers badly does not look well."""
    caller = await start(FakeShard(failing()))
    await caller.recommend()
    assert "INTERNAL" in (await caller.status()).shards[0].last_error


async def test_status_counts_rungs_by_carousel(start: Start) -> None:
    """What was served, passed on or made here."""
    caller = await start(FakeShard(everything()))
    await caller.recommend(carousels=["for-you", "popular"])
    await caller.recommend("stranger", carousels=["popular"])
    got = await caller.status()
    assert (got.requests, {one.rung: one.carousels for one in got.rungs}) == (
        2,
        {pb.RUNG_SNAPSHOT: 2, pb.RUNG_POPULAR: 1},
    )
