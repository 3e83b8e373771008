"""A snapshot that is closed ends its own reading of new items, and nobody else's."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

from followed_log import FollowedLog

from trunkshow.online.growth import Growth
from trunkshow.snapshot.additions import Addition
from trunkshow.snapshot.likeness import Description
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import events_pb2, log_pb2


def opened(version: str) -> Snapshot:
    """As much of a snapshot as is read for."""
    catalogue: Any = SimpleNamespace(additions=())
    return cast("Snapshot", SimpleNamespace(version=version, likeness=None, catalogue=catalogue))


async def reads(log: FollowedLog, count: int) -> None:
    """Return once the log was followed so many times."""
    async with asyncio.timeout(60):
        while len(log.reads) < count:  # noqa: ASYNC110 - the reader is not ours
            await asyncio.sleep(0.001)


async def test_a_snapshot_that_is_closed_ends_nothing_but_its_own_reading() -> None:
    """A process whose version is rolled back goes on to read for those that are open, and for those that come."""
    log = FollowedLog()
    growth = Growth(log)
    running = asyncio.ensure_future(growth.run())
    growth.only({"v1": opened("v1"), "v2": opened("v2")})
    await reads(log, 2)
    growth.dismiss("v2")
    for _ in range(20):
        await asyncio.sleep(0)
    assert not running.done()
    growth.admit(opened("v3"))
    await reads(log, 3)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_a_snapshot_that_is_closed_is_held_by_nobody_who_read_for_it() -> None:
    """Its files would stay mapped until the collector comes by, or another snapshot does."""

    class Opened:
        """A snapshot that can be missed."""

        version = "v1"
        catalogue: Any = SimpleNamespace(additions=())

    log = FollowedLog()
    growth = Growth(log)
    running = asyncio.ensure_future(growth.run())
    snapshot = Opened()
    gone = weakref.ref(snapshot)
    growth.admit(cast("Snapshot", snapshot))
    await reads(log, 1)
    gc.disable()
    try:
        del snapshot
        growth.dismiss("v1")
        for _ in range(20):
            await asyncio.sleep(0)
        assert gone() is None
    finally:
        gc.enable()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_an_item_is_listed_at_once_and_what_it_is_placed_by_is_worked_out_only_then() -> None:
    """That takes the better part of a second of a processor, and far longer beside requests; an item does not wait."""
    told: list[str] = []
    may_go_on = threading.Event()

    class Opened:
        """A snapshot that tells what is asked of it."""

        version = "v1"
        catalogue: Any = SimpleNamespace(additions=SimpleNamespace(items=(Addition("hat", Description()),)))

        @property
        def likeness(self) -> None:
            """Asked for."""
            told.append("likeness")
            assert may_go_on.wait(60)

        def add(self, items: Sequence[Addition], *, at_once: bool) -> bool:
            """Items came."""
            assert at_once
            told.extend(item.id for item in items)
            return False

        def place(self, item_ids: Sequence[str]) -> None:
            """Items get their vectors."""
            told.extend(f"{one} placed" for one in item_ids)

    async def are_told(*wanted: str) -> None:
        async with asyncio.timeout(60):
            while not set(wanted) <= set(told):  # noqa: ASYNC110 - the reader is not ours
                await asyncio.sleep(0.001)

    log = FollowedLog()
    growth = Growth(log)
    running = asyncio.ensure_future(growth.run())
    growth.admit(cast("Snapshot", Opened()))
    await reads(log, 1)
    assert told == []
    for item in ("hat", "cap"):
        log.records.append(log_pb2.Record(items=[events_pb2.NewItem(id=item)]))
    log.turn()
    await are_told("hat", "cap", "likeness")
    assert "hat placed" not in told
    may_go_on.set()
    await are_told("hat placed")
    assert sorted(told) == ["cap", "hat", "hat placed", "likeness"]
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
