"""A disk that does not come back with the removal of what was closed: it is told of, and holds up no opening."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
from keeper_stage import EVERYTHING, NEIGHBOUR, OWN, WHO, Stage, Store
from structlog.testing import capture_logs

from shard import forgetting
from shard.forgetting import HELD_S
from shard.holdings import LINGER_S, TURN_S
from trunkshow.serving import metrics
from trunkshow.snapshot.states import State

WITHIN_S = 60


class Disk:
    """Hangs in removals until it is told to go on.

    Attributes:
        asked: versions to be removed, as they were begun.
        forgetting: of the shard.
    """

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.go = threading.Event()
        self.forgetting = stage.keeper.opening.forgetting
        monkeypatch.setattr(Store, "forget", lambda _, version: self._hangs(version))

    def _hangs(self, version: str) -> None:
        self.asked.append(version)
        self.go.wait(WITHIN_S)

    async def until(self, so: Callable[[], object]) -> None:
        """Bounded: what is waited for is done by threads."""
        async with asyncio.timeout(WITHIN_S):
            while not so():  # noqa: ASYNC110  # a thread sets no event of ours
                await asyncio.sleep(0.002)

    async def comes_back(self) -> None:
        """With what it was asked for last."""
        self.go.set()
        await self.until(lambda: not self.forgetting.leaving and not self.forgetting._threads._stuck)


@pytest.fixture
async def disk(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Disk]:
    """That of the stage's store."""
    made = Disk(stage, monkeypatch)
    yield made
    await made.comes_back()


def close_all(stage: Stage) -> None:
    """Whatever is open, and by nobody's wish."""
    opening = stage.keeper.opening
    for piece in opening.pieces:
        opening.drop(piece)
    opening.close_but([])
    stage.now += HELD_S


async def test_a_removal_that_hangs_holds_up_no_opening(stage: Stage, disk: Disk) -> None:
    """Another shard leaves meanwhile, and nobody else has what it had; what is removed stays closed."""
    current, previous = stage.pointer.current, stage.pointer.previous
    await stage.settle(members=(OWN, NEIGHBOUR))
    keeper, begin = stage.keeper, stage.keeper.lanes.beginning()
    keeper.pointed(replace(stage.pointer, states={current: State.CURRENT, previous: State.REFUSED}))
    keeper.tend()
    stage.now += LINGER_S + TURN_S
    keeper.tend()
    assert [*stage.warm()] == [current]
    stage.now += HELD_S
    keeper.joined((OWN,))
    begin()
    await disk.until(lambda: disk.asked)

    def whole() -> bool:
        keeper.tend()
        begin()
        return stage.warm()[current] == EVERYTHING

    await disk.until(whole)
    hung = disk.forgetting.leaving
    disk.go.set()
    await asyncio.gather(*asyncio.all_tasks().difference({asyncio.current_task()}))  # what the lanes are at
    assert (disk.asked, hung) == ([previous], {previous})


async def test_what_is_to_be_removed_is_not_opened_from_then_on(stage: Stage, disk: Disk) -> None:
    """Also before a thread has begun with it, which may be late: it would remove what was fetched."""
    await stage.settle()
    current = stage.pointer.current
    close_all(stage)
    looking = asyncio.ensure_future(disk.forgetting.look())
    await asyncio.sleep(0)  # as far as the first removal
    (leaving,) = disk.forgetting.leaving
    assert stage.keeper.opening.next([leaving]) is None
    disk.go.set()
    await looking
    assert stage.keeper.opening.next([current]) == current


async def test_what_is_being_opened_is_not_forgotten(stage: Stage, disk: Disk) -> None:
    """The same version again: what it fetches would be removed. It is forgotten once it was closed again."""
    disk.go.set()
    await stage.settle()
    current = stage.pointer.current
    close_all(stage)
    opening = asyncio.ensure_future(stage.keeper.opening.bring(current, ""))
    await asyncio.sleep(0)  # it is under way
    await disk.forgetting.look()
    assert await opening is None
    await disk.forgetting.look()
    meanwhile = [*disk.asked]
    close_all(stage)
    await disk.forgetting.look()
    assert (current in meanwhile, disk.asked.count(current)) == (False, 1)


async def test_what_is_being_forgotten_is_not_opened_again(
    stage: Stage, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was fetched meanwhile would be removed; and what is closed meanwhile is forgotten later."""
    monkeypatch.setattr(forgetting, "FORGET_WITHIN_S", 0.2)
    current, previous = stage.pointer.current, stage.pointer.previous
    back = stage.pointer.rolled_back(WHO)
    await stage.settle()
    await stage.settle(back)
    stage.now += LINGER_S
    await stage.settle(back)
    await stage.settle()
    assert (disk.asked, [*stage.warm()]) == ([current], [previous])
    close_all(stage)
    await disk.forgetting.look()
    assert (disk.asked, stage.warm()) == ([current], {})
    await disk.comes_back()
    await disk.forgetting.look()
    assert disk.asked == [current, previous]
    await stage.settle()
    assert stage.warm()[current] == EVERYTHING


async def test_a_disk_that_does_not_remove_what_was_closed_is_told_of_once(
    stage: Stage, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fills up, and nothing else shows it."""
    monkeypatch.setattr(forgetting, "FORGET_WITHIN_S", 0.01)
    counted = "trunkshow_shard_not_forgotten_total"
    before = metrics.REGISTRY.get_sample_value(counted) or 0.0
    await stage.settle()
    versions = {*stage.keeper.generations}
    close_all(stage)
    with capture_logs() as logs:
        await disk.forgetting.look()
        await disk.forgetting.look()
    told = [one for one in logs if one["event"] == "snapshot.not_forgotten"]
    assert [(one["log_level"], one["snapshot"] in versions) for one in told] == [("error", True)]
    assert (len(versions), metrics.REGISTRY.get_sample_value(counted)) == (2, before + 1)


async def test_those_behind_one_whose_removal_raises_are_removed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """No store is to raise there; if one does, it has cost that version's removal alone."""
    asked: list[str] = []

    def raises(_: Store, version: str) -> None:
        asked.append(version)
        raise OSError("scripted")

    await stage.settle()
    versions = [*stage.keeper.generations]
    close_all(stage)
    monkeypatch.setattr(Store, "forget", raises)
    for _ in versions:
        with pytest.raises(OSError, match="scripted"):
            await stage.keeper.opening.forgetting.look()
    assert (sorted(asked), stage.keeper.opening.forgetting.leaving) == (sorted(versions), frozenset())
