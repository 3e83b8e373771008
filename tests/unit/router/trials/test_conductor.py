"""A candidate is rehearsed, shown to a few, promoted or refused, by itself, whatever shards and store are like."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from fake_shard import FakeShard, Script, answer, carousel, everything, status
from rehearsal_stage import CANDIDATE, CURRENT, Stage, holding, someone
from structlog.testing import capture_logs

from router.trials.course import Intent, Outcome, Overtaken, moved
from router.trials.suspicion import PATIENCE_S
from router.trials.unopened import WITNESS_S
from trunkshow.errors import TrunkshowError
from trunkshow.snapshot.lifecycle import LifecycleError
from trunkshow.snapshot.states import State
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

MakeStage = Callable[..., Stage]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[MakeStage]:
    """Makes a stage, and clears it away."""
    made: list[Stage] = []

    def making(canary_share: float = 0.0, *, opens: bool = True) -> Stage:
        made.append(Stage(tmp_path, canary_share, opens=opens))
        return made[-1]

    yield making
    for one in made:
        await one.close()


def by_version(current: Script, candidate: Script) -> Script:
    """One script for either version."""

    async def script(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        return await (candidate if request.snapshot_version == CANDIDATE else current)(request)

    return script


async def failing(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
    """An error for everybody."""
    raise TrunkshowError("scripted to fail")


async def gaps(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
    """Nothing personal for anybody."""
    return answer([carousel("popular", ["i0"])], [("for-you", pb.REASON_MODEL_FAILED)], version=CANDIDATE)


SAME = everything()
OTHER = everything("x")


async def state_after_a_look(stage: Stage) -> State:
    """What the candidate is after the conductor looked once, and the router polled."""
    await stage.conductor.look()
    stage.poll()
    return stage.store.pointer.states[CANDIDATE]


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


async def test_a_candidate_waits_until_it_is_warm(stage: MakeStage) -> None:
    """One partition that nobody has warm is one too few."""
    on = stage()
    shard = FakeShard(SAME)
    await on.add(shard, holding(candidate=[0, 1, 2]))
    on.shoppers()
    assert await state_after_a_look(on) is State.REHEARSING
    assert not shard.asked
    candidate = on.conductor.candidate()
    assert candidate is not None
    assert (candidate.partitions_covered, candidate.phase) == (3, "rehearsing")
    on.reported(shard, holding())
    assert await state_after_a_look(on) is State.CURRENT


async def test_a_candidate_that_never_gets_warm_is_given_back(stage: MakeStage) -> None:
    """After the time limit, naming how far it got: a shard's disk is full, which is not the candidate's doing."""
    on = stage()
    await on.add(FakeShard(SAME), holding(candidate=[0]))
    assert await state_after_a_look(on) is State.REHEARSING
    on.clock.now += 61
    assert await state_after_a_look(on) is State.PUSHED
    assert "1 of 4 partitions" in on.store.pointer.history[-1].why


async def refused_after_the_patience(on: Stage) -> None:
    """It is not tried meanwhile, and refused as soon as that ends."""
    assert await state_after_a_look(on) is State.REHEARSING
    on.clock.now += PATIENCE_S
    assert await state_after_a_look(on) is State.REFUSED


async def test_a_candidate_whose_partition_shards_refuse_is_refused(stage: MakeStage) -> None:
    """Nobody waits for long for a file that fails its checksum."""
    on = stage()
    said = holding(candidate=[0, 1, 2])
    said.generations[-1].refused.append(3)
    await on.add(FakeShard(SAME), said)
    await refused_after_the_patience(on)
    assert "shards refused partition 3" in on.store.pointer.history[-1].why


async def test_a_candidate_whose_copies_of_users_shards_refuse_is_refused(stage: MakeStage) -> None:
    """However well it would answer while every home is there."""
    on = stage()
    said = holding()
    said.generations[-1].refused_stand_ins.append(3)
    await on.add(FakeShard(SAME), said)
    await refused_after_the_patience(on)
    assert "shards refused the copies of the users of partition 3" in on.store.pointer.history[-1].why


@pytest.mark.parametrize("what", ["refused", "refused_stand_ins"])
async def test_one_bad_disk_refuses_no_candidate_that_another_shard_has_still_to_open(
    stage: MakeStage, what: str
) -> None:
    """Opening is paced: shards are seconds apart. Who opens it later has a good copy."""
    on = stage()
    other, bad = FakeShard(SAME), holding(candidate=[0, 1, 2] if what == "refused" else range(4))
    getattr(bad.generations[-1], what).append(3)
    await on.add(FakeShard(SAME), bad)
    await on.add(other, status(CURRENT, range(4)))
    for _ in range(3):
        assert await state_after_a_look(on) is State.REHEARSING
        on.clock.now += 2 * PATIENCE_S
    good = holding()
    good.generations[-1].stand_ins.append(3)
    on.reported(other, good)
    assert await state_after_a_look(on) is State.CURRENT


async def test_what_shards_refused_is_not_forgiven_because_one_never_had_a_look(stage: MakeStage) -> None:
    """In the end what was found in it counts, although nobody can tell what that one would have found."""
    on = stage()
    bad = holding(candidate=[0, 1, 2])
    bad.generations[-1].refused.append(3)
    await on.add(FakeShard(SAME), bad)
    await on.add(FakeShard(SAME), status(CURRENT, range(4)))
    assert await state_after_a_look(on) is State.REHEARSING
    on.clock.now += 61
    assert await state_after_a_look(on) is State.REFUSED
    assert "shards refused partition 3" in on.store.pointer.history[-1].why


async def test_a_partition_that_another_shard_is_loading_is_waited_for(stage: MakeStage) -> None:
    """One bad disk is no bad snapshot."""
    on = stage()
    bad, good = holding(candidate=[0, 1, 2]), holding(candidate=[0, 1, 2])
    bad.generations[-1].refused.append(3)
    good.generations[-1].loading.append(3)
    await on.add(FakeShard(SAME), bad)
    await on.add(FakeShard(SAME), good)
    assert await state_after_a_look(on) is State.REHEARSING


async def test_a_candidate_that_this_router_refuses_is_refused(stage: MakeStage) -> None:
    """Its directory failed a check here, which routers alone read; told once."""
    on = stage()
    on.refused[CANDIDATE] = "directory/homes.npy: checksum"
    assert await state_after_a_look(on) is State.REFUSED
    assert "checksum" in on.store.pointer.history[-1].why
    moves = on.store.moves
    await on.conductor.look()
    assert on.store.moves == moves


async def test_a_candidate_that_this_machine_alone_spoils_is_left_to_the_others(stage: MakeStage) -> None:
    """A shard has the same files open. It is told once, and given back in the end where no other router tries it."""
    on = stage(opens=False)
    on.refused[CANDIDATE], on.spoilt = "catalogue/ids.lmdb: checksum", {CANDIDATE}
    await on.add(FakeShard(SAME), holding(candidate=[]))
    with capture_logs() as logs:
        for _ in range(2):
            assert await state_after_a_look(on) is State.REHEARSING
            on.clock.now += WITNESS_S
    assert [one["event"] for one in logs].count("snapshot.refused_alone") == 1
    on.clock.now += 1
    assert await state_after_a_look(on) is State.PUSHED
    assert "could not open it within 60 s" in on.store.pointer.history[-1].why


async def test_a_shard_that_opens_it_a_little_later_is_heard(stage: MakeStage) -> None:
    """It fetches the same files at the same time, at its own pace."""
    on, shard = stage(opens=False), FakeShard(SAME)
    on.refused[CANDIDATE], on.spoilt = "catalogue/ids.lmdb: checksum", {CANDIDATE}
    await on.add(shard, status(CURRENT, range(4)))
    assert await state_after_a_look(on) is State.REHEARSING
    on.clock.now += 0.9 * WITNESS_S
    on.reported(shard, holding(candidate=[]))
    assert await state_after_a_look(on) is State.REHEARSING
    on.reported(shard, status(CURRENT, range(4)))
    on.clock.now += 0.2 * WITNESS_S
    assert await state_after_a_look(on) is State.REHEARSING


async def test_a_candidate_whose_files_no_shard_opens_either_is_refused(stage: MakeStage) -> None:
    """They are spoilt in the store."""
    on = stage(opens=False)
    on.refused[CANDIDATE], on.spoilt = "catalogue/ids.lmdb: checksum", {CANDIDATE}
    await on.add(FakeShard(SAME), status(CURRENT, range(4)))
    assert await state_after_a_look(on) is State.REHEARSING
    on.clock.now += WITNESS_S
    assert await state_after_a_look(on) is State.REFUSED
    assert "checksum" in on.store.pointer.history[-1].why


async def test_a_candidate_that_cannot_be_opened_here_is_given_back(stage: MakeStage) -> None:
    """This router's disk is full, or the store does not bring it: as often as it is tried, and never for good."""
    on = stage(opens=False)
    for _ in range(2):
        assert await state_after_a_look(on) is State.REHEARSING
        on.clock.now += 59
        assert await state_after_a_look(on) is State.REHEARSING
        on.clock.now += 2
        assert await state_after_a_look(on) is State.PUSHED
        assert "could not open it within 60 s" in on.store.pointer.history[-1].why
        on.store.pointer = on.store.pointer.rehearsed(CANDIDATE, 0.0, someone())
        on.poll()


async def test_a_canary_that_cannot_be_opened_here_is_left_to_those_who_show_it(stage: MakeStage) -> None:
    """Somebody could, or it were none."""
    on = stage(opens=False)
    on.store.pointer = on.store.pointer.canaried(CANDIDATE, 0.2, someone())
    assert await state_after_a_look(on) is State.CANARY
    on.clock.now += 61
    assert await state_after_a_look(on) is State.CANARY


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


# --- canary ---


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
