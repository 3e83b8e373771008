"""RecommendBatch: everybody is answered once, whatever happens to the shards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import grpc
import grpc.aio
import pytest
from fake_shard import FakeShard, Script, answer, everything, failing, late
from ladder_world import HOME, PREVIOUS, WANTED, World
from router_caller import Caller, Start
from structlog.testing import capture_logs

from router.admission import line
from router.admission.limit import Bounds
from router.admission.limiter import Limiter
from router.admission.line import Lines, line_alone
from router.answering.batch import Batcher
from router.answering.batch_run import READY_ANSWERS_MAX
from router.answering.batch_time import RESIDENT_MS_AT_FIRST, BatchTime
from router.answering.finish import Finish
from router.answering.recommend import Plan, Recommender
from router.asking import silence
from router.asking.fanout import Fanout
from router.served.keeper import Lease
from router.served.views import Views
from router.slates.receipt import Asking
from trunkshow.bundles import each
from trunkshow.errors import from_rpc_error
from trunkshow.serving.deadline import Deadline
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

KNOWN = [f"u{user}" for user in range(8)]
MIXED = [*KNOWN, "stranger", *KNOWN, "another"]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow this machine is, nobody is turned away but in the tests that are about it."""
    monkeypatch.setattr(line, "WAIT_S_MAX", 20.0)


def nobody_is_shed(*_: object) -> bytes:
    """There is room for everybody."""
    raise AssertionError


async def rungs(caller: Caller, users: list[str]) -> list[pb.Rung]:
    """The rung of each user's slate, in the order of the batch; fails where an index does not come exactly once."""
    answers = await caller.batch([pb.RecommendRequest(user_id=user, carousels=["for-you"]) for user in users])
    assert sorted(one.index for one in answers) == list(range(len(users)))
    by_index = {one.index: one.response for one in answers}
    return [by_index[index].receipt.rung for index in range(len(users))]


async def test_every_index_comes_once(start: Start) -> None:
    """Known users and strangers, several chunks on several shards."""
    caller = await start(FakeShard(everything()), FakeShard(everything()), batch_chunk_users=3)
    assert await rungs(caller, MIXED) == [pb.RUNG_SNAPSHOT if user in KNOWN else pb.RUNG_POPULAR for user in MIXED]


async def test_each_slate_is_its_own_users(start: Start) -> None:
    """Chunks do not mix up who asked for what."""

    async def echo(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        user = pb.RecommendRequest.FromString(request.request).user_id
        return answer([pb.Carousel(id="for-you", title=user, rung=pb.RUNG_SNAPSHOT)])

    caller = await start(FakeShard(echo), FakeShard(echo), batch_chunk_users=3)
    answers = await caller.batch([pb.RecommendRequest(user_id=user) for user in KNOWN])
    assert {one.index: one.response.carousels[0].title for one in answers} == dict(enumerate(KNOWN))


async def test_who_allows_it_gets_what_is_ready_in_one_message(start: Start) -> None:
    """The same slates in fewer messages; whoever does not know of it gets one in each."""
    caller = await start(FakeShard(everything()), FakeShard(everything()))
    users = KNOWN * 20
    asked = [pb.RecommendRequest(user_id=user, carousels=["for-you"]) for user in users]
    alone, together = await caller.batch(asked), await caller.batch(asked, together=True)
    assert len(alone) == len(users) > len(together)
    assert not any(one.also for one in alone)
    shown = [
        sorted((one.index, one.response.carousels[0].id, one.response.receipt.rung) for one in answers)
        for answers in (alone, [one for message in together for one in each(message)])
    ]
    assert shown[0] == shown[1]


async def test_every_slate_of_a_message_has_a_receipt_of_its_own(start: Start) -> None:
    """Written once for all of them, it says of each who was asked, and what else went wrong for that one alone."""

    async def short_of_one(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        if pb.RecommendRequest.FromString(request.request).user_id != "u1":
            return await everything()(request)
        del request.carousels[1:]
        made = await everything()(request)
        made.missing.add(carousel="popular", reason=pb.REASON_CAROUSEL_EMPTY)
        return made

    caller = await start(FakeShard(short_of_one))
    asked = [pb.RecommendRequest(user_id=user, carousels=["for-you", "popular"]) for user in KNOWN[:4]]
    messages = await caller.batch(asked, together=True)
    receipts = {one.index: one.response.receipt for message in messages for one in each(message)}
    for receipt in receipts.values():
        assert (receipt.partitions_asked, receipt.partitions_answered) == (1, 1)
        assert [(attempt.outcome, bool(attempt.replica)) for attempt in receipt.attempts] == [
            (pb.OUTCOME_ANSWERED, True)
        ]
        assert receipt.request_id and 0 < receipt.elapsed_ms < receipt.budget_ms
    assert len({receipt.request_id for receipt in receipts.values()}) == 1
    assert [list(receipts[index].reasons) for index in range(4)] == [[], [pb.REASON_CAROUSEL_EMPTY], [], []]


async def test_chunks_hold_so_many_users_at_most(start: Start) -> None:
    """A large batch comes in pieces, so that other requests get in between."""
    shard = FakeShard(everything())
    await rungs(await start(shard, batch_chunk_users=3), KNOWN)
    assert sorted(shard.batches) == [2, 3, 3]


async def test_a_shard_that_takes_fewer_users_in_a_call_gets_no_more(start: Start) -> None:
    """It would refuse a larger chunk as a whole. That is logged as it is found; others' chunks are what they were."""
    small, large = FakeShard(everything(), batch_users_max=2), FakeShard(everything())
    with capture_logs() as logs:
        caller = await start(small, large, batch_chunk_users=3)
        cut = [one for one in logs if one["event"] == "batch.chunks_cut"]
    assert [(one["batch_users_max"], one["batch_chunk_users"]) for one in cut] == [(2, 3)]
    assert set(await rungs(caller, KNOWN * 8)) == {pb.RUNG_SNAPSHOT}
    assert (max(small.batches), max(large.batches)) == (2, 3)
    assert sum(small.batches) + sum(large.batches) == len(KNOWN) * 8  # nobody had to be asked for alone


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


async def test_the_last_of_a_batch_are_waited_for_longer(start: Start) -> None:
    """What is kept for resident slates shrinks with the users who still need one: a second for a thousand."""
    shard = FakeShard(everything())
    caller = await start(shard, batch_deadline_ms=5_000)
    await rungs(caller, (KNOWN * 125)[:1000])
    first, last = shard.batch_deadlines[0], shard.batch_deadlines[-1]
    assert 0.8 < last.at - first.at < 1.2  # on the wire gRPC rounds a deadline, by up to a hundredth


def test_a_batch_in_a_hurry_keeps_half_its_time() -> None:
    """A thousand users and too little time for a thousand resident slates: shards get the other half."""
    asking = Asking("r", began := 100.0, Deadline.after(400, began), 400)
    hurried = BatchTime(asking, 1000, RESIDENT_MS_AT_FIRST, lambda: began)
    assert hurried.now().shards_by.remaining_ms(began) == pytest.approx(200)


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


async def test_one_invalid_request_refuses_the_batch(start: Start) -> None:
    """The refusal names the index."""
    caller = await start()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await caller.batch([pb.RecommendRequest(user_id="u0"), pb.RecommendRequest()])
    assert from_rpc_error(caught.value).field == "requests[1].user_id"


async def test_a_large_batch_is_answered_in_full(start: Start) -> None:
    """A thousand users, more than the queue of ready answers holds."""
    caller = await start(FakeShard(everything()), FakeShard(everything()), batch_deadline_ms=10_000)
    assert len(await rungs(caller, (MIXED * 56)[:1000])) == 1000


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
