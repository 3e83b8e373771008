"""The door for single slates: beyond the limit, or with no time left, a page comes at once and says why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from fake_shard import FakeShard, everything
from router_caller import Caller, Start

from router.admission import shed
from router.answering.last_resort import BROKEN
from router.answering.recommend import Recommender
from router.recommendation import RecommendationService
from trunkshow.errors import NotFound
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

FULL = {"concurrency_floor": 1, "concurrency_start": 1, "concurrency_max": 1}


@asynccontextmanager
async def full(start: Start) -> AsyncIterator[tuple[Caller, FakeShard]]:
    """A router that may make one slate at a time, and is making one."""
    answering = asyncio.Event()

    async def waiting(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        await answering.wait()
        return await everything()(request)

    shard = FakeShard(waiting)
    caller = await start(shard, **FULL)
    first = asyncio.ensure_future(caller.recommend("u1"))
    async with asyncio.timeout(60):
        while not shard.asked:
            await caller.status()
    yield caller, shard
    answering.set()
    assert (await first).receipt.rung == pb.RUNG_SNAPSHOT


def shown(slate: pb.RecommendResponse) -> list[str]:
    """What the first carousel shows."""
    return [item.item_id for item in slate.carousels[0].items]


async def test_beyond_the_limit_a_resident_slate_comes_at_once(start: Start) -> None:
    """No shard is asked, and the receipt says why; the second one is the first one's bytes, but for the receipt."""
    async with full(start) as (caller, shard):
        slates = [await caller.recommend("u0", f"r{number}", carousels=["for-you"]) for number in range(2)]
        assert len(shard.asked) == 1
    assert [list(one.receipt.reasons) for one in slates] == [[pb.REASON_OVERLOADED]] * 2
    assert [one.receipt.request_id for one in slates] == ["r0", "r1"]
    assert [one.receipt.rung for one in slates] == [pb.RUNG_SEGMENT] * 2
    assert list(slates[0].carousels) == list(slates[1].carousels)
    assert all(one.receipt.budget_ms for one in slates)


async def test_it_is_never_as_fresh_as_it_was_to_be(start: Start) -> None:
    """Who asked for events is told so; who gets the same bytes and did not ask is not."""
    async with full(start) as (caller, _):
        for_you = {"carousels": ["for-you"]}
        asked = [await caller.recommend("u0", **for_you, at_least_as_fresh="log/0:7") for _ in range(2)]
        plain = await caller.recommend("u0", **for_you)
    reasons = {tuple(one.receipt.reasons) for one in asked}
    assert reasons == {(pb.REASON_OVERLOADED, pb.REASON_NOT_AS_FRESH)}
    assert list(plain.receipt.reasons) == [pb.REASON_OVERLOADED]


async def test_each_segment_has_its_own(start: Start) -> None:
    """And so do strangers, and each length of a page."""
    async with full(start) as (caller, _):
        asked = {"u0": 3, "u6": 3, "stranger": 2}
        got = {
            user: await caller.recommend(user, carousels=["for-you"], items_per_carousel=n) for user, n in asked.items()
        }
    assert {user: shown(slate) for user, slate in got.items()} == {
        "u0": ["i20", "i21", "i22"],
        "u6": ["i0", "i1", "i2"],
        "stranger": ["i0", "i1"],
    }


async def test_what_must_not_be_shown_is_not(start: Start) -> None:
    """Overload is no excuse: exclusions, items in hand and filters hold, whoever asked for the page before."""
    async with full(start) as (caller, _):
        plain = await caller.recommend("u6", carousels=["for-you"], items_per_carousel=3)
        excluding = await caller.recommend("u6", carousels=["for-you"], items_per_carousel=3, exclude_item_ids=["i1"])
        in_hand = await caller.recommend("u6", carousels=["for-you"], items_per_carousel=3, context_item_ids=["i0"])
        hats = pb.Filters(categories=["hats"])
        filtered = await caller.recommend("u6", carousels=["for-you"], items_per_carousel=3, filters=hats)
    assert [shown(one) for one in (plain, excluding, in_hand, filtered)] == [
        ["i0", "i1", "i2"],
        ["i0", "i2", "i3"],
        ["i1", "i2", "i3"],
        ["i1", "i3", "i5"],
    ]


async def test_a_flood_that_excludes_what_sells_best_makes_no_slate_of_its_own(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page, a longer one, and from then on the next items from that; each request is counted once."""
    made: list[int] = []
    at_once = Recommender.at_once

    def making(self: Recommender, *arguments: Any, **how: Any) -> bytes:
        made.append(1)
        return at_once(self, *arguments, **how)

    monkeypatch.setattr(Recommender, "at_once", making)
    async with full(start) as (caller, _):
        got = [
            await caller.recommend("u6", carousels=["for-you"], items_per_carousel=3, exclude_item_ids=[f"i{n}", "i2"])
            for n in range(10)
        ]
        beyond = await caller.recommend(
            "u6", carousels=["for-you"], items_per_carousel=3, exclude_item_ids=[f"i{n}" for n in range(38)]
        )
        counted = (await caller.status()).requests
    expected = [[f"i{row}" for row in range(10) if row not in (n, 2)][:3] for n in range(10)]
    assert [shown(one) for one in got] == expected
    assert [item for item in shown(beyond) if item not in {"i38", "i39"}] == []
    assert (len(made), counted) == (3, 11)


async def test_who_would_rather_have_an_error_gets_one(start: Start) -> None:
    """At once, too."""
    async with full(start) as (caller, _):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await caller.recommend("u0", partial=pb.PARTIAL_ABORT)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_an_invalid_request_is_refused_all_the_same(start: Start) -> None:
    """Overload is no excuse for a caller's mistake."""
    async with full(start) as (caller, _):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await caller.recommend("u0", carousels=["hats"])
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_everything_is_counted(start: Start) -> None:
    """Shed answers are answers, of their rung."""
    async with full(start) as (caller, _):
        for _ in range(3):
            await caller.recommend("u0", carousels=["for-you"])
        status = await caller.status()
    assert (status.requests, status.shed, status.in_flight, status.concurrency_limit) == (3, 3, 1, 1)
    assert [(one.rung, one.carousels) for one in status.rungs] == [(pb.RUNG_SEGMENT, 3)]


async def test_a_caller_without_time_gets_a_page_at_once(start: Start) -> None:
    """No shard is asked that could not answer in time."""
    shard = FakeShard(everything())
    caller = await start(shard, deadline_ms=4, reserve_ms=3, reserve_floor_ms=3)
    got = await caller.recommend("u0", carousels=["for-you"])
    assert (list(got.receipt.reasons), got.receipt.rung, shard.asked) == (
        [pb.REASON_SHARD_LATE],
        pb.RUNG_SEGMENT,
        [],
    )


async def test_slates_that_are_kept_are_bounded(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes; nobody notices."""
    monkeypatch.setattr(shed, "ENTRIES_MAX", 2)
    async with full(start) as (caller, _):
        got = [await caller.recommend("u0", carousels=["for-you"], items_per_carousel=n) for n in (1, 2, 3, 1, 2, 3)]
    assert [len(shown(one)) for one in got] == [1, 2, 3, 1, 2, 3]


async def test_slates_that_are_kept_are_bounded_in_bytes_too(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long ones, and the longer lists beside them, drive out others; one that has no room at all is made each time."""
    made: list[int] = []

    def making(self: Recommender, *arguments: Any, **how: Any) -> bytes:
        made.append(1)
        return at_once(self, *arguments, **how)

    at_once = Recommender.at_once
    monkeypatch.setattr(Recommender, "at_once", making)
    async with full(start) as (caller, _):
        for room, expected in ((1 << 20, 1), (0, 3)):
            monkeypatch.setattr(shed, "BYTES_MAX", room)
            made.clear()
            for _ in range(3):
                got = await caller.recommend("u0", carousels=["for-you"], items_per_carousel=3 + expected)
                assert shown(got)
            assert len(made) == expected


@pytest.mark.parametrize("raised", [RuntimeError("scripted"), KeyError("v9"), NotFound("scripted")])
async def test_a_bug_of_ours_costs_a_rung_and_no_answer(
    start: Start, monkeypatch: pytest.MonkeyPatch, raised: Exception
) -> None:
    """The receipt says so, and it is counted; the router takes on as many as before."""

    async def broken(*arguments: object) -> bytes:
        raise raised

    monkeypatch.setattr(Recommender, "slate", broken)
    before = BROKEN._value.get()
    caller = await start(FakeShard(everything()), **FULL)
    slates = [await caller.recommend("u0", carousels=["for-you"]) for _ in range(2)]
    assert [(one.receipt.rung, list(one.receipt.reasons)) for one in slates] == [
        (pb.RUNG_SEGMENT, [pb.REASON_ROUTER_FAILED])
    ] * 2
    assert BROKEN._value.get() - before == 2


async def test_who_would_rather_have_an_error_gets_one_from_a_bug_too(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that stands for a lower rung than was allowed."""

    async def broken(*arguments: object) -> bytes:
        raise RuntimeError("scripted")

    monkeypatch.setattr(Recommender, "slate", broken)
    caller = await start(FakeShard(everything()))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await caller.recommend("u0", partial=pb.PARTIAL_ABORT)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_bug_before_the_slate_costs_nothing_of_it(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what waits for newcomers, or of who is shown requests: it is counted, and the slate is the shard's."""

    async def broken(*arguments: object) -> None:
        raise RuntimeError("scripted")

    monkeypatch.setattr(RecommendationService, "_arrived", broken)
    before = BROKEN._value.get()
    caller = await start(FakeShard(everything()))
    got = await caller.recommend("u0", carousels=["for-you"], at_least_as_fresh="log/0:7")
    assert got.receipt.rung == pb.RUNG_SNAPSHOT
    assert BROKEN._value.get() - before == 1
