"""A version that is rolled back while a batch is under way is in no answer that goes out afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from fake_shard import FakeShard, Script
from rehearsal_stage import USERS, Stage, holding
from roll_back_stage import NEW, OLD, Gate, promote, roll_back

from router.admission.limit import Bounds
from router.admission.limiter import Limiter
from router.admission.line import Lines, line_alone
from router.answering.batch import Batcher
from router.answering.counters import Counters
from router.answering.recommend import Recommender
from router.asking.fanout import Fanout
from router.slates.receipt import Asking
from router.slates.validate import Known
from trunkshow.bundles import each
from trunkshow.serving.deadline import Deadline, monotonic
from trunkshow.v1 import recommendation_pb2 as pb

BATCH = 40
CHUNK = 5
WITHIN_S = 60


def nobody_is_shed(*_: object) -> bytes:
    """There is room for everybody."""
    raise AssertionError


class Batches:
    """A router's batches over a shard that has two versions, the newer one promoted."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.fanout = Fanout(stage.channels, stage.board)
        recommender = Recommender(self.fanout, stage.board, Counters(), probes=2)
        limiter = Limiter(Bounds(goal_ms=60))
        lines = Lines(limiter), line_alone(limiter)
        self.batcher = Batcher(
            recommender, self.fanout, *lines, nobody_is_shed, chunk_users=lambda _: CHUNK, chunks_in_flight=1
        )

    async def on(self, script: Script) -> None:
        """The shard, and all traffic moved."""
        await self.stage.add(FakeShard(script), holding())
        self.promote()

    def promote(self) -> None:
        """The newer version serves everybody."""
        promote(self.stage)

    def roll_back(self) -> None:
        """The newer version is poisoned, and this router has heard of it."""
        roll_back(self.stage)

    def slates(
        self, *more: pb.RecommendRequest, within_ms: float = 20_000, together: bool = False
    ) -> AsyncGenerator[bytes]:
        """A batch of known users, and these."""
        asking = Asking("batch", monotonic(), Deadline.after(within_ms, monotonic()), within_ms)
        known = [pb.RecommendRequest(user_id=USERS[n % len(USERS)], carousels=["for-you"]) for n in range(BATCH)]
        return self.batcher.slates([*known, *more], asking, self.stage.keeper.lease, together=together)


@pytest.fixture
async def batches(tmp_path: Path) -> AsyncIterator[Batches]:
    """Without a shard yet."""
    stage = Stage(tmp_path, 0.0)
    yield Batches(stage)
    await stage.close()


async def taken(slates: AsyncGenerator[bytes], count: int = -1) -> list[pb.RecommendBatchResponse]:
    """The answers of so many messages, or all that are left."""
    answers = []
    async with asyncio.timeout(WITHIN_S):
        while count:
            count -= 1
            try:
                answers += each(pb.RecommendBatchResponse.FromString(await anext(slates)))
            except StopAsyncIteration:
                break
    return answers


def said(answers: list[pb.RecommendBatchResponse]) -> set[tuple[str, pb.Rung]]:
    """Versions and rungs."""
    return {(one.response.receipt.snapshot_version, one.response.receipt.rung) for one in answers}


async def test_whoever_is_not_answered_yet_is_answered_by_what_it_was_rolled_back_to(batches: Batches) -> None:
    """In chunks of that version, at the same rung; whoever had an answer is not asked for again."""
    gate = Gate(BATCH)
    gate.holds[NEW] = CHUNK + 2
    await batches.on(gate)
    slates = batches.slates()
    before = await taken(slates, 1)
    await asyncio.wait_for(gate.reached.wait(), WITHIN_S)
    batches.roll_back()
    gate.opens.set()
    after = await taken(slates)
    assert said(before) == {(NEW, pb.RUNG_SNAPSHOT)}
    assert said(after) == {(OLD, pb.RUNG_SNAPSHOT)}
    assert sorted(one.index for one in (*before, *after)) == list(range(BATCH))


@pytest.mark.parametrize("together", [False, True])
async def test_what_waits_for_a_slow_caller_is_made_anew(batches: Batches, together: bool) -> None:
    """It was right when it was made, and is not any more when it goes out."""
    gate = Gate(BATCH)
    await batches.on(gate)
    slates = batches.slates(together=together)
    before = await taken(slates, 1)
    await asyncio.wait_for(gate.answered_all.wait(), WITHIN_S)
    batches.roll_back()
    after = await taken(slates)
    assert (said(before), said(after)) == ({(NEW, pb.RUNG_SNAPSHOT)}, {(OLD, pb.RUNG_SNAPSHOT)})
    assert sorted(one.index for one in (*before, *after)) == list(range(BATCH))


async def test_without_time_to_ask_again_it_is_a_list_of_what_is_served(batches: Batches) -> None:
    """The shard never answers of either: what goes out at the end is not of the version that was taken back."""
    gate = Gate(BATCH)
    gate.holds = {NEW: 0, OLD: 0}
    await batches.on(gate)
    slates = batches.slates(within_ms=1500)
    first = asyncio.ensure_future(taken(slates, 1))
    await asyncio.wait_for(gate.reached.wait(), WITHIN_S)
    batches.roll_back()
    after = [*await first, *await taken(slates)]
    assert {version for version, _ in said(after)} == {OLD}
    assert len(after) == BATCH
    assert all(one.response.carousels for one in after)


async def test_a_promotion_changes_nothing_for_a_batch_under_way(batches: Batches) -> None:
    """It goes by one snapshot to its end, as long as that may be served."""
    gate = Gate(BATCH)
    gate.holds[OLD] = CHUNK + 2
    await batches.stage.add(FakeShard(gate), holding())
    slates = batches.slates()
    before = await taken(slates, 1)
    await asyncio.wait_for(gate.reached.wait(), WITHIN_S)
    batches.promote()
    gate.opens.set()
    assert said([*before, *await taken(slates)]) == {(OLD, pb.RUNG_SNAPSHOT)}


async def test_who_named_what_only_the_poisoned_version_knew_gets_no_slate_and_the_others_theirs(
    batches: Batches,
) -> None:
    """Nothing that is served knows which items that filter allows."""
    stage = batches.stage
    view = stage.keeper.opened[OLD]
    stage.keeper.opened[OLD] = replace(view, known=Known(view.known.carousels, ()))
    gate = Gate(BATCH)
    gate.holds[NEW] = 0
    await batches.on(gate)
    (attribute, *_) = stage.keeper.now.current.known.attributes
    named = pb.RecommendRequest(user_id="u0", carousels=["for-you"])
    named.filters.attributes.add(name=attribute, values=["any"])
    slates = batches.slates(named)
    first = asyncio.ensure_future(taken(slates, 1))
    await asyncio.wait_for(gate.reached.wait(), WITHIN_S)
    batches.roll_back()
    gate.opens.set()
    after = {one.index: one.response for one in [*await first, *await taken(slates)]}
    without = after.pop(BATCH)
    assert (len(without.carousels), list(without.receipt.reasons)) == (0, [pb.REASON_SNAPSHOT_MISMATCH])
    assert {one.receipt.snapshot_version for one in after.values()} == {OLD}
    assert len(after) == BATCH
