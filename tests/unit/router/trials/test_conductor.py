"""A candidate is rehearsed, promoted or refused, by itself, whatever the store and other routers are like."""

from __future__ import annotations

from pathlib import Path

import pytest
from conductor_stage import OTHER, SAME, MakeStage, by_version, failing, gaps, state_after_a_look
from fake_shard import FakeShard, Script
from rehearsal_stage import CANDIDATE, CURRENT, Stage, holding, someone

from router.trials.course import Intent, Outcome, Overtaken, moved
from trunkshow.snapshot.lifecycle import LifecycleError
from trunkshow.snapshot.states import State
from trunkshow.v1 import shard_pb2

# --- rehearsal ---


async def test_a_candidate_that_answers_alike_is_promoted(stage: MakeStage) -> None:
    """Where no share of users was asked for."""
    on = stage()
    await on.add(FakeShard(SAME), holding())
    on.shoppers()
    assert await state_after_a_look(on) is State.CURRENT
    assert on.store.pointer.previous == CURRENT


async def test_the_history_tells_what_was_measured(stage: MakeStage) -> None:
    """So that whoever waits for the push reads it there."""
    on = stage()
    await on.add(FakeShard(SAME), holding())
    on.shoppers()
    await on.conductor.look()
    assert " requests: overlap@k 1.00, p99 " in on.store.pointer.history[-1].why


async def test_a_candidate_that_passes_becomes_a_canary_where_one_was_asked_for(stage: MakeStage) -> None:
    """For the share that was asked for."""
    on = stage(canary_share=0.2)
    await on.add(FakeShard(SAME), holding())
    on.shoppers()
    assert await state_after_a_look(on) is State.CANARY
    assert on.store.pointer.canary_share == 0.2


@pytest.mark.parametrize(
    ("candidate", "why"), [(OTHER, "overlap@k"), (failing, "errors rose"), (gaps, "coverage fell")]
)
async def test_a_candidate_that_breaks_a_limit_is_refused(stage: MakeStage, candidate: Script, why: str) -> None:
    """What was serving goes on, and the history says why."""
    on = stage()
    await on.add(FakeShard(by_version(SAME, candidate)), holding())
    on.shoppers()
    assert await state_after_a_look(on) is State.REFUSED
    assert on.store.pointer.current == CURRENT
    assert why in on.store.pointer.history[-1].why


async def test_a_current_version_that_does_not_answer_proves_nothing(stage: MakeStage) -> None:
    """There is nothing to compare with: the candidate neither passes nor fails."""
    on = stage()
    await on.add(FakeShard(by_version(failing, OTHER)), holding())
    on.shoppers()
    assert await state_after_a_look(on) is State.PUSHED


async def test_requests_are_asked_of_both_versions(stage: MakeStage) -> None:
    """The same ones, as they came."""
    on = stage()
    shard = FakeShard(SAME)
    await on.add(shard, holding())
    on.shoppers(8)
    await on.conductor.look()
    asked = {CURRENT: [], CANDIDATE: []}
    for one in shard.asked:
        asked[one.snapshot_version].append(one.request)
    assert sorted(asked[CURRENT]) == sorted(asked[CANDIDATE])
    assert len(asked[CURRENT]) == 8


async def test_without_recent_requests_some_are_made_up(stage: MakeStage) -> None:
    """A router that has just started holds nobody up: strangers with items in hand are folded in on both."""
    on = stage()
    shard = FakeShard(SAME)
    await on.add(shard, holding())
    assert await state_after_a_look(on) is State.CURRENT
    assert {bool(one.vector) for one in shard.asked} == {True}


async def test_made_up_requests_find_a_bad_candidate_too(stage: MakeStage) -> None:
    """They are no formality."""
    on = stage()
    await on.add(FakeShard(by_version(SAME, OTHER)), holding())
    assert await state_after_a_look(on) is State.REFUSED


async def test_a_busy_router_replays_nothing_and_gives_the_candidate_back(stage: MakeStage) -> None:
    """Shoppers come first; in the end it is withdrawn, not refused: nothing was found against it."""
    on = stage()
    shard = FakeShard(SAME)
    await on.add(shard, holding())
    on.shoppers()
    on.busy = True
    assert await state_after_a_look(on) is State.PUSHED
    assert not shard.asked


async def test_a_candidate_that_is_withdrawn_meanwhile_is_left_alone(stage: MakeStage) -> None:
    """No move is made for it."""
    on = stage()

    async def withdrawing(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        if on.store.pointer.candidate:
            on.store.pointer = on.store.pointer.withdrawn(someone())
            on.poll()
        return await SAME(request)

    await on.add(FakeShard(withdrawing), holding())
    on.shoppers()
    assert await state_after_a_look(on) is State.PUSHED
    assert on.store.moves == 0


async def test_a_candidate_that_comes_back_is_tried_anew(stage: MakeStage) -> None:
    """What was withdrawn for want of comparisons passes once there are some."""
    on = stage()
    await on.add(FakeShard(SAME), holding())
    on.shoppers()
    on.busy = True
    assert await state_after_a_look(on) is State.PUSHED
    on.store.pointer = on.store.pointer.rehearsed(CANDIDATE, 0.0, someone())
    on.opened(CANDIDATE)
    on.poll()
    on.busy = False
    assert await state_after_a_look(on) is State.CURRENT


# --- the store, and other routers ---


async def test_a_verdict_waits_for_a_store_that_is_gone(stage: MakeStage) -> None:
    """It is told later, and nothing is replayed again for that."""
    on = stage()
    shard = FakeShard(SAME)
    await on.add(shard, holding())
    on.shoppers()
    on.store.gone = True
    assert await state_after_a_look(on) is State.REHEARSING
    replayed = len(shard.asked)
    on.store.gone = False
    assert await state_after_a_look(on) is State.REHEARSING  # not at once: a store that fails is not hammered
    on.clock.now += 3
    assert await state_after_a_look(on) is State.CURRENT
    assert len(shard.asked) == replayed


async def test_another_routers_verdict_wins_where_it_came_first(stage: MakeStage) -> None:
    """Ours comes too late, and moves nothing."""
    on = stage()
    await on.add(FakeShard(SAME), holding())
    on.shoppers()

    def other_router() -> None:
        if on.store.pointer.candidate:
            on.store.pointer = on.store.pointer.refused(CANDIDATE, someone())

    on.store.before_move = other_router
    assert await state_after_a_look(on) is State.REFUSED
    assert on.store.moves == 0


async def test_a_pin_keeps_a_verdict_waiting(stage: MakeStage) -> None:
    """Promoted after unpinning, without another rehearsal."""
    on = stage()
    shard = FakeShard(SAME)
    await on.add(shard, holding())
    on.shoppers()
    on.store.pointer = on.store.pointer.with_pin(someone())
    on.poll()
    assert await state_after_a_look(on) is State.REHEARSING
    replayed = len(shard.asked)
    assert await state_after_a_look(on) is State.REHEARSING
    on.store.pointer = on.store.pointer.without_pin(someone())
    on.poll()
    assert await state_after_a_look(on) is State.CURRENT
    assert len(shard.asked) == replayed


def test_a_move_is_made_from_the_phase_that_was_tried_alone(tmp_path: Path) -> None:
    """A verdict about a rehearsal says nothing of a canary."""
    stage = Stage(tmp_path, 0.1)
    canary = stage.store.pointer.canaried(CANDIDATE, 0.1, someone())
    intent = Intent(Outcome.PASSED, "passed")
    with pytest.raises(Overtaken, match="v2 is canary"):
        moved(canary, version=CANDIDATE, phase=State.REHEARSING, intent=intent, who=someone())
    assert issubclass(Overtaken, LifecycleError)


async def test_after_the_last_verdict_there_is_no_candidate(stage: MakeStage) -> None:
    """The status has none, and looking does nothing."""
    on = stage()
    await on.add(FakeShard(SAME), holding())
    await on.conductor.look()
    on.poll()
    moves = on.store.moves
    await on.conductor.look()
    assert on.conductor.candidate() is None
    assert on.store.moves == moves
