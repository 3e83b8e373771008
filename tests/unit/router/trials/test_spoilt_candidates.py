"""A candidate that shards or this router cannot open: waited for, given back, or refused for everybody."""

from __future__ import annotations

import pytest
from conductor_stage import SAME, MakeStage, state_after_a_look
from fake_shard import FakeShard, status
from rehearsal_stage import CANDIDATE, CURRENT, Stage, holding, someone
from structlog.testing import capture_logs

from router.trials.suspicion import PATIENCE_S
from router.trials.unopened import WITNESS_S
from trunkshow.snapshot.states import State


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
