"""What a shard follows may say anything: its tasks outlive that, what is warm is served, and it is told and counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from operator import attrgetter
from typing import Any

import pytest
from datasets import Built
from structlog.testing import capture_logs

from shard.keeper import Keeper
from shard.scene import Limits
from trunkshow.serving import metrics
from trunkshow.serving.tasks import Tasks
from trunkshow.snapshot.folder_store import FolderStore
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.v1 import shard_pb2 as pb

OWN = "own:1"
WITHIN_S = 60


class OddStore(FolderStore):
    """A folder whose pointer is, for some looks, what nobody foresaw."""

    odd = 0
    looks = 0

    def pointer(self) -> Pointer:
        """As the folder has it, but for some looks."""
        self.looks += 1
        if self.odd:
            self.odd -= 1
            raise ZeroDivisionError("scripted")
        return super().pointer()


class Shard:
    """A shard's tasks, on a store that may say anything."""

    def __init__(self, store: OddStore) -> None:
        self.store = store
        self.tasks = Tasks()
        limits = Limits(1 << 30, 60.0)
        self.keeper = Keeper(store, OWN, replicas=1, limits=limits, warm_requests=1, changed=lambda: None)
        self.keeper.joined((OWN,))

    def begin(self) -> None:
        """As a process does."""
        self.tasks.begin("keeper", self.keeper.run())
        self.tasks.begin("pointer", self.keeper.follow(0.001))

    async def until(self, so: Callable[[], object]) -> None:
        """Until something is so; the tasks run meanwhile."""
        async with asyncio.timeout(WITHIN_S):
            while not so():
                self.tasks.check()
                await asyncio.sleep(0.001)


@pytest.fixture
async def shard(built: Built) -> AsyncIterator[Shard]:
    """One that has not begun."""
    made = Shard(OddStore(built.store))
    yield made
    await made.tasks.close()
    made.keeper.close()


def failures(event: str) -> float:
    """Looks that raised, as Prometheus has them."""
    return metrics.REGISTRY.get_sample_value("trunkshow_looks_failed_total", {"event": event}) or 0.0


def events(logs: list[Any]) -> list[str]:
    """What was said."""
    return [line["event"] for line in logs]


async def test_a_pointer_that_nobody_foresaw_is_looked_at_again(shard: Shard) -> None:
    """Before there is anything to serve: the shard becomes ready with the first pointer that makes sense."""
    shard.store.odd, before = 3, failures("pointer.failed")
    with capture_logs() as logs:
        shard.begin()
        await asyncio.wait_for(shard.keeper.ready(), WITHIN_S)
    assert events(logs).count("pointer.failed") == 1
    assert failures("pointer.failed") == before + 3
    shard.tasks.check()


async def test_a_pointer_that_nobody_foresaw_takes_nothing_away(shard: Shard) -> None:
    """Of what is served already; and the next one is followed."""
    shard.begin()
    await asyncio.wait_for(shard.keeper.ready(), WITHIN_S)
    shard.store.odd = 3
    await shard.until(lambda: not shard.store.odd)
    looks = shard.store.looks
    await shard.until(lambda: shard.store.looks > looks + 1)
    assert shard.keeper.state() == pb.SHARD_STATE_READY


@pytest.mark.parametrize(("part", "event"), [("tend", "keeper.failed"), ("lanes.bring_next", "opener.failed")])
async def test_a_plan_or_an_opening_that_breaks_is_told_and_tried_again(
    shard: Shard, monkeypatch: pytest.MonkeyPatch, part: str, event: str
) -> None:
    """What it broke at was said by others, and passes."""
    works, broken, before = attrgetter(part)(shard.keeper), 2, failures(event)

    def breaks() -> Any:
        nonlocal broken
        if broken:
            broken -= 1
            raise ZeroDivisionError("scripted")
        return works()

    async def breaks_later() -> None:
        await (breaks() or asyncio.sleep(0))

    of = shard.keeper if part == "tend" else shard.keeper.lanes
    monkeypatch.setattr(of, part.split(".")[-1], breaks if part == "tend" else breaks_later)
    with capture_logs() as logs:
        shard.begin()
        await asyncio.wait_for(shard.keeper.ready(), WITHIN_S)
    assert events(logs).count(event) == 1
    assert failures(event) == before + 2
