"""A stranger who is to be known by what they just did is waited for within bounds: a page comes, whatever happens."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
from memory_log import MemoryLog
from small_snapshot import SmallSnapshot

from router.config import RouterConfig
from router.served.arrivals import Arrivals
from router.served.keeper import Keeper
from router.served.views import View, Views
from router.service import Router
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.turns import BEFORE_IT_SERVES, FOLLOWING
from trunkshow.serving.call import CallView
from trunkshow.serving.deadline import Deadline
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import events_pb2, log_pb2
from trunkshow.v1 import recommendation_pb2 as pb

BUDGET_MS = 200.0


class Call:
    """A call that arrived just now, on a clock that is driven."""

    request_id, peer = "r-1", "ipv4:127.0.0.1:1"

    def __init__(self) -> None:
        self.now = self.arrived = 1000.0

    def clock(self) -> float:
        """As it is driven."""
        return self.now

    def deadline(self, default_ms: float) -> Deadline:
        """Of the router."""
        return Deadline.after(default_ms, self.now)


class NeverThere:
    """Hears nothing by when it is waited for; whoever waits is woken late."""

    def __init__(self, call: Call, late_s: float) -> None:
        self.waited_s: list[float] = []
        self._call, self._late_s = call, late_s

    async def reached(self, view: View, watermark: Watermark, within_s: float) -> bool:
        """Not, and so long it takes to tell."""
        del view, watermark
        self.waited_s.append(within_s)
        self._call.now += within_s + self._late_s
        return False

    def has_reached(self, view: View, watermark: Watermark) -> bool:
        """Nor now."""
        del view, watermark
        return False


async def until_caught_up(arrivals: Arrivals, view: View) -> None:
    """What was in the log when it was asked for its end was heard."""
    for _ in range(100_000):
        if arrivals._readers[view].progress.is_caught_up(time.monotonic()):
            return
        await asyncio.sleep(0)


@pytest.mark.parametrize("late_s", [0.0, 0.05, 0.5])
async def test_a_page_comes_though_nothing_is_heard_of_a_stranger(snapshot: Snapshot, late_s: float) -> None:
    """Half of the time is waited at most; where waiting took all of it a resident slate comes at once, and says why."""
    call = Call()
    router = Router(
        RouterConfig(store="", shards=("127.0.0.1:1",), deadline_ms=BUDGET_MS),
        Views.of(View.of(snapshot)),
        clock=call.clock,
    )
    arrivals = NeverThere(call, late_s)
    router._recommendation._arrivals = cast("Arrivals", arrivals)
    request = pb.RecommendRequest(user_id="nobody", carousels=["for-you"], at_least_as_fresh="log/0:7")
    answer = await router._recommendation.recommend(request.SerializeToString(), cast("CallView", call))
    slate = pb.RecommendResponse.FromString(answer)
    await router.close()
    assert slate.carousels[0].items
    assert pb.REASON_NOT_AS_FRESH in slate.receipt.reasons
    assert max(arrivals.waited_s) <= BUDGET_MS / 1000 / 2


async def test_a_snapshot_that_comes_knows_nobody_who_is_to_be_forgotten(snapshot: Snapshot) -> None:
    """From the moment on in which it was opened: it may be served at once."""
    first = View.of(snapshot)
    router = Router(
        RouterConfig(store="", shards=("127.0.0.1:1",)),
        Views.of(first),
        event_log=MemoryLog("log"),
        tombstones=MemoryLog("gone"),
    )
    assert router._arrivals is not None
    forget = log_pb2.Forget(id="t", user_id="u0", events_until="log/0:1")
    forget.timestamp.FromJsonString("2024-02-01T00:00:00Z")
    router._arrivals.forgotten.hear(log_pb2.Record(forget=forget), Watermark("gone", {0: 1}))
    second = View.of(cast("Snapshot", replace(cast("SmallSnapshot", snapshot), version="v2")))
    router.keeper.arrived(second)
    await router.close()
    assert [second.find(user) is None for user in ("u0", "u1")] == [True, False]


async def test_a_stranger_whose_events_are_in_no_slate_is_told_so(snapshot: Snapshot) -> None:
    """Who did nothing but with an item of which nobody told lives nowhere; who did nothing is known whole."""
    call, log, view = Call(), MemoryLog("log"), View.of(snapshot)
    keeper = SimpleNamespace(opened={view.version: view}, now=Views.of(view))
    router = Router(RouterConfig(store="", shards=("127.0.0.1:1",)), Views.of(view), clock=call.clock)
    arrivals = Arrivals(cast("Keeper", keeper), log, busy=lambda: False)
    router._recommendation._arrivals = arrivals
    click = events_pb2.Event(user_id="eager", item_id="of-nobody", interaction=events_pb2.INTERACTION_CLICK)
    click.timestamp.FromJsonString("2024-02-01T00:00:00Z")
    mark = await log.append([click], 1)
    arrivals.look()
    following = asyncio.create_task(arrivals.run())
    assert await arrivals.reached(view, mark, 5)
    reasons = {}
    for user in ("eager", "idle"):
        request = pb.RecommendRequest(user_id=user, carousels=["for-you"], at_least_as_fresh=str(mark))
        answer = await router._recommendation.recommend(request.SerializeToString(), cast("CallView", call))
        reasons[user] = pb.REASON_NOT_AS_FRESH in pb.RecommendResponse.FromString(answer).receipt.reasons
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
    await router.close()
    assert reasons == {"eager": True, "idle": False}


async def test_for_a_snapshot_that_comes_beside_another_the_log_is_read_at_leisure(snapshot: Snapshot) -> None:
    """Its log may be long, and the same loop answers requests from the other; what a router starts with has no time."""
    log, first, second = MemoryLog("log"), View.of(snapshot), View.of(snapshot)
    keeper = SimpleNamespace(opened={"first": first}, now=Views.of(first))
    arrivals = Arrivals(cast("Keeper", keeper), log, busy=lambda: True)
    mark = await log.append([events_pb2.Event(user_id="u", item_id="i")], 1)
    following = asyncio.create_task(arrivals.run())
    arrivals.look()
    assert await arrivals.reached(first, mark, 30)
    await until_caught_up(arrivals, first)
    keeper.opened["second"] = second
    arrivals.look()
    assert await arrivals.reached(second, mark, 30)
    paces = [arrivals._readers[view]._at_first for view in (first, second)]
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
    assert paces == [FOLLOWING, BEFORE_IT_SERVES]
