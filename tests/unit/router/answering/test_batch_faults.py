"""RecommendBatch where shards break, fall silent or refuse, and where the router has a bug: everybody gets a page."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from batch_callers import KNOWN, MIXED, nobody_is_shed, rungs
from fake_shard import FakeShard, Script, everything, failing, late
from ladder_world import HOME, PREVIOUS, World
from router_caller import Start

from router.admission.limit import Bounds
from router.admission.limiter import Limiter
from router.admission.line import Lines, line_alone
from router.answering.batch import Batcher
from router.answering.finish import Finish
from router.answering.recommend import Plan, Recommender
from router.asking import silence
from router.asking.fanout import Fanout
from router.served.keeper import Lease
from router.served.views import Views
from router.slates.receipt import Asking
from trunkshow.serving.deadline import Deadline
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

pytestmark = pytest.mark.usefixtures("patient")


async def test_a_broken_replica_costs_nobody_a_rung(start: Start) -> None:
    """What one shard fails another answers, user by user."""
    caller = await start(FakeShard(failing()), FakeShard(everything()), batch_chunk_users=3)
    assert set(await rungs(caller, KNOWN)) == {pb.RUNG_SNAPSHOT}


async def test_a_user_whom_a_chunk_refuses_is_asked_for_alone(start: Start) -> None:
    """Inside a batch a shard cannot fail for one user; it answers with nothing, and is asked again."""
    refused: set[str] = set()

    async def refusing_once(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        user = pb.RecommendRequest.FromString(request.request).user_id
        if user in refused:
            return await everything()(request)
        refused.add(user)
        missing = [shard_pb2.Missing(carousel=one, reason=pb.REASON_SHARD_FAILED) for one in request.carousels]
        return shard_pb2.PredictResponse(missing=missing)

    assert set(await rungs(await start(FakeShard(refusing_once)), KNOWN)) == {pb.RUNG_SNAPSHOT}


async def test_a_chunk_that_breaks_half_way_keeps_what_it_has(start: Start) -> None:
    """Users who were answered are not asked for again; the others are, once more."""
    asked: list[str] = []

    async def breaking(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        user = pb.RecommendRequest.FromString(request.request).user_id
        asked.append(user)
        if user == "u2" and asked.count("u2") == 1:
            return await failing()(request)
        return await everything()(request)

    caller = await start(FakeShard(breaking))
    assert set(await rungs(caller, KNOWN)) == {pb.RUNG_SNAPSHOT}
    assert (asked.count("u0"), asked.count("u2")) == (1, 2)


@pytest.mark.parametrize("script", [failing(), late])
async def test_without_a_shard_that_answers_everybody_gets_a_page(start: Start, script: Script) -> None:
    """A batch steps down as a single request does, within its deadline."""
    caller = await start(FakeShard(script), batch_deadline_ms=150)
    assert set(await rungs(caller, ["u0", "u1", "u6"])) == {pb.RUNG_SEGMENT, pb.RUNG_POPULAR}


@pytest.mark.parametrize("resident_ms", [0.2, 0.9])
async def test_strangers_in_a_hurry_cost_no_error(monkeypatch: pytest.MonkeyPatch, resident_ms: float) -> None:
    """A thousand strangers with items in hand, and shards that never answer: everybody gets a page in time.

    The clock is the test's: what a page takes is what is said here, and not what a busy machine makes of it.
    """
    world = World({HOME: "is late", PREVIOUS: "is late"})
    finishing = Finish.slate

    def slate(self: Finish, *arguments: Any, **how: Any) -> bytes:
        world.now.s += resident_ms / 1000
        return finishing(self, *arguments, **how)

    monkeypatch.setattr(Finish, "slate", slate)
    fanout = cast("Fanout", world.shards)
    limiter = Limiter(Bounds(goal_ms=60))
    lines = Lines(limiter), line_alone(limiter)
    sizes = {"chunk_users": lambda _: 32, "chunks_in_flight": 2}
    batcher = Batcher(world.recommender, fanout, *lines, nobody_is_shed, **sizes, clock=world.now)
    asking = Asking("r", world.now(), Deadline.after(1900, world.now()), 2000)
    batch = [pb.RecommendRequest(user_id=f"stranger-{number}", context_item_ids=["i1"]) for number in range(1000)]
    lease = Lease(world.views, lambda: None)
    answers = [pb.RecommendBatchResponse.FromString(one) async for one in batcher.slates(batch, asking, lambda: lease)]
    assert sorted(answer.index for answer in answers) == list(range(1000))
    assert world.shards.asked
    assert asking.shards_by.remaining_ms(world.now()) >= 0


async def test_without_any_shard_everybody_gets_a_page(start: Start) -> None:
    """Nobody to ask is nothing to wait for."""
    assert len(await rungs(await start(), MIXED)) == len(MIXED)


async def test_a_shard_that_falls_silent_costs_its_users_no_rung(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others answer them, and the batch does not wait for it until its deadline."""
    monkeypatch.setattr(silence, "SILENT_S_MAX", 0.05)
    answered = 0

    async def silent(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        nonlocal answered
        answered += 1
        if answered > 1:
            await asyncio.Event().wait()
        return await everything()(request)

    caller = await start(FakeShard(silent), FakeShard(everything()), batch_deadline_ms=60_000, batch_chunk_users=3)
    async with asyncio.timeout(20):
        assert set(await rungs(caller, KNOWN)) == {pb.RUNG_SNAPSHOT}


async def test_a_bug_of_ours_costs_one_of_a_batch_its_rung_and_nobody_an_answer(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In planning, in finishing a shard's slate, in asking for one alone: the others' slates are what they were."""
    planning, finishing = Recommender.plan, Recommender.answered

    def plan(self: Recommender, data: bytes, request: pb.RecommendRequest, views: Views) -> Plan | None:
        if request.user_id == "u0":
            raise RuntimeError("scripted")
        return planning(self, data, request, views)

    async def answered(self: Recommender, plan: Plan, *rest: Any) -> bytes:
        if plan.request.user_id == "u1":
            raise RuntimeError("scripted")
        return await finishing(self, plan, *rest)

    monkeypatch.setattr(Recommender, "plan", plan)
    monkeypatch.setattr(Recommender, "answered", answered)
    caller = await start(FakeShard(everything()))
    answers = await caller.batch([pb.RecommendRequest(user_id=f"u{number}") for number in range(4)])
    broken = {one.index for one in answers if pb.REASON_ROUTER_FAILED in one.response.receipt.reasons}
    assert (len(answers), broken) == (4, {0, 1})
    assert all(one.response.carousels for one in answers)
