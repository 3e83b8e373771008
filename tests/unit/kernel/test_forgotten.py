"""Who is to be forgotten, and what that means for events and snapshots."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest
from memory_log import MemoryLog
from tiny_snapshots import PLAIN

from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.forgotten import BuiltWith, Forgotten, Tombstone
from trunkshow.online.positions import Position
from trunkshow.online.tombstones import following, read_all
from trunkshow.v1 import log_pb2

LOG = "log"


def tombstone(user: str = "ada", time_ms: int = 1000, until: int = 5) -> log_pb2.Forget:
    """Of somebody."""
    made = log_pb2.Forget(id="t", user_id=user, events_until=f"{LOG}/0:{until}" if until else f"{LOG}/")
    made.timestamp.FromMilliseconds(time_ms)
    return made


async def people(*tombstones: log_pb2.Forget) -> Forgotten:
    """Everybody in these, read from a log."""
    log = MemoryLog("gone")
    for one in tombstones:
        await log.forget(one, 1)
    return await read_all(log)


@pytest.mark.parametrize(
    ("number", "time_ms", "covered"),
    [(5, 9999, True), (6, 9999, False), (6, 1000, True), (6, 1001, False)],
    ids=["before it in the log", "after it", "after it, of before", "after it, of just after"],
)
async def test_an_event_is_forgotten_by_its_place_or_by_its_time(number: int, time_ms: int, covered: bool) -> None:
    """Either will do: what is recorded late is forgotten as well."""
    forgotten = await people(tombstone())
    assert forgotten.covers("ada", Position(LOG, 0, number), time_ms) is covered
    assert not forgotten.covers("bob", Position(LOG, 0, number), time_ms)


@pytest.mark.parametrize(
    ("written_ms", "from_ms"), [(None, 1000), (400, 400), (5000, 1000)], ids=["unsaid", "a fast router", "a fast log"]
)
def test_what_is_done_afterwards_is_not_forgotten_because_a_clock_is_fast(written_ms: int | None, from_ms: int) -> None:
    """Neither the router's that took it, nor the log's own."""
    forgotten = Forgotten()
    forgotten.hear(log_pb2.Record(forget=tombstone()), Watermark("gone", {0: 1}), written_ms)
    after = Position(LOG, 0, 6)
    assert [forgotten.covers("ada", after, from_ms + more) for more in (0, 1)] == [True, False]


async def test_places_in_another_log_say_nothing() -> None:
    """There the time alone counts."""
    forgotten = await people(tombstone())
    assert not forgotten.covers("ada", Position("other", 0, 1), 1001)


async def test_the_last_tombstone_counts() -> None:
    """Somebody came back, and left again."""
    forgotten = await people(tombstone(), tombstone(time_ms=5000, until=9))
    assert forgotten.covers("ada", Position(LOG, 0, 9), 9999)


async def test_a_snapshot_without_the_tombstone_must_not_use_what_it_knows() -> None:
    """One that was built with it may: whom it knows came afterwards."""
    forgotten = await people(tombstone("bob"), tombstone())
    assert forgotten.hides("ada", BuiltWith(None, 1000))
    assert forgotten.hides("ada", BuiltWith(Watermark("gone", {0: 1}), 1000))
    assert forgotten.hides("ada", BuiltWith(Watermark("other", {0: 2}), 1000))
    assert not forgotten.hides("ada", BuiltWith(Watermark("gone", {0: 2}), 1000))
    assert not forgotten.hides("eve", BuiltWith(None, 1000))


async def test_a_tombstone_of_after_its_last_event_a_snapshot_was_built_without_whatever_its_number() -> None:
    """In a log that was restored from an older copy it has that of one that the snapshot was built with."""
    forgotten = await people(tombstone(time_ms=1001))
    built_with = BuiltWith.of(replace(PLAIN, data_until="1970-01-01T00:00:01+00:00", forgotten_watermark="gone/0:7"))
    assert built_with == BuiltWith(Watermark("gone", {0: 7}), 1000)
    assert forgotten.hides("ada", built_with)


async def test_following_hears_what_comes() -> None:
    """Listeners are told, and whoever waits for a watermark goes on."""
    log, forgotten = MemoryLog("gone"), Forgotten()
    told: list[str] = []
    forgotten.listen(lambda one: told.append(one.user_id))
    await log.forget(tombstone("bob"), 1)
    running = asyncio.create_task(following(forgotten, log))
    await forgotten.known(5)
    assert told == ["bob"]
    mark = await log.forget(tombstone("ada"), 1)
    assert await forgotten.reached(mark, 5)
    assert told == ["bob", "ada"]
    assert not await forgotten.reached(Watermark("gone", {0: 3}), 0)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_what_stands_in_a_log_that_was_made_anew_was_not_heard_in_the_one_before() -> None:
    """However much of that was: else a receipt would say that this process forgot somebody whom it never heard of."""
    log, forgotten = MemoryLog("gone"), Forgotten()
    await log.forget(tombstone("bob"), 1)
    forgotten.hear(log.records[0], Watermark("gone", {0: 1}))
    anew = MemoryLog("anew")
    mark = await anew.forget(tombstone("ada"), 1)
    assert not await forgotten.reached(mark, 0)
    forgotten.hear(anew.records[0], mark)
    assert await forgotten.reached(mark, 0)


async def test_who_cannot_be_known_is_not_waited_for() -> None:
    """A log that is gone keeps nobody from serving."""
    log, forgotten = MemoryLog("gone"), Forgotten()
    log.gone = True
    running = asyncio.create_task(following(forgotten, log))
    await forgotten.known(0)
    assert not forgotten.whole.is_set()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.mark.parametrize("turns", range(5))
async def test_whoever_waits_to_know_them_can_be_told_to_stop_at_any_moment(turns: int) -> None:
    """Also as they become known: a process that is told to leave would not, and be killed."""
    forgotten = Forgotten()
    goes_on = asyncio.Event()

    async def work() -> None:
        await forgotten.known(5)
        await goes_on.wait()

    working = asyncio.create_task(work())
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # it waits
    forgotten.whole.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    working.cancel()
    await asyncio.wait({working}, timeout=60)
    assert working.cancelled()


async def test_tombstones_whose_log_went_back_are_heard_on_from_there() -> None:
    """Restored from an older copy: everybody heard of stays forgotten, who comes is, too, and no process ends."""
    log, forgotten = MemoryLog("gone"), Forgotten()
    for user in ("ada", "bob", "eve"):
        await log.forget(tombstone(user), 1)
    for number in range(3):
        forgotten.hear(log.records[number], Watermark("gone", {0: number + 1}))
    forgotten.hear(log_pb2.Record(forget=tombstone("dan")), Watermark("gone", {0: 1}))
    forgotten.hear(log_pb2.Record(forget=tombstone("dan")), Watermark("gone", {0: 1}))
    forgotten.hear(log_pb2.Record(forget=tombstone("eve", time_ms=2000)), Watermark("gone", {0: 2}))
    assert forgotten.covers("eve", Position("other", 0, 1), 2000)
    assert {one.user_id for one in forgotten.tombstones()} == {"ada", "bob", "eve", "dan"}
    assert forgotten.watermark == Watermark("gone", {0: 2})
    assert (found := forgotten.find("dan")) is not None
    assert found.at == Position("gone", 0, 1)


async def test_a_listener_that_fails_ends_nothing() -> None:
    """The others are told, and so is everybody of the next tombstone."""
    log, forgotten = MemoryLog("gone"), Forgotten()
    told: list[str] = []

    def fails(one: Tombstone) -> None:
        raise ZeroDivisionError(one.user_id)

    forgotten.listen(fails)
    forgotten.listen(lambda one: told.append(one.user_id))
    running = asyncio.create_task(following(forgotten, log))
    for user in ("ada", "bob"):
        assert await forgotten.reached(await log.forget(tombstone(user), 1), 5)
    assert told == ["ada", "bob"]
    assert not running.done()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
