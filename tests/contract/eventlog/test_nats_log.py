"""What only a real server can show: it is killed, frozen, full, and its stream is made anew under those who use it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import nats
import pytest
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import ServerError
from structlog.testing import capture_logs
from worlds import WITHIN_S, Following, NatsWorld, event, first, ids, opened, taken

from cli.nats import STORE_BYTES_MAX
from trunkshow.eventlog import nats_reader
from trunkshow.eventlog.log import EventLog, LogFull, LogUnavailable
from trunkshow.eventlog.nats_connection import PENDING_BYTES_MAX, ConnectionLost
from trunkshow.eventlog.nats_line import Line
from trunkshow.eventlog.nats_stream import look_up, why_unfit
from trunkshow.eventlog.settings import LogSettings
from trunkshow.eventlog.watermark import Watermark


@pytest.fixture
async def log(nats_world: NatsWorld) -> AsyncIterator[EventLog]:
    """A log on it."""
    made = opened(nats_world)
    yield made
    await made.close()


@pytest.fixture
async def line(nats_world: NatsWorld) -> AsyncIterator[Line]:
    """A way to its server."""

    async def options() -> dict[str, object]:
        return {}

    made = Line([nats_world.server.address], 1.0, options)
    yield made
    await made.close()


async def test_a_server_killed_in_the_middle_loses_nothing_that_it_acknowledged(
    nats_world: NatsWorld, log: EventLog
) -> None:
    """Appends go on or fail, none is acknowledged falsely, and the reader goes on where it was."""
    following = Following(log)
    acknowledged: list[str] = []
    failed: list[str] = []

    async def shop(user: str) -> None:
        for number in range(40):
            sent = event(user, number)
            try:
                await log.append([sent], 0.3)
                acknowledged.append(sent.event_id)
            except LogUnavailable:
                failed.append(sent.event_id)

    shopping = [asyncio.create_task(shop(f"user-{number}")) for number in range(5)]
    async with asyncio.timeout(WITHIN_S):
        while len(acknowledged) < 20:  # noqa: ASYNC110 - it is what the log said
            await asyncio.sleep(0.005)
        await nats_world.kill()
        while not failed:  # noqa: ASYNC110 - it is what the log said
            await asyncio.sleep(0.005)
        await nats_world.restart()
        await asyncio.gather(*shopping)
    await log.append([event("last", 0)], WITHIN_S)
    await following.until("last-0")
    await following.end()
    read = set(ids(following.reads))
    assert set(acknowledged) <= read
    assert read <= {*acknowledged, *failed, "last-0"}
    counts = [one.watermark.counts[0] for one in following.reads]
    assert counts == list(range(1, len(counts) + 1))
    assert sum(one.lost for one in following.reads) == 0


@pytest.mark.parametrize(("limit", "value"), [("BATCH_RECORDS", 4), ("BATCH_BYTES_MAX", 10_000)])
async def test_a_batch_that_ends_is_no_trouble(
    log: EventLog, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    """Whether it has all its records or all its bytes, the same consumer gives the next one."""
    monkeypatch.setattr(nats_reader, limit, value)
    for number in range(20):
        await log.append([event("user", number, size=2048)], WITHIN_S)
    with capture_logs() as said:
        reads = await first(log, 20)
    assert ids(reads) == [f"user-{number}" for number in range(20)]
    assert [line["event"] for line in said if line["event"] == "log.reader_detached"] == []


async def test_an_append_waits_for_a_server_that_comes_back_in_time(nats_world: NatsWorld, log: EventLog) -> None:
    """A short absence costs its callers time, and no error."""
    before = await log.append([event("user", 0)], WITHIN_S)
    await nats_world.kill()
    waiting = asyncio.create_task(log.append([event("user", 1)], WITHIN_S))
    await nats_world.restart()
    after = await waiting
    assert after.covers(before)
    assert not before.covers(after)


async def test_a_log_that_was_not_there_at_the_start_is_used_once_it_is(nats_world: NatsWorld) -> None:
    """Nothing needs to be started again."""
    await nats_world.kill()
    log = opened(nats_world)
    following = Following(log)
    with pytest.raises(LogUnavailable):
        await log.append([event("user", 0)], 0.2)
    await nats_world.restart()
    await log.append([event("user", 1)], WITHIN_S)
    await following.until("user-1")
    await following.end()
    await log.close()


async def test_a_frozen_server_is_unavailable_and_goes_on_afterwards(nats_world: NatsWorld, log: EventLog) -> None:
    """It takes connections and answers nothing: nobody hangs on it."""
    await log.append([event("user", 0)], WITHIN_S)
    following = Following(log)
    await following.until("user-0")
    nats_world.server.pause()
    try:
        began = time.monotonic()
        with pytest.raises(LogUnavailable):
            await log.append([event("user", 1)], 0.5)
        assert time.monotonic() - began < 5
    finally:
        nats_world.server.resume()
    await log.append([event("user", 2)], WITHIN_S)
    await following.until("user-2")
    await following.end()


async def test_a_full_log_refuses_rather_than_forgets(nats_world: NatsWorld) -> None:
    """What it took is there still."""
    log = opened(nats_world, bytes_max=40_000)
    taken_in: list[str] = []
    with pytest.raises(LogFull, match="maximum bytes"):
        for number in range(100):
            sent = event("user", number, size=2048)
            await log.append([sent], WITHIN_S)
            taken_in.append(sent.event_id)
    assert len(taken_in) > 5
    assert ids(await first(log, len(taken_in))) == taken_in
    await log.close()


async def test_records_that_are_old_enough_are_forgotten(nats_world: NatsWorld) -> None:
    """And the log's end stays where it was."""
    log = opened(nats_world, age_s_max=1.0)
    mark = await log.append([event("user", 0)], WITHIN_S)
    async with asyncio.timeout(WITHIN_S):
        while [read async for read in log.read(None, mark)]:  # noqa: ASYNC110 - it is what the server keeps
            await asyncio.sleep(0.1)
    assert (await log.end(WITHIN_S)).covers(mark)
    await log.close()


async def test_a_stream_made_anew_under_those_who_use_it_is_another_log(nats_world: NatsWorld, log: EventLog) -> None:
    """They notice on the connection that they have: no watermark names the log that is gone."""
    following = Following(log)
    for number in range(5):
        old = await log.append([event("user", number)], WITHIN_S)
    await following.until("user-4")
    await nats_world.make_anew()
    new = await log.append([event("user", 5)], WITHIN_S)
    assert new.log != old.log
    await following.until("user-5")
    await following.end()
    assert following.reads[-1].watermark == new


async def test_a_record_is_read_with_when_it_was_written_by_the_servers_clock(log: EventLog) -> None:
    """Which is this machine's here; the record says what a router's said."""
    began_ms = time.time() * 1000 - 1
    mark = await log.append([event("ada", 1)], WITHIN_S)
    (read,) = [read async for read in log.read(None, mark)]
    assert read.written_ms is not None
    assert began_ms <= read.written_ms <= time.time() * 1000 + 1


async def test_a_record_that_is_none_is_skipped_and_told(nats_world: NatsWorld, log: EventLog) -> None:
    """A reader does not stop at what somebody else wrote there."""
    await log.append([event("user", 0)], WITHIN_S)
    async with await nats.connect(nats_world.server.address) as client:
        await client.jetstream().publish("EVENTS", b"\xff\xff\xff")
    await log.append([event("user", 1)], WITHIN_S)
    reads = await first(log, 2)
    assert [(ids([read])[0], read.lost) for read in reads] == [("user-0", 0), ("user-1", 1)]


async def test_a_record_removed_from_the_middle_or_the_end_is_told(nats_world: NatsWorld, log: EventLog) -> None:
    """Reading to an end that was removed ends all the same."""
    marks = [await log.append([event("user", number)], WITHIN_S) for number in range(4)]
    async with await nats.connect(nats_world.server.address) as client:
        for sequence in (2, 4):
            await client.jetstream().delete_msg("EVENTS", sequence)
    async with asyncio.timeout(WITHIN_S):
        reads = [read async for read in log.read(marks[0], marks[-1])]
    assert [(ids([read])[0], read.lost) for read in reads] == [("user-2", 1)]


async def test_a_log_that_went_back_is_read_on_from_its_end(log: EventLog) -> None:
    """What follows there is new, though the reader had been further once."""
    mark = await log.append([event("user", 0)], WITHIN_S)
    further = Watermark(mark.log, {0: 50})
    async with aclosing(log.follow(further)) as reads:
        waiting = asyncio.create_task(taken(reads, 1))
        await asyncio.sleep(0)
        while not waiting.done():  # it gives up by itself
            await log.append([event("user", 1)], WITHIN_S)
            await asyncio.sleep(0.05)
        (read,) = await waiting
    assert read.watermark.counts[0] < 50


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"storage": StorageType.MEMORY}, "memory"),
        ({"retention": RetentionPolicy.WORK_QUEUE}, "retention policy"),
        ({"max_bytes": 1 << 20}, "forgets its oldest"),
        ({"max_msgs": 1000}, "forgets its oldest"),
        ({"max_msgs_per_subject": 1000}, "forgets its oldest"),
        ({"max_msgs_per_subject": 1000, "discard": DiscardPolicy.NEW}, "forgets its oldest"),
    ],
)
async def test_a_stream_that_cannot_be_a_log_is_refused(
    nats_world: NatsWorld, log: EventLog, config: dict[str, object], why: str
) -> None:
    """At once, and with what is wrong with it."""
    async with await nats.connect(nats_world.server.address) as client:
        await client.jetstream().add_stream(name="EVENTS", subjects=["EVENTS"], **config)
    with pytest.raises(LogUnavailable, match=why):
        await log.append([event("user", 0)], WITHIN_S)


def test_a_stream_that_refuses_when_it_is_full_is_taken_whatever_is_counted() -> None:
    """Bytes, records, or records of the subject."""
    limits = {"max_bytes": 1 << 20, "max_msgs": 1000, "max_msgs_per_subject": 1000}
    assert not why_unfit(StreamConfig(discard=DiscardPolicy.NEW, discard_new_per_subject=True, **limits))
    assert not why_unfit(StreamConfig(discard=DiscardPolicy.OLD, max_bytes=-1, max_msgs=-1, max_msgs_per_subject=-1))


async def test_a_keeper_outlives_what_nobody_foresaw(nats_world: NatsWorld) -> None:
    """It says so, and connects once it can; without it there would be no log until the process is started again."""
    tries = []

    async def options() -> dict[str, object]:
        tries.append(1)
        if len(tries) < 3:
            raise ModuleNotFoundError("nkeys")
        return {}

    with capture_logs() as said:
        line = Line([nats_world.server.address], 1.0, options)
        async with asyncio.timeout(WITHIN_S):
            assert (await line.connected()).client.is_connected
    assert [one["log_level"] for one in said if one["event"] == "log.unreachable"] == ["error"]
    await line.close()


async def test_a_stream_that_others_make_at_the_same_time_is_theirs_too(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However large: a server has no room for it twice, and says so to all but the first."""
    connection = await line.connected()
    asked = asyncio.Barrier(3)

    async def in_step(config: StreamConfig) -> StreamInfo:
        await asked.wait()
        return await made(config)

    made = connection.stream.add_stream
    monkeypatch.setattr(connection.stream, "add_stream", in_step)
    settings = LogSettings(bytes_max=STORE_BYTES_MAX // 2 + 1)
    async with asyncio.timeout(WITHIN_S):
        streams = await asyncio.gather(*(look_up(connection, "EVENTS", settings) for _ in range(3)))
    assert len(set(streams)) == 1
    assert streams[0].bytes_max == settings.bytes_max


async def test_a_stream_that_there_is_no_room_for_is_an_error(line: Line) -> None:
    """The server's own, and not that there is none."""
    connection = await line.connected()
    with pytest.raises(ServerError, match="insufficient storage"):
        await look_up(connection, "EVENTS", LogSettings(bytes_max=STORE_BYTES_MAX + 1))


async def test_limits_that_a_stream_does_not_have_are_told_once(nats_world: NatsWorld, log: EventLog) -> None:
    """A stream keeps what it was made with: asking for more changes nothing, and must not pass unsaid."""
    with capture_logs() as said:
        await log.end(WITHIN_S)
        other = opened(nats_world, age_s_max=7.0)
        for _ in range(2):
            await other.end(WITHIN_S)
    (told,) = [one for one in said if one["event"] == "log.settings_differ"]
    assert (told["age_s"], told["age_s_wanted"]) == (LogSettings().age_s_max, 7.0)
    assert other.age_s == LogSettings().age_s_max
    await other.close()


async def test_whoever_waits_for_a_server_that_froze_hears_that_the_connection_is_lost(
    nats_world: NatsWorld, line: Line
) -> None:
    """Also where so much is to be written that the client waits before it takes more."""
    connection = await line.connected()
    nats_world.server.pause()
    mebibytes = PENDING_BYTES_MAX >> 20
    written = [asyncio.create_task(connection.publish("EVENTS", bytes(1000 << 10))) for _ in range(2 * mebibytes)]
    await asyncio.sleep(0)
    asked = [connection.answered(connection.stream.delete_consumer("EVENTS", "nobody")) for _ in range(3)]
    async with asyncio.timeout(WITHIN_S):
        ended = await asyncio.gather(*written, *asked, return_exceptions=True)
    assert {type(one) for one in ended} <= {ConnectionLost}, ended
    nats_world.server.resume()
