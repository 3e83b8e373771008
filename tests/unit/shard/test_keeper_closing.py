"""What is served no more is closed, once everybody has what comes instead and nobody reads it: a few at a time."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from keeper_stage import EVERYTHING, WHO, Stage, Store

from shard.forgetting import HELD_S
from shard.holdings import LINGER_S
from shard.scene import Kind
from trunkshow.v1 import shard_pb2 as pb


async def test_what_is_read_is_not_closed(stage: Stage) -> None:
    """A request that began before goes on to its end; later ones do not see the partition."""
    await stage.settle()
    held = stage.keeper.generations[stage.pointer.current]
    going = held.warm[1]
    with held.uses.reading():
        held.drop(next(piece for piece in held.pieces if piece.number == 1 and piece.kind is Kind.HOME))
        assert 1 not in held.warm
        assert going.user(going.sample_users(1)[0]) is not None
        assert held.uses.waiting == 1
    assert held.uses.waiting == 0


async def test_a_swap_keeps_what_was_serving_until_the_new_version_is_everywhere(stage: Stage) -> None:
    """Of two versions that are both not current any more, none is closed before."""
    first, second = stage.pointer.previous, stage.pointer.current
    back = stage.pointer.rolled_back(WHO)
    await stage.settle(back)
    assert (back.current, stage.warm()) == (first, {first: EVERYTHING})
    assert second not in stage.keeper.generations


async def test_what_is_closed_for_good_is_forgotten_by_the_store(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its copies go; those of what may be rolled back to do not."""
    forgotten: list[str] = []
    monkeypatch.setattr(Store, "forget", lambda _, version: forgotten.append(version))
    await stage.settle()
    before = list(forgotten)
    stage.keeper.pointed(stage.pointer.rolled_back(WHO))
    stage.keeper.tend()
    stage.now += LINGER_S
    await stage.settle(stage.pointer.rolled_back(WHO))
    assert (before, forgotten) == ([], [stage.pointer.current])


def is_mapped(version: str) -> bool:
    """Whether this process has any of a version's files mapped."""
    return f"/{version}/" in Path("/proc/self/maps").read_text(encoding="utf-8")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what is mapped")
async def test_what_is_closed_for_good_is_mapped_no_more(stage: Stage) -> None:
    """Also where something that holds it is held in a circle, as tasks that ended are: the collector may come late."""
    await stage.settle()
    current = stage.pointer.current
    circle: list[object] = [stage.keeper.generations[current].snapshot]
    circle.append(circle)
    del circle
    gc.disable()
    try:
        stage.keeper.pointed(stage.pointer.rolled_back(WHO))
        stage.keeper.tend()
        stage.now += LINGER_S
        await stage.settle(stage.pointer.rolled_back(WHO))
        assert is_mapped(current)  # somebody may be at it still, who lets go by themselves
        stage.now += HELD_S
        await stage.keeper.opening.forgetting.look()
    finally:
        gc.enable()
    assert current not in stage.keeper.generations
    assert not is_mapped(current)


async def test_what_is_closed_is_closed_a_few_at_a_time(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """All at once would keep every request waiting, in every shard at the same moment."""
    monkeypatch.setattr("shard.keeper.CLOSED_AT_ONCE", 1)
    await stage.settle()
    gone = stage.pointer.current
    stage.keeper.pointed(stage.pointer.rolled_back(WHO))
    stage.keeper.tend()
    stage.now += LINGER_S
    for left in reversed(range(len(stage.keeper.generations[gone].pieces))):
        stage.keeper._poked.clear()
        stage.keeper.tend()
        assert len(stage.keeper.generations[gone].pieces if left else ()) == left
        assert stage.keeper._poked.is_set() is bool(left)  # the next turn comes at once, where something is left
    assert gone not in stage.keeper.generations


async def test_a_rollback_needs_no_loading_and_the_poisoned_version_goes(stage: Stage) -> None:
    """Ready at once: the previous version was open all along."""
    await stage.settle()
    stage.keeper.pointed(stage.pointer.rolled_back(WHO))
    stage.keeper.tend()
    at_once = stage.state
    stage.now += LINGER_S
    stage.keeper.tend()
    assert (at_once, stage.warm()) == (pb.SHARD_STATE_READY, {stage.pointer.previous: EVERYTHING})
