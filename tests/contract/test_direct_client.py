"""Both direct clients against a router and a shard that answer from a script: whatever happens, one is answered."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from scripted_direct import ScriptedShard, Told, made_of, placement, scripted_shard, whole
from scripted_router import SLATE, ScriptedRouter, Seen, scripted_router

from trunkshow import Client, rivals
from trunkshow.direct import AsyncDirectClient, DirectClient
from trunkshow.direct.ways import ShortWay
from trunkshow.errors import (
    DeadlineExceeded,
    InvalidArgument,
    Overloaded,
    SnapshotMismatch,
    TrunkshowError,
    Unauthenticated,
    Unavailable,
)
from trunkshow.hedging import PATIENCE, Patience
from trunkshow.receipts import Outcome, Rung
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

ROOT = Path(__file__).resolve().parents[2]
USER = "bob"
WITHIN_S = 60
DEADLINE_MS = 60_000.0
PATIENT = Patience(default_ms=10_000, floor_ms=10_000, ceiling_ms=10_000)
"""A busy machine takes its time; only where a test is about a shard that does, the router is asked soon."""


class Blocking:
    """The blocking client, awaited, so that one test can drive both."""

    def __init__(self, target: str) -> None:
        self.real = DirectClient(target, deadline_ms=DEADLINE_MS)

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **named: asyncio.to_thread(getattr(self.real, name), *args, **named)


class Awaiting:
    """The asyncio client."""

    def __init__(self, target: str) -> None:
        self.real = AsyncDirectClient(target, deadline_ms=DEADLINE_MS)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@dataclass
class World:
    """A router, what it tells direct clients, and the shard that it names."""

    router: ScriptedRouter
    told: Told
    shard: ScriptedShard
    client: Any = None

    @property
    def asked(self) -> tuple[int, int]:
        """How many requests for slates the router and the shard have seen."""
        return sum(isinstance(call.request, pb.RecommendRequest) for call in self.router.seen), len(self.shard.seen)

    def grow_impatient(self) -> None:
        """From now on the router is asked as well after 30 ms."""
        self.client.real._way._shards._patience = PATIENCE

    async def until(self, true: Callable[[], bool]) -> None:
        """Bounded: a client hears of things in tasks or threads of its own."""
        async with asyncio.timeout(WITHIN_S):
            while not true():  # noqa: ASYNC110  # no event of ours is set there
                await asyncio.sleep(0.01)

    async def opened(self, *users: str) -> None:
        """The short way is open for these users; nothing of how it came to be so is left in what was seen."""
        for user in users or (USER,):
            async with asyncio.timeout(WITHIN_S):
                while not (await self.client.recommend(user)).receipt.direct:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        self.router.seen.clear()
        self.shard.seen.clear()


@pytest.fixture
def world() -> Iterator[World]:
    with ExitStack() as stack:
        shard = stack.enter_context(scripted_shard())
        told = Told(placement(shard.target), {USER: 2, "eve": 3})
        router = stack.enter_context(scripted_router(more=told.handlers()))
        yield World(router, told, shard)
        told.end()


@pytest.fixture(params=[Blocking, Awaiting])
async def on(request: pytest.FixtureRequest, world: World) -> AsyncIterator[World]:
    world.client = request.param(world.router.target)
    world.client.real._way = ShortWay(patience=PATIENT)
    await world.client.connect()
    yield world
    await world.client.close()


async def test_a_known_user_is_asked_of_the_shard_where_they_live(on: World) -> None:
    """With the carousels of the surface, the partition, the request, its id and the grant; the router hears nothing."""
    await on.opened()
    slate = await on.client.recommend(USER, surface="search", request_id="mine")
    (call,) = on.shard.seen
    assert [item.item_id for carousel in slate.carousels for item in carousel.items] == [
        "shard-for-you",
        "shard-popular",
    ]
    assert (list(call.request.partitions), call.request.snapshot_version) == ([2], "v1")
    assert list(call.request.carousels) == ["for-you", "popular"]
    assert pb.RecommendRequest.FromString(call.request.request).user_id == USER
    assert (call.metadata["x-request-id"], call.metadata["x-trunkshow-grant"]) == ("mine", "granted")
    assert on.asked == (0, 1)


async def test_the_receipt_says_that_it_came_directly(on: World) -> None:
    """And who answered, when, for what request; the shard's own part of it stands."""
    await on.opened()
    receipt = (await on.client.recommend(USER, request_id="mine")).receipt
    (attempt,) = receipt.attempts
    assert (receipt.direct, receipt.request_id, receipt.rung, receipt.snapshot_version) == (
        True,
        "mine",
        Rung.SNAPSHOT,
        "v1",
    )
    assert (attempt.replica, attempt.outcome, attempt.hedge) == (on.shard.target, Outcome.ANSWERED, False)
    assert [stage.name for stage in receipt.stages] == ["predict", "direct"]
    assert (receipt.partitions_asked, receipt.partitions_answered, receipt.hedged) == (1, 1, False)
    assert 0 < receipt.elapsed_ms <= receipt.budget_ms == DEADLINE_MS


async def test_a_request_without_an_id_gets_one_that_the_shard_logs(on: World) -> None:
    """The same in the receipt as in the metadata."""
    await on.opened()
    receipt = (await on.client.recommend(USER)).receipt
    assert on.shard.seen[0].metadata["x-request-id"] == receipt.request_id != ""


@pytest.mark.parametrize(
    "unusual",
    [
        {"items": ["hat"]},
        {"categories": ["hats"]},
        {"attributes": {"brand": ["a"]}},
        {"include_unavailable": True},
        {"worst_rung": Rung.SNAPSHOT},
        {"at_least_as_fresh": "log/0:1"},
        {"carousels": ["occasion:wedding"]},
        {"carousels": ["nobody-knows"]},
        {"surface": "nowhere"},
        {"items_per_carousel": 101},
        {"deadline_ms": 19.0},
    ],
    ids=lambda unusual: next(iter(unusual)),
)
async def test_what_is_not_plain_is_the_routers(on: World, unusual: dict[str, Any]) -> None:
    """Though the user is known, and the shard there."""
    await on.opened()
    with suppress(DeadlineExceeded):  # of what had hardly any time
        await on.client.recommend(USER, **unusual)
    assert on.asked[1] == 0


async def test_a_stranger_is_the_routers_and_is_not_asked_about_again(on: World) -> None:
    """For as long as that answer lives."""
    for _ in range(5):
        await on.client.recommend("stranger")
        await on.until(lambda: len(on.client.real._way._routes) == 1)
    assert on.asked == (5, 0)
    assert sum("stranger" in users for users in on.told.routes) == 1


@pytest.mark.parametrize(
    "script",
    [
        TrunkshowError("a bug"),
        Overloaded("no time"),
        SnapshotMismatch("not held"),
        Unauthenticated("who?"),
        Unavailable("going"),
        lambda asked: made_of(["for-you"], missing=(("popular", pb.REASON_MODEL_FAILED),)),
        lambda asked: made_of([], missing=tuple((one, pb.REASON_USER_UNKNOWN) for one in asked.carousels)),
        lambda asked: made_of(asked.carousels, version="v0"),
        lambda asked: made_of(asked.carousels, rung=pb.RUNG_STAND_IN),
        lambda asked: made_of([]),
    ],
    ids=[
        "bug",
        "overloaded",
        "mismatch",
        "unauthenticated",
        "unavailable",
        "missing",
        "unknown",
        "version",
        "rung",
        "empty",
    ],
)
async def test_whatever_the_shard_does_the_router_answers(on: World, script: Any) -> None:
    """At once, with the request's own id, and the receipt tells of both."""
    await on.opened()
    on.shard.script = script
    slate = await on.client.recommend(USER, request_id="mine")
    (call,) = on.router.seen
    assert [item.item_id for item in slate.carousels[0].items] == ["hat", "coat"]
    assert (call.metadata["x-request-id"], on.asked) == ("mine", (1, 1))
    assert (slate.receipt.direct, slate.receipt.attempts[0].replica) == (False, on.shard.target)
    assert slate.receipt.attempts[0].outcome != Outcome.ANSWERED
    assert call.time_remaining_s <= DEADLINE_MS / 1e3 * 1.02


async def test_a_shard_that_hangs_costs_its_patience_and_is_let_go(on: World) -> None:
    """The router is asked as well, with the time that is left, and the shard's call is cancelled."""
    await on.opened()
    on.grow_impatient()
    on.shard.script = None
    receipt = (await on.client.recommend(USER)).receipt
    assert (receipt.hedged, receipt.attempts[0].outcome) == (True, Outcome.CANCELLED)
    assert receipt.elapsed_ms < DEADLINE_MS / 2
    assert on.client.real.ways.hedged == 1


@asynccontextmanager
async def outrun(on: World) -> AsyncIterator[Seen]:
    """A call to the router, begun before the shard answered, that gets no answer as long as the block lasts."""
    await on.opened()
    on.grow_impatient()
    asked, over = threading.Event(), threading.Event()

    def router() -> pb.RecommendResponse:
        asked.set()
        over.wait(WITHIN_S)
        return SLATE

    def shard(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        asked.wait(WITHIN_S)
        return whole(request)

    on.router.answers["Recommend"], on.shard.script = router, shard
    try:
        receipt = (await on.client.recommend(USER)).receipt
        assert (receipt.direct, receipt.hedged) == (True, True)
        yield on.router.seen[0]
    finally:
        over.set()


async def test_a_router_that_is_outrun_gets_a_while_to_answer(on: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """For gRPC a call that is called off is a failure: it would leave a router alone that is well."""
    monkeypatch.setattr(rivals, "SPARED_S", WITHIN_S)
    async with outrun(on) as call:
        await on.client.status()  # over the same connection: it would have been called off before
        assert call.live()


async def test_a_router_that_is_silent_for_its_while_is_called_off(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands still. A client that blocks leaves it to its own deadline."""
    monkeypatch.setattr(rivals, "SPARED_S", 0.0)
    world.client = Awaiting(world.router.target)
    async with world.client.real, outrun(world) as call:
        await world.until(lambda: not call.live())


async def test_what_a_shard_cannot_make_whole_is_left_to_the_router(on: World) -> None:
    """It is not asked for that user again while the route lives, and is for others."""
    await on.opened(USER, "eve")
    on.shard.script = lambda asked: made_of(["for-you"], missing=(("popular", pb.REASON_CAROUSEL_EMPTY),))
    await on.client.recommend(USER)
    on.shard.script = whole
    await on.client.recommend(USER)
    assert on.asked == (2, 1)
    assert (await on.client.recommend("eve")).receipt.direct


async def test_where_both_fail_the_routers_error_is_raised(on: World) -> None:
    """As the plain client's."""
    await on.opened()
    on.shard.script = TrunkshowError("a bug")
    on.router.answers["Recommend"] = InvalidArgument("no such user", field="user_id", reason="USER")
    with pytest.raises(InvalidArgument) as caught:
        await on.client.recommend(USER)
    assert (caught.value.field, caught.value.reason) == ("user_id", "USER")


async def test_where_the_router_fails_as_a_rival_the_shard_may_still_answer(on: World) -> None:
    """A hedge that ends in an error is no answer."""
    await on.opened()
    release = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slowly(asked: Any) -> Any:
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result(WITHIN_S)
        return whole(asked)

    on.grow_impatient()
    on.shard.script = slowly
    on.router.answers["Recommend"] = InvalidArgument("scripted", field="user_id")
    asking = asyncio.ensure_future(on.client.recommend(USER))
    await on.until(lambda: on.asked[0] == 1)
    release.set()
    receipt = (await asking).receipt
    assert (receipt.direct, receipt.hedged) == (True, True)


async def test_when_the_placement_names_nobody_everything_is_the_routers(on: World) -> None:
    """Traffic moves, or a candidate is tried: the next request already knows."""
    await on.opened()
    on.told.report(placement(version=""))
    await on.until(lambda: not on.client.real.direct)
    await on.client.recommend(USER)
    assert on.asked == (1, 0)


async def test_a_route_of_another_version_is_not_used(on: World) -> None:
    """After a move routes are asked for anew, and the first requests are the router's."""
    await on.opened()
    on.told.report(placement(on.shard.target, version="v2"))
    await on.until(lambda: on.client.real._way.placement.version == "v2")
    assert not (await on.client.recommend(USER)).receipt.direct
    await on.opened()
    await on.client.recommend(USER)
    assert on.shard.seen[-1].request.snapshot_version == "v2"


async def test_when_somebody_was_forgotten_no_route_from_before_is_used(on: World) -> None:
    """The router has read a tombstone; who it was of it need not say: it routes them no more."""
    await on.opened(USER, "eve")
    del on.told.homes[USER]
    on.told.report(placement(on.shard.target, forgotten="gone/0:1"))
    await on.until(lambda: on.client.real._way.placement.forgotten == "gone/0:1")
    await on.opened("eve")
    for _ in range(3):
        assert not (await on.client.recommend(USER)).receipt.direct
    assert on.asked == (3, 0)


async def test_a_router_whose_watch_ends_is_trusted_no_more_until_it_is_back(on: World) -> None:
    """What it said of placement is over with its stream."""
    await on.opened()
    on.told.end()
    await on.until(lambda: not on.client.real.direct)
    await on.client.recommend(USER)
    assert on.asked == (1, 0)


async def test_a_router_without_the_service_is_a_router(request: pytest.FixtureRequest) -> None:
    """The client then is a plain one."""
    del request
    with scripted_router() as router:
        async with AsyncDirectClient(router.target, deadline_ms=DEADLINE_MS) as client:
            await client.connect()
            assert not (await client.recommend(USER)).receipt.direct
        with DirectClient(router.target, deadline_ms=DEADLINE_MS) as blocking:
            await asyncio.to_thread(blocking.connect)
            assert not (await asyncio.to_thread(blocking.recommend, USER)).receipt.direct


async def test_it_has_all_that_a_client_has(on: World) -> None:
    """Whatever is not a slate goes to the router as it always did."""
    await on.opened()
    assert isinstance(DirectClient("127.0.0.1:1"), Client)
    assert (await on.client.similar("hat", 3)).carousel.items[0].item_id == "cap"
    assert (await on.client.status()).covered
    assert on.asked[1] == 0


async def test_many_at_once_are_each_answered_once(on: World) -> None:
    """From tasks or threads, with their own ids."""
    await on.opened(USER, "eve")
    slates = await asyncio.gather(
        *(on.client.recommend(USER if number % 2 else "eve", request_id=f"r{number}") for number in range(64))
    )
    assert [slate.receipt.request_id for slate in slates if slate.receipt.direct] == [
        f"r{number}" for number in range(64) if slates[number].receipt.direct
    ]
    assert len(slates) == 64


async def test_the_example_goes_the_short_way(world: World) -> None:
    """It asks, says which way each request went, and counts them."""
    command = [sys.executable, str(ROOT / "examples" / "python" / "direct.py"), USER]
    environment = {**os.environ, "TRUNKSHOW_TARGET": world.router.target, "PYTHONPATH": str(ROOT)}
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, timeout=WITHIN_S, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "through the router" in done.stdout
    assert "Ways(direct=" in done.stdout


async def test_a_client_that_was_closed_follows_nobody_any_more() -> None:
    """Who asks it all the same, as a handler may while its process ends, leaves nothing running."""
    client = AsyncDirectClient("127.0.0.1:1")
    await client.close()
    with suppress(Exception):  # whatever gRPC says of a channel that is closed
        await client.recommend(USER, deadline_ms=50)
    assert not client._tasks


def test_importing_it_costs_grpc_and_protobuf_alone() -> None:
    """As the plain client's: a backend service has nothing else installed."""
    heavy = ("numpy", "structlog", "lmdb", "faiss", "uvloop", "cyclopts", "prometheus_client")
    script = f"import sys, trunkshow.direct; print([one for one in {heavy!r} if one in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"
