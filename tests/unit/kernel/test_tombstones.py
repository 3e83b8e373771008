"""Tombstones are read to the last one, also where their log was restored from an older copy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from memory_log import MemoryLog

from trunkshow.online.forgotten import Forgotten
from trunkshow.online.lineage import WENT_BACK, Trail
from trunkshow.online.tombstones import following
from trunkshow.v1 import log_pb2


async def buried(log: MemoryLog, users: Sequence[str], time_ms: int = 1000) -> None:
    """These ask to be forgotten."""
    for user in users:
        forget = log_pb2.Forget(id=f"t-{user}", user_id=user, events_until="log/0:5")
        forget.timestamp.FromMilliseconds(time_ms)
        await log.forget(forget, 1)


async def turn(seconds: float) -> None:
    """A sleep that lets others have a turn, and takes no time."""
    del seconds
    await asyncio.sleep(0)


async def turns(until: Callable[[], bool]) -> None:
    """Give others turns until something is so."""
    for _ in range(10_000):
        if until():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to that")


async def some_turns() -> None:
    """Whatever can go on without waiting for anything does."""
    for _ in range(50):
        await asyncio.sleep(0)


@asynccontextmanager
async def heard(log: MemoryLog, *users: str) -> AsyncIterator[tuple[Forgotten, list[str]]]:
    """Who follows a log with tombstones of these, and whom listeners are told of since."""
    await buried(log, users)
    forgotten, told = Forgotten(), list[str]()
    running = asyncio.create_task(following(forgotten, log, turn))
    await turns(lambda: len(forgotten) == len(users))
    await some_turns()  # in which the log is looked at
    forgotten.listen(lambda one: told.append(one.user_id))
    try:
        yield forgotten, told
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def found_back() -> float:
    """How often a log was found to have gone back."""
    return float(WENT_BACK._value.get())


async def test_tombstones_that_came_since_a_log_was_restored_are_heard_though_nothing_follows_them() -> None:
    """The end tells: whoever reads on behind the last number that they know would hear of none of these."""
    log, before = MemoryLog("gone"), found_back()
    async with heard(log, "ada", "bob", "eve") as (forgotten, told):
        del log.records[1:]
        await buried(log, ["dan"])
        await turns(lambda: forgotten.find("dan") is not None)
        await turns(lambda: forgotten.watermark is not None and forgotten.watermark.counts == {0: 2})
        assert told == ["dan"]
        assert {one.user_id for one in forgotten.tombstones()} == {"ada", "bob", "eve", "dan"}
        assert found_back() == before + 1


async def test_a_log_that_was_restored_while_it_was_gone_and_grew_is_known_by_its_records() -> None:
    """It is as long as it was, and longer: another record stands where the last one stood."""
    log, before = MemoryLog("gone"), found_back()
    async with heard(log, "ada", "bob") as (forgotten, told):
        log.gone = True
        await some_turns()
        log.gone = False
        del log.records[1:]
        await buried(log, ["dan", "eve"])
        await turns(lambda: len(forgotten) == 4)
        assert "dan" in told
        assert found_back() == before + 1


async def test_a_log_that_comes_back_as_it_was_is_read_on() -> None:
    """Nobody is told anything twice."""
    log, before = MemoryLog("gone"), found_back()
    async with heard(log, "ada", "bob") as (forgotten, told):
        log.gone = True
        await some_turns()
        log.gone = False
        await buried(log, ["dan"])
        await turns(lambda: len(forgotten) == 3)
        await some_turns()
        assert (told, found_back()) == (["dan"], before)


async def test_a_log_that_was_short_for_a_moment_is_known_by_its_records_once_it_is_long_again() -> None:
    """It was looked at once between the copy and what came then: too seldom for its end to tell."""
    log, trail = MemoryLog("gone"), Trail(3)
    await buried(log, ["ada", "bob", "eve"])
    before = None
    async for read in log.read(None, await log.end(1)):
        trail.read(before, read.watermark, read.record)
        before = read.watermark
    await trail.look(log, await log.end(1))
    del log.records[1:]
    await trail.look(log, await log.end(1))
    assert not trail.why
    await buried(log, ["dan", "fay", "gus"])
    await trail.look(log, await log.end(1))
    assert trail.why
