"""Every event log keeps the same contract: on NATS, with a real server, and on Kafka."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

import pytest
from worlds import WITHIN_S, World, event, first, ids, opened, taken

from trunkshow.eventlog.log import EventLog, ItemLog, LogFull, LogUnavailable, Tombstones
from trunkshow.eventlog.watermark import Watermark
from trunkshow.v1 import events_pb2, log_pb2

USERS = [f"user-{number}" for number in range(8)]


async def test_what_was_appended_is_read(log: EventLog) -> None:
    """Every event once, as it was, with when it was received, and the reader's watermark covers the append's."""
    sent = [event(user, 0) for user in USERS]
    before_s = time.time()
    mark = await log.append(sent, WITHIN_S)
    reads = await first(log, len(sent))
    assert sorted(ids(reads)) == sorted(one.event_id for one in sent)
    assert sorted(one.SerializeToString(deterministic=True) for read in reads for one in read.record.events) == sorted(
        one.SerializeToString(deterministic=True) for one in sent
    )
    assert reads[-1].watermark.covers(mark)
    assert all(abs(read.record.received.seconds - before_s) < WITHIN_S for read in reads)
    assert [read.lost for read in reads] == [0] * len(reads)


async def test_a_users_events_are_read_in_their_order(log: EventLog) -> None:
    """Whatever others do meanwhile."""

    async def shop(user: str) -> None:
        for number in range(10):
            await log.append([event(user, number)], WITHIN_S)

    await asyncio.gather(*map(shop, USERS))
    read = ids(await first(log, 10 * len(USERS)))
    for user in USERS:
        own = [name for name in read if name.startswith(f"{user}-")]
        assert own == [f"{user}-{number}" for number in range(10)]


async def test_a_large_call_is_read_in_its_order(log: EventLog) -> None:
    """Though it is more than one record."""
    sent = [event("user", number, size=4096) for number in range(400)]
    await log.append(sent, WITHIN_S)
    reads = await first(log, 400)
    assert len(reads) > 1
    assert ids(reads) == [one.event_id for one in sent]


async def test_a_tombstone_is_read_as_it_was_written(log: Tombstones) -> None:
    """Its receipt's watermark is the reader's."""
    told = log_pb2.Forget(id="t-1", user_id="ada", events_until="EVENTS-1/0:7,2:9")
    told.timestamp.seconds = 1_700_000_000
    mark = await log.forget(told, WITHIN_S)
    (read,) = [read async for read in log.read(None, mark)]
    assert read.record.forget == told
    assert read.watermark.covers(mark)


async def test_items_are_read_in_their_order_though_they_are_more_than_a_record(log: ItemLog) -> None:
    """Of two of the same id the later one counts, so all are in one lane."""
    told = [events_pb2.NewItem(id=f"item-{number % 7}", title=f"{number}" * 900) for number in range(900)]
    mark = await log.tell(told, WITHIN_S)
    reads = [read async for read in log.read(None, mark)]
    assert len(reads) > 1
    assert [item for read in reads for item in read.record.items] == told
    assert len(mark.counts) == 1


async def test_a_reader_gets_what_comes(log: EventLog) -> None:
    """It waits at the end, without end."""
    async with aclosing(log.follow(None)) as reads:
        for number in range(3):
            await log.append([event("user", number)], WITHIN_S)
            assert ids(await taken(reads, 1)) == [f"user-{number}"]


async def test_a_reader_resumes_after_a_watermark(log: EventLog) -> None:
    """Also one that crossed a wire, and nothing comes twice."""
    for number in range(6):
        await log.append([event("user", number)], WITHIN_S)
    mark = (await first(log, 3))[2].watermark
    async with aclosing(log.follow(Watermark.parse(str(mark)))) as reads:
        rest = await taken(reads, 3)
    assert ids(rest) == ["user-3", "user-4", "user-5"]
    assert [read.lost for read in rest] == [0, 0, 0]


async def test_a_reader_says_how_far_behind_it_is(log: EventLog) -> None:
    """Records of its lane that come after the one it gives."""
    for number in range(5):
        await log.append([event("user", number)], WITHIN_S)
    assert [read.behind for read in await first(log, 5)] == [4, 3, 2, 1, 0]


async def test_the_end_covers_all_that_was_appended(log: EventLog) -> None:
    """And an empty log has an end that covers nothing."""
    empty = await log.end(WITHIN_S)
    assert not any(empty.counts.values())
    marks = [await log.append([event(user, 0)], WITHIN_S) for user in USERS]
    end = await log.end(WITHIN_S)
    assert all(end.covers(mark) and not empty.covers(mark) for mark in marks)
    assert end.log == empty.log


async def test_reading_to_the_end_ends(log: EventLog) -> None:
    """With all that was there, and nothing that came later."""
    for number in range(10):
        await log.append([event(USERS[number % len(USERS)], number)], WITHIN_S)
    end = await log.end(WITHIN_S)
    await log.append([event("late", 0)], WITHIN_S)
    async with asyncio.timeout(WITHIN_S):
        reads = [read async for read in log.read(None, end)]
        nothing = [read async for read in log.read(end, end)]
    assert len(ids(reads)) == 10
    assert "late-0" not in ids(reads)
    assert reads[-1].watermark.covers(end)
    assert nothing == []


async def test_reading_an_empty_log_to_its_end_ends(log: EventLog) -> None:
    """There is nothing to wait for."""
    async with asyncio.timeout(WITHIN_S):
        assert [read async for read in log.read(None, await log.end(WITHIN_S))] == []


async def test_reading_to_an_end_that_is_spoilt_ends(world: World, log: EventLog) -> None:
    """And gives nothing that came later."""
    await log.append([event("user-1", 0)], WITHIN_S)
    await world.spoil()
    end = await log.end(WITHIN_S)
    for user in USERS:
        await log.append([event(user, 1)], WITHIN_S)
    async with asyncio.timeout(WITHIN_S):
        assert ids([read async for read in log.read(None, end)]) == ["user-1-0"]


async def test_a_reading_whose_client_fails_is_unavailable(
    world: World, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads to an end tries again after that, and expects nothing else."""
    end = await log.append([event("user", 0)], WITHIN_S)
    world.break_readings(monkeypatch)
    with pytest.raises(LogUnavailable):
        async for read in log.read(None, end):
            raise AssertionError(read)


async def test_two_readers_do_not_share(log: EventLog) -> None:
    """Each gets everything."""
    for number in range(4):
        await log.append([event("user", number)], WITHIN_S)
    both = await asyncio.gather(first(log, 4), first(log, 4))
    assert ids(both[0]) == ids(both[1])


async def test_a_log_that_is_not_there_is_unavailable_within_the_deadline(world: World) -> None:
    """Neither an append nor the question for the end hangs."""
    await world.kill()
    log = opened(world)
    try:
        for asked in (lambda: log.append([event("user", 0)], 0.5), lambda: log.end(0.5)):
            began = time.monotonic()
            with pytest.raises(LogUnavailable, match="within"):
                await asked()
            assert time.monotonic() - began < 5
    finally:
        await log.close()


async def test_a_log_that_goes_is_unavailable_within_the_deadline(world: World, log: EventLog) -> None:
    """Nor on a connection that was there."""
    await log.append([event("user", 0)], WITHIN_S)
    await world.kill()
    began = time.monotonic()
    with pytest.raises(LogUnavailable):
        await log.append([event("user", 1)], 0.5)
    with pytest.raises(LogUnavailable):
        await log.end(0.5)
    assert time.monotonic() - began < 5


async def test_more_than_may_be_in_flight_is_refused_at_once(world: World) -> None:
    """While the log does not answer, so many wait for it, and no more."""
    await world.kill()
    log = opened(world, in_flight_max=2)
    try:
        waiting = [asyncio.ensure_future(log.append([event("user", number)], 1.0)) for number in range(2)]
        await asyncio.sleep(0)
        began = time.monotonic()
        with pytest.raises(LogFull, match="at most 2"):
            await log.append([event("user", 2)], WITHIN_S)
        assert time.monotonic() - began < 0.5
        for one in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(one, LogUnavailable)
            assert not isinstance(one, LogFull)
    finally:
        await log.close()


async def test_a_log_made_anew_is_another_log(world: World, log: EventLog) -> None:
    """Its watermarks cannot be compared, and whoever followed the old one reads it from its beginning."""
    for number in range(5):
        await log.append([event("user", number)], WITHIN_S)
    old = await log.end(WITHIN_S)
    await world.make_anew()
    new = opened(world)
    try:
        mark = await new.append([event("user", 7)], WITHIN_S)
        assert mark.log != old.log
        async with aclosing(new.follow(old)) as reads:
            read = (await taken(reads, 1))[0]
        assert (ids([read]), read.watermark.log, read.lost) == (["user-7"], mark.log, 0)
        with pytest.raises(LogUnavailable, match="gone"):
            async for read in new.read(None, old):
                raise AssertionError(read)
    finally:
        await new.close()


async def test_what_was_removed_unread_is_told(world: World, log: EventLog) -> None:
    """How many records, before the first one that is left; reading up to an end goes past them, too."""
    await log.append([event("user", 0)], WITHIN_S)
    mark = await log.end(WITHIN_S)
    for number in range(1, 10):
        await log.append([event("user", number, size=4096)], WITHIN_S)
    await world.forget(log, 5)
    await log.append([event("user", 999)], WITHIN_S)
    end = await log.end(WITHIN_S)
    async with asyncio.timeout(WITHIN_S):
        reads = [read async for read in log.read(mark, end)]
    (lane,) = end.counts
    assert reads[0].lost >= 4
    assert sum(read.lost + 1 for read in reads) == end.counts[lane] - mark.counts[lane]
    assert ids(reads)[-1] == "user-999"
    fresh = await first(log, 1)
    (place,) = fresh[0].watermark.counts.values()
    assert place > 5
    assert (fresh[0].lost, fresh[0].removed) == (0, place - 1)


async def test_an_address_shows_no_credentials(log: EventLog, world: World) -> None:
    """It is the one that was given."""
    assert log.url == world.url
