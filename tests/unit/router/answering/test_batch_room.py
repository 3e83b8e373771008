"""How much room a batch takes from pages, and what its users get where there is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest
from batch_callers import KNOWN, nobody_is_shed, rungs
from fake_shard import FakeShard, everything
from ladder_world import HOME, WANTED, World
from router_caller import Caller, Start

from router.admission import line
from router.admission.limit import Bounds
from router.admission.limiter import Limiter
from router.admission.line import Lines, line_alone
from router.answering.batch import Batcher
from router.answering.batch_run import READY_ANSWERS_MAX
from router.asking import silence
from router.asking.fanout import Fanout
from router.served.keeper import Lease
from router.slates.receipt import Asking
from trunkshow.serving.deadline import Deadline
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

pytestmark = pytest.mark.usefixtures("patient")


async def test_a_batch_gives_way_to_pages(start: Start) -> None:
    """While somebody waits for a single slate, a batch asks for one stranger at a time; else for several."""
    answering, at_a_time, most = asyncio.Event(), 0, [0, 0]

    async def script(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        nonlocal at_a_time
        if not request.vector:
            await answering.wait()
            return await everything()(request)
        at_a_time += 1
        most[answering.is_set()] = max(most[answering.is_set()], at_a_time)
        await asyncio.sleep(0.005)
        at_a_time -= 1
        return await everything()(request)

    shard = FakeShard(script)
    caller = await start(shard, batch_deadline_ms=60_000, deadline_ms=50_000)
    page = asyncio.ensure_future(caller.recommend("u0"))
    async with asyncio.timeout(60):
        while not shard.asked:
            await caller.status()
    strangers = [pb.RecommendRequest(user_id=f"s{number}", context_item_ids=["i1"]) for number in range(20)]
    beside = await caller.batch(strangers)
    answering.set()
    await page
    alone = await caller.batch(strangers)
    assert {one.response.receipt.rung for one in (*beside, *alone)} == {pb.RUNG_SNAPSHOT}
    assert most == [1, 4]


@pytest.fixture
async def full(start: Start, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Caller, FakeShard]]:
    """A router that may make one slate at a time, and is making one for a page; and one call for a batch beside it."""
    monkeypatch.setattr(silence, "SILENT_S_MAX", 60)
    answering = asyncio.Event()

    async def waiting(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        await answering.wait()
        return await everything()(request)

    shard = FakeShard(waiting)
    one_at_a_time = {"concurrency_floor": 1, "concurrency_start": 1, "concurrency_max": 1}
    caller = await start(shard, batch_deadline_ms=60_000, deadline_ms=50_000, **one_at_a_time)
    page = asyncio.ensure_future(caller.recommend("u1"))
    batch = asyncio.ensure_future(rungs(caller, ["u3"]))
    async with asyncio.timeout(20):
        while len(shard.asked) < 2:
            await caller.status()
    yield caller, shard
    answering.set()
    assert (await page).receipt.rung == pb.RUNG_SNAPSHOT
    assert await batch == [pb.RUNG_SNAPSHOT]


async def test_while_pages_are_turned_away_a_batch_gets_resident_slates_at_once(full: tuple[Caller, FakeShard]) -> None:
    """No shard is asked for it, long before its deadline; the receipts say why, and the status counts them."""
    caller, shard = full
    batch = [pb.RecommendRequest(user_id=user, carousels=["for-you"]) for user in KNOWN]
    waiting = asyncio.ensure_future(caller.batch(batch))
    async with asyncio.timeout(20):
        while not waiting.done():
            page = await caller.recommend("u2", carousels=["for-you"])
            assert list(page.receipt.reasons) == [pb.REASON_OVERLOADED]
    answers = await waiting
    status = await caller.status()
    assert len(shard.asked) == 2
    assert sorted(one.index for one in answers) == list(range(len(KNOWN)))
    assert {tuple(one.response.receipt.reasons) for one in answers} == {(pb.REASON_OVERLOADED,)}
    assert {one.response.receipt.rung for one in answers} == {pb.RUNG_SEGMENT, pb.RUNG_POPULAR}
    assert status.shed == status.requests


async def test_a_batch_that_finds_no_room_for_a_while_does_not_wait_for_its_deadline(
    full: tuple[Caller, FakeShard], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though no page was turned away: others have the room, and nobody may wait for it for a minute."""
    monkeypatch.setattr(line, "WAIT_S_MAX", 0.05)
    caller, shard = full
    async with asyncio.timeout(20):
        answers = await caller.batch([pb.RecommendRequest(user_id=user, carousels=["for-you"]) for user in KNOWN])
    assert len(shard.asked) == 2
    assert {tuple(one.response.receipt.reasons) for one in answers} == {(pb.REASON_OVERLOADED,)}


async def test_who_would_rather_have_no_slate_than_a_resident_one_gets_none_when_turned_away(
    full: tuple[Caller, FakeShard], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their choice, and no error for the others."""
    monkeypatch.setattr(line, "WAIT_S_MAX", 0.05)
    caller, _ = full
    picky = pb.RecommendRequest(user_id="u0", carousels=["for-you"], partial=pb.PARTIAL_ABORT)
    other = pb.RecommendRequest(user_id="u2", carousels=["for-you"])
    answers = {one.index: one.response for one in await caller.batch([picky, other])}
    assert (len(answers[0].carousels), list(answers[0].receipt.reasons)) == (0, [pb.REASON_PARTIAL_ABORTED])
    assert list(answers[1].receipt.reasons) == [pb.REASON_OVERLOADED]


async def test_batches_have_half_of_the_limit_at_a_time(start: Start) -> None:
    """However many users and shards there are; everybody gets their own slate in the end."""
    shards = [FakeShard(everything()) for _ in range(2)]
    limit = {"concurrency_start": 16, "concurrency_max": 16}
    caller = await start(*shards, **limit, batch_deadline_ms=20_000, batch_chunk_users=2)
    most = 0

    async def watched() -> None:
        nonlocal most
        while True:
            most = max(most, (await caller.status()).in_flight)

    watching = asyncio.ensure_future(watched())
    answers = await asyncio.gather(*(rungs(caller, KNOWN * 4) for _ in range(3)))
    watching.cancel()
    assert {rung for batch in answers for rung in batch} == {pb.RUNG_SNAPSHOT}
    assert most <= 8 + line.CALL_SLATES  # one call to a second shard is always let in


async def test_a_caller_who_takes_nothing_keeps_no_room_from_others() -> None:
    """What is on its way is heard to its end; then nobody more is asked for until some of it was taken."""
    world = World({HOME: "answers"})
    limiter = Limiter(Bounds(goal_ms=60))
    lines = Lines(limiter), line_alone(limiter)
    sizes = {"chunk_users": lambda _: 32, "chunks_in_flight": 2}
    batcher = Batcher(world.recommender, cast("Fanout", world.shards), *lines, nobody_is_shed, **sizes, clock=world.now)
    asking = Asking("r", world.now(), Deadline.after(60_000, world.now()), 60_000)
    batch = [
        pb.RecommendRequest(user_id=f"stranger-{n}", context_item_ids=["i1"], carousels=WANTED)
        for n in range(READY_ANSWERS_MAX * 2)
    ]
    lease = Lease(world.views, lambda: None)
    slates = batcher.slates(batch, asking, lambda: lease)
    taken = [await anext(slates)]
    before = -1
    while before != len(world.shards.asked):
        before = len(world.shards.asked)
        for _ in range(50):
            await asyncio.sleep(0)
    assert READY_ANSWERS_MAX <= len(world.shards.asked) < READY_ANSWERS_MAX + 8
    assert limiter.of_batches == 0
    taken += [slate async for slate in slates]
    assert len(taken) == len(batch)
