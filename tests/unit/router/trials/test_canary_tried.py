"""A canary is shown to a few, and promoted or rolled back by what became of their answers."""

from __future__ import annotations

from conductor_stage import SAME, MakeStage, state_after_a_look
from fake_shard import FakeShard
from rehearsal_stage import CANDIDATE, CURRENT, Stage, holding, someone

from router.trials.suspicion import PATIENCE_S
from trunkshow.snapshot.states import State
from trunkshow.v1 import shard_pb2


async def test_a_canary_that_cannot_be_opened_here_is_left_to_those_who_show_it(stage: MakeStage) -> None:
    """Somebody could, or it were none."""
    on = stage(opens=False)
    on.store.pointer = on.store.pointer.canaried(CANDIDATE, 0.2, someone())
    assert await state_after_a_look(on) is State.CANARY
    on.clock.now += 61
    assert await state_after_a_look(on) is State.CANARY


async def canary(on: Stage) -> None:
    """The candidate becomes a canary that the conductor knows of."""
    await on.add(FakeShard(SAME), holding())
    on.store.pointer = on.store.pointer.canaried(CANDIDATE, 0.2, someone())
    on.poll()
    await on.conductor.look()


async def test_a_healthy_canary_is_promoted(stage: MakeStage) -> None:
    """After enough answers, and not before."""
    on = stage()
    await canary(on)
    on.answers(500)
    assert await state_after_a_look(on) is State.CANARY
    on.answers(1500)
    assert await state_after_a_look(on) is State.CURRENT
    assert "canary passed" in on.store.pointer.history[-1].why


async def test_a_harmful_canary_is_rolled_back(stage: MakeStage) -> None:
    """By itself, long before it would have been promoted."""
    on = stage()
    await canary(on)
    on.answers(300, canary_fails=True)
    assert await state_after_a_look(on) is State.REFUSED
    assert on.store.pointer.current == CURRENT
    assert "canary failed" in on.store.pointer.history[-1].why


async def begun(on: Stage, said: shard_pb2.ShardStatus) -> FakeShard:
    """A canary that was never rehearsed, on a shard that says this."""
    shard = FakeShard(SAME)
    await on.add(shard, said)
    on.store.pointer = on.store.pointer.canaried(CANDIDATE, 0.2, someone())
    on.poll()
    await on.conductor.look()
    return shard


async def test_a_canary_with_a_spoilt_partition_is_refused_before_anybody_else_gets_it(stage: MakeStage) -> None:
    """However well those answer who hold the others."""
    said = holding(candidate=range(1, 4))
    said.generations[1].refused.append(0)
    on = stage()
    await begun(on, said)
    on.answers(2000)
    on.clock.now += PATIENCE_S
    assert await state_after_a_look(on) is State.REFUSED
    assert (on.store.pointer.current, "shards refused partition 0" in on.store.pointer.history[-1].why) == (
        CURRENT,
        True,
    )


async def test_of_a_canary_that_is_not_warm_yet_nothing_is_counted(stage: MakeStage) -> None:
    """Shards that still load it are no evidence; that they never have it is, in the end."""
    on = stage()
    shard = await begun(on, holding(candidate=range(1, 4)))
    on.answers(2000)
    assert await state_after_a_look(on) is State.CANARY
    on.reported(shard, holding())
    await on.conductor.look()
    candidate = on.conductor.candidate()
    assert candidate is not None
    assert candidate.requests == 0
    on.answers(2000)
    assert await state_after_a_look(on) is State.CURRENT


async def test_a_canary_that_never_gets_warm_is_given_back(stage: MakeStage) -> None:
    """After as long as a rehearsal waits."""
    on = stage()
    await begun(on, holding(candidate=range(1, 4)))
    on.clock.now += 61
    assert await state_after_a_look(on) is State.PUSHED
    assert "3 of 4 partitions are warm" in on.store.pointer.history[-1].why


async def test_a_canary_that_hardly_anybody_sees_stays_one(stage: MakeStage) -> None:
    """And the status says what it waits for."""
    on = stage()
    await canary(on)
    on.answers(50)
    on.clock.now += 100_000
    assert await state_after_a_look(on) is State.CANARY
    candidate = on.conductor.candidate()
    assert candidate is not None
    assert candidate.requests == 10
    assert candidate.verdict.endswith("of 20 answers")
