"""What a router tells clients that ask shards themselves: only what holds, and as soon as it changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import cast

import grpc
import grpc.aio
import pytest
import small_snapshot
from fake_shard import FakeShard, everything
from memory_log import MemoryLog
from router_caller import Caller, Start

from router.cluster.topology import Generation, ShardFacts, Topology
from router.config import RouterConfig
from router.direct import placing
from router.served.views import Candidate, View, Views
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.states import State
from trunkshow.v1 import direct_pb2, shard_pb2

A, B, C = "a:1", "b:1", "c:1"
EVERYONE = [f"u{number}" for number in range(8)]
WITHIN_S = 60


@pytest.fixture
def view(snapshot: Snapshot) -> View:
    return View.of(snapshot)


@pytest.fixture
def other(tmp_path: Path) -> View:
    made = small_snapshot.make(tmp_path / "other")
    made.version = "v2"
    return View.of(cast("Snapshot", made))


def topology(**held: tuple[int, ...]) -> Topology:
    """These shards hold these partitions of v1."""
    seen = Topology.of([A, B, C])
    for name, warm in held.items():
        facts = ShardFacts(state=shard_pb2.SHARD_STATE_READY, generations=(Generation("v1", frozenset(warm)),))
        seen = seen.updated(f"{name}:1", facts)
    return seen


def told(views: Views, seen: Topology, unwell: tuple[str, ...] = ()) -> dict[str, list[int]]:
    """Who is said to hold what."""
    said = placing.placement(views, seen, unwell, deadline_ms=200, forgotten="")
    return {one.address: list(one.partitions) for one in said.holders}


def test_holders_are_told_of(view: View) -> None:
    """Reachable, with what they have warm of the snapshot that is served."""
    assert told(Views.of(view), topology(a=(0, 1), b=(1, 2))) == {A: [0, 1], B: [1, 2]}


def test_who_drains_is_lost_or_is_unwell_is_not_told_of(view: View) -> None:
    """Nor who is no member any more; the router may still ask them."""
    seen = topology(a=(0,), b=(0,), c=(0,))
    drains = ShardFacts(state=shard_pb2.SHARD_STATE_DRAINING, generations=(Generation("v1", frozenset((0,))),))
    views = Views.of(view)
    assert set(told(views, seen.updated(B, drains))) == {A, C}
    assert set(told(views, seen.lost(B, "gone"))) == {A, C}
    assert set(told(views, seen.with_members([A, C]))) == {A, C}
    assert set(told(views, seen, (B,))) == {A, C}


def test_while_traffic_moves_nobody_is_told_of_anything(view: View, other: View) -> None:
    """Each user's snapshot is then the router's to choose; once all has moved there is one again."""
    moving = Views.of(other, view)
    moved = moving.moved_on(replace(moving.moves, moved=frozenset(range(4))))
    assert (told(moving, topology(a=(0,))), placing.homes(moving, EVERYONE)) == ({}, [0] * 8)
    assert placing.told_of(moved) is other


@pytest.mark.parametrize("phase", [State.REHEARSING, State.CANARY])
def test_while_a_candidate_is_tried_nobody_is_told_of_anything(view: View, other: View, phase: State) -> None:
    """Neither those to whom it is shown, nor those whom it is compared with."""
    tried = Views.of(view, None, Candidate(other, phase, 0.5))
    assert (told(tried, topology(a=(0,))), placing.homes(tried, EVERYONE)) == ({}, [0] * 8)


def test_users_of_the_snapshot_are_told_of_and_others_not(view: View) -> None:
    """Neither strangers, nor newcomers, nor who asked to be forgotten."""
    view.newcomers.find = lambda user: 3 if user == "new" else None  # type: ignore[method-assign]
    view.hidden.add("u1")
    assert placing.homes(Views.of(view), ["u0", "u1", "u6", "new", "stranger"]) == [1, 0, 3, 0, 0]


class Direct:
    """A client of the service."""

    def __init__(self, caller: Caller) -> None:
        self._channel = caller.channel

    async def routes(self, *users: str) -> direct_pb2.GetRoutesResponse:
        data = direct_pb2.GetRoutesRequest(user_ids=users).SerializeToString()
        answer = await self._channel.unary_unary("/trunkshow.v1.DirectService/GetRoutes")(data)
        return direct_pb2.GetRoutesResponse.FromString(answer)

    async def watch(self) -> AsyncIterator[direct_pb2.WatchPlacementResponse]:
        call = self._channel.unary_stream("/trunkshow.v1.DirectService/WatchPlacement")(b"")
        try:
            async for data in call:
                yield direct_pb2.WatchPlacementResponse.FromString(data)
        finally:
            call.cancel()


async def until(
    reports: AsyncIterator[direct_pb2.WatchPlacementResponse], true: Callable[[direct_pb2.Placement], bool]
) -> direct_pb2.Placement:
    """The first placement of which that is true."""
    async with asyncio.timeout(WITHIN_S):
        async for report in reports:
            if report.HasField("placement") and true(report.placement):
                return report.placement
    raise AssertionError


async def test_a_watch_says_at_once_who_holds_what_and_then_what_changes(start: Start) -> None:
    """A shard that drains is named no more; meanwhile signs of life say nothing twice."""
    shard, other = FakeShard(everything(), warm=range(4)), FakeShard(everything(), warm=range(2))
    direct = Direct(await start(shard, other, direct=True, deadline_ms=2000))
    async with aclosing(direct.watch()) as reports:
        first = await until(reports, lambda said: len(said.holders) == 2)
        assert [list(one.partitions) for one in first.holders] == [[0, 1, 2, 3], [0, 1]]
        assert (first.snapshot_version, first.has_occasions, first.deadline_ms) == ("v1", True, 2000)
        assert "for-you" in first.carousels
        other.drain()
        assert len((await until(reports, lambda said: True)).holders) == 1
        async with asyncio.timeout(WITHIN_S):
            assert not (await anext(reports)).HasField("placement")


async def test_routes_are_given_with_their_life(start: Start) -> None:
    """Of the snapshot that is watched; no grant where there is no token to make it of."""
    direct = Direct(await start(FakeShard(everything(), warm=range(4)), direct=True, direct_route_s=7))
    answer = await direct.routes("u0", "nobody", "u7")
    assert (answer.snapshot_version, list(answer.partitions), answer.life_ms) == ("v1", [1, 0, 4], 7_000)
    assert answer.grant == ""


async def test_somebody_who_is_forgotten_is_routed_no_more_and_the_watch_says_so(start: Start) -> None:
    """By a new watermark, which ends every route from before."""
    gone = MemoryLog("gone")
    caller = await start(FakeShard(everything(), warm=range(4)), event_log=MemoryLog(), tombstones=gone, direct=True)
    direct = Direct(caller)
    async with aclosing(direct.watch()) as reports:
        await until(reports, lambda said: bool(said.holders))
        assert list((await direct.routes("u0")).partitions) == [1]
        receipt = await caller.forget("u0")
        said = await until(reports, lambda said: bool(said.forgotten))
    answer = await direct.routes("u0")
    assert (list(answer.partitions), said.forgotten, answer.forgotten) == ([0], receipt.watermark, receipt.watermark)


@pytest.mark.parametrize("users", [[], ["u"] * 1001, [""], ["x" * 257]])
async def test_what_is_no_question_is_refused(start: Start, users: list[str]) -> None:
    """Too few, too many, or no ids."""
    direct = Direct(await start(direct=True))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await direct.routes(*users)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_router_that_was_not_told_to_has_no_such_service(start: Start) -> None:
    """It is off by default."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await Direct(await start()).routes("u0")
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("route_s", [0, -1, float("inf")])
def test_a_route_has_a_life(route_s: float) -> None:
    """One without an end would outlive a role."""
    with pytest.raises(ValueError, match="direct_route_s"):
        RouterConfig(store="", shards=("a:1",), direct_route_s=route_s)
