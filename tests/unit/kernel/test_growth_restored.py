"""New items come to snapshots that are open, also where their log was restored from an older copy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import cast

from memory_log import MemoryLog
from structlog.testing import capture_logs
from told_snapshot import Opened

from trunkshow.online.growth import Growth
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import events_pb2


async def tell(log: MemoryLog, *items: str) -> None:
    """One record each."""
    for item in items:
        await log.tell([events_pb2.NewItem(id=item)], 1)


async def turn(seconds: float) -> None:
    """A sleep that lets others have a turn, and takes no time."""
    del seconds
    await asyncio.sleep(0)


async def until(true: Callable[[], bool]) -> None:
    """Give others turns until something is so; what is worked out in a thread takes some."""
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - the reader is not ours
            await asyncio.sleep(0)


async def some_turns() -> None:
    """Whatever can go on without waiting for anything does; the log is looked at."""
    for _ in range(100):
        await asyncio.sleep(0)


@asynccontextmanager
async def growing(log: MemoryLog, *items: str) -> AsyncIterator[list[str]]:
    """The items that a snapshot is told of, from a log that has these already."""
    await tell(log, *items)
    growth, opened = Growth(log, turn), Opened()
    running = asyncio.create_task(growth.run())
    growth.admit(cast("Snapshot", opened))
    await until(lambda: opened.told == [*items])
    await some_turns()
    try:
        yield opened.told
    finally:
        growth.dismiss("v1")
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_items_that_came_since_their_log_was_restored_are_known_though_nothing_follows_them() -> None:
    """Its reader would wait behind the last number that it knows; the end tells, and says so in the log."""
    log = MemoryLog("items")
    with capture_logs() as logs:
        async with growing(log, "hat", "scarf", "glove") as told:
            del log.records[1:]
            await tell(log, "boot")
            await until(lambda: "boot" in told)
            assert told == ["hat", "scarf", "glove", "hat", "boot"]
            await some_turns()
            assert len(told) == 5  # it is read again once
    assert [one["log"] for one in logs if one["event"] == "log.went_back"] == [log.url]


async def test_a_log_of_items_that_was_restored_while_it_was_gone_and_grew_is_known_by_its_records() -> None:
    """It is longer than it was: another item stands where the last one stood."""
    log = MemoryLog("items")
    async with growing(log, "hat", "scarf") as told:
        log.gone = True
        await some_turns()
        log.gone = False
        del log.records[1:]
        await tell(log, "boot", "belt")
        await until(lambda: {"boot", "belt"} <= set(told))


async def test_a_log_of_items_that_comes_back_as_it_was_is_read_on() -> None:
    """Nothing is told twice."""
    log = MemoryLog("items")
    async with growing(log, "hat", "scarf") as told:
        log.gone = True
        await some_turns()
        log.gone = False
        await tell(log, "boot")
        await until(lambda: "boot" in told)
        await some_turns()
        assert told == ["hat", "scarf", "boot"]
