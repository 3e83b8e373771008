"""A store that does not come back with files: what hangs holds up neither what is served nor one another."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import pytest
from keeper_stage import EVERYTHING, NEIGHBOUR, OWN, PARTITIONS, Stage, Store

from shard import opening
from shard.opening import HANGS_S, HELD_UP_S
from trunkshow.snapshot.states import State

WITHIN_S = 60


class Hanging:
    """A store that does not come back with the partitions of one version, or so many of them."""

    def __init__(self, stage: Stage, version: str, monkeypatch: pytest.MonkeyPatch, times: float = math.inf) -> None:
        self.asked = threading.Event()
        self.go = threading.Event()
        self.hung = 0
        ensure = Store.ensure

        def hangs(store: Store, of: str, files: Collection[str]) -> Path:
            if of == version and self.hung < times and any(path.startswith("partitions/") for path in files):
                self.hung += 1
                self.asked.set()
                self.go.wait(WITHIN_S)
            return ensure(store, of, files)

        monkeypatch.setattr(Store, "ensure", hangs)
        self.pointer = replace(stage.pointer, states={stage.pointer.current: State.CURRENT, version: State.REHEARSING})

    async def until(self, so: Callable[[], object]) -> None:
        """Bounded: what is waited for is done by threads."""
        async with asyncio.timeout(WITHIN_S):
            while not so():  # noqa: ASYNC110  # a thread sets no event of ours
                await asyncio.sleep(0.002)


async def test_a_candidate_whose_files_hang_does_not_hold_up_what_is_served(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A neighbour leaves meanwhile, and what it had is in this shard's own cache."""
    current, candidate = stage.pointer.current, stage.pointer.previous
    await stage.settle(replace(stage.pointer, states={current: State.CURRENT}), members=(OWN, NEIGHBOUR))
    store = Hanging(stage, candidate, monkeypatch)
    keeper = stage.keeper
    keeper.pointed(store.pointer)
    keeper.tend()
    await keeper.lanes.bring_next()  # what its partitions share
    keeper.tend()
    hung = asyncio.ensure_future(keeper.lanes.bring_next())
    await store.until(store.asked.is_set)
    keeper.joined((OWN,))
    keeper.tend()
    await keeper.lanes.pass_by()
    assert stage.warm()[current] == [0, 2]  # not before it is clear that it hangs
    stage.now += HELD_UP_S
    for _ in range(2 * PARTITIONS):
        await keeper.lanes.pass_by()
    assert stage.warm() == {current: EVERYTHING, candidate: []}
    store.go.set()
    await hung
    assert len(stage.warm()[candidate]) == 1


async def test_partitions_whose_files_hang_do_not_hold_up_the_others_of_what_is_served(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """These may be in this shard's own cache; each that hangs, too, has its own time to show that it does."""
    current = stage.pointer.current
    store = Hanging(stage, current, monkeypatch, times=2)
    keeper = stage.keeper
    keeper.joined((OWN,))
    keeper.pointed(replace(stage.pointer, states={current: State.CURRENT}))
    keeper.tend()
    await keeper.lanes.bring_next()  # what its partitions share
    keeper.tend()
    hung = []
    for lane in (keeper.lanes.bring_next, keeper.lanes.pass_by):
        hung.append(asyncio.ensure_future(lane()))
        await store.until(lambda: store.hung == len(hung))
        stage.now += HELD_UP_S
        await keeper.lanes.pass_by()
        assert stage.warm()[current] == []  # not before it is clear that it hangs
        stage.now += HANGS_S - HELD_UP_S
    for _ in range(2 * PARTITIONS):
        await keeper.lanes.pass_by()
    assert len(stage.warm()[current]) == PARTITIONS - 2
    store.go.set()
    await asyncio.gather(*hung)
    assert stage.warm()[current] == EVERYTHING


async def test_what_a_thread_reads_that_nobody_waits_for_any_more_stays_open(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its version was refused meanwhile; to unmap what is being read would end the process."""
    current, candidate = stage.pointer.current, stage.pointer.previous
    await stage.settle(replace(stage.pointer, states={current: State.CURRENT}))
    store = Hanging(stage, candidate, monkeypatch)
    keeper = stage.keeper
    keeper.pointed(store.pointer)
    keeper.tend()
    await keeper.lanes.bring_next()
    keeper.tend()
    monkeypatch.setattr(opening, "OPEN_WITHIN_S", 0.01)
    await keeper.lanes.bring_next()
    await store.until(store.asked.is_set)
    keeper.pointed(replace(store.pointer, states={current: State.CURRENT, candidate: State.REFUSED}))
    keeper.tend()
    assert candidate in keeper.generations
    store.go.set()
    await store.until(lambda: not keeper.opening._read)
    keeper.tend()
    assert candidate not in keeper.generations
