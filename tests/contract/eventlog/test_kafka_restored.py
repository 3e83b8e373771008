"""A topic that was restored from an older copy under readers that stay, and grew beyond what they had read.

Librdkafka's mock brokers keep nothing that could be replaced, so a second cluster stands for the copy: the readers'
address leads to it from one moment to the next. A real cluster's copy is not tested.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any

import kafka_brokers
import kafka_detour
import pytest
from confluent_kafka import Producer
from kafka_brokers import KafkaBrokers
from kafka_detour import Detour
from worlds import WITHIN_S, event, ids, taken

from trunkshow.eventlog import kafka_reader, kafka_recheck, packing
from trunkshow.eventlog.kafka_consumer import Client, Taken
from trunkshow.eventlog.kafka_log import KafkaLog
from trunkshow.eventlog.kafka_memory import Fate, Fates, Memory, Stood
from trunkshow.eventlog.kafka_recheck import LOOK_EVERY_S, fates
from trunkshow.eventlog.log import LogWentBack
from trunkshow.eventlog.settings import LogSettings
from trunkshow.online.follower import Follower
from trunkshow.serving.deadline import monotonic

KEPT, LOST = ("kept-1", "kept-2"), ("lost-1", "lost-2", "lost-3")
NEW = ("new-1", "new-2", "new-3", "new-4", "new-5")
LANES = 2
"""The second one stays empty."""


class World:
    """A log behind a detour, and what it is restored from.

    Attributes:
        log: as readers have it; what was lost later is in it.
        detour: on the way to it.
        copy: an older copy.
        now_s: by the reader's clock, which decides when records are looked at.
    """

    def __init__(self, detour: Detour, copy: KafkaBrokers) -> None:
        settings = LogSettings(lanes=LANES, connect_s_max=1.0)
        self.log = KafkaLog([detour.address], "EVENTS", settings, {}, identity=lambda client, name: name)
        self.log._reader._clock = lambda: self.now_s
        self.detour, self.copy, self.now_s = detour, copy, 0.0

    def look(self) -> None:
        """It is time to."""
        self.now_s += LOOK_EVERY_S

    async def restore(self) -> None:
        """The copy takes the place of what there was."""
        await self.detour.lead_to(self.copy)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Nothing new is in the copy yet."""
    async with AsyncExitStack() as stack:
        first = stack.enter_context(kafka_brokers.running("EVENTS", LANES, 1))
        copy = stack.enter_context(kafka_brokers.running("EVENTS", LANES, 1))
        detour = await stack.enter_async_context(kafka_detour.running())
        await write(first, *KEPT, *LOST)
        await write(copy, *KEPT)
        await detour.lead_to(first)
        made = World(detour, copy)
        stack.push_async_callback(made.log.close)
        yield made


class Noted:
    """Counts how often the reader's memory is called by this name.

    Attributes:
        fates: that it was told of.
    """

    def __init__(self, patch: pytest.MonkeyPatch, name: str) -> None:
        self.fates: list[Fate] = []
        self._calls = asyncio.Semaphore(0)
        self._really = getattr(Memory, name)
        patch.setattr(Memory, name, lambda *arguments: self._call(*arguments))

    async def until_called(self) -> None:
        """Once more."""
        async with asyncio.timeout(WITHIN_S):
            await self._calls.acquire()

    def _call(self, memory: Memory, *arguments: Any) -> None:
        self._really(memory, *arguments)
        self.fates += arguments[0].values() if isinstance(arguments[0], dict) else ()
        self._calls.release()


async def write(brokers: KafkaBrokers, *users: str) -> None:
    """A record of each, with the same bytes wherever it is written; all in one lane."""
    producer = Producer({"bootstrap.servers": ",".join(brokers.servers)})
    for data in map(record, users):
        producer.produce("EVENTS", data, partition=0)
    assert await asyncio.to_thread(producer.flush, WITHIN_S) == 0


def record(user: str) -> bytes:
    """An event's."""
    (packed,) = packing.pack([event(user, 0)], 1_700_000_000.0, 1)
    return packed.data


def names(*users: str) -> list[str]:
    """Of their events."""
    return [f"{user}-0" for user in users]


async def is_told(reads: AsyncIterator[object]) -> None:
    """Read on until the log is said to have gone back."""
    async with asyncio.timeout(WITHIN_S):
        with pytest.raises(LogWentBack, match="another record"):
            async for _ in reads:
                pass


async def test_who_read_what_was_lost_is_told_at_the_next_look(world: World) -> None:
    """Though nothing of it had been looked at before, and the reader has gone on in what came in its place."""
    await write(world.copy, *NEW)
    async with aclosing(world.log.follow(None)) as reads:
        assert ids(await taken(reads, 5)) == names(*KEPT, *LOST)
        await world.restore()
        assert ids(await taken(reads, 2)) == names(*NEW[3:])
        world.look()
        await is_told(reads)


async def test_a_break_of_which_the_client_said_nothing_is_found_out_by_what_had_been_read_a_look_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not tell of every one."""
    monkeypatch.setattr(Memory, "doubt", lambda memory: None)
    looked = Noted(monkeypatch, "looked")
    await write(world.copy, *NEW)
    async with aclosing(world.log.follow(None)) as reads:
        await taken(reads, 5)
        reading = asyncio.ensure_future(taken(reads, 2))
        world.look()
        await looked.until_called()
        await world.restore()
        assert ids(await reading) == names(*NEW[3:])
        world.look()
        await is_told(reads)


async def test_who_reads_from_the_end_on_is_told_though_nothing_came_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record before its first is remembered as well."""
    took = Noted(monkeypatch, "took")
    await write(world.copy, *NEW)
    async with aclosing(world.log.follow(await world.log.end(WITHIN_S))) as reads:
        reading = asyncio.ensure_future(taken(reads, 2))
        await took.until_called()
        await world.restore()
        assert ids(await reading) == names(*NEW[3:])
        world.look()
        await is_told(reads)


async def test_who_was_set_back_in_a_shorter_log_is_told_once_it_has_grown(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the record that comes at the place of the furthest that it had, without a look; the client sets it back."""
    loop, really, ended = asyncio.get_running_loop(), kafka_reader.take, asyncio.Event()

    def take(consumer: Client) -> list[Taken]:
        found = really(consumer)
        if any((one.lane, one.count, one.data) == (0, len(KEPT), None) for one in found):
            loop.call_soon_threadsafe(ended.set)
        return found

    monkeypatch.setattr(kafka_reader, "take", take)
    async with aclosing(world.log.follow(None)) as reads:
        await taken(reads, 5)
        await world.restore()
        reading = asyncio.ensure_future(is_told(reads))
        async with asyncio.timeout(WITHIN_S):
            await ended.wait()
        await write(world.copy, *NEW)
        await reading


async def test_a_log_that_is_still_the_same_is_read_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that comes back with all that it had is no restoration, however often it is looked at."""
    looked = Noted(monkeypatch, "looked")
    await write(world.copy, *LOST, *NEW)
    async with aclosing(world.log.follow(None)) as reads:
        await taken(reads, 5)
        await world.restore()
        assert ids(await taken(reads, 5)) == names(*NEW)
        reading = asyncio.ensure_future(taken(reads, 1))
        for _ in range(3):
            world.look()
            await looked.until_called()
        await write(world.copy, "more")
        assert ids(await reading) == names("more")
    assert looked.fates
    assert set(looked.fates) == {Fate.SAME}


async def test_who_follows_hears_again_what_stands_there_now(world: World) -> None:
    """As from any other log that was restored."""
    heard: list[str] = []
    world.log._reader._clock = monotonic
    follower = Follower(world.log, lambda event, at: heard.append(event.user_id))
    await write(world.copy, *NEW)
    running = asyncio.ensure_future(follower.run())
    await until(lambda: set(heard) == {*KEPT, *LOST})
    await world.restore()
    await until(lambda: set(NEW) <= set(heard))
    running.cancel()
    await asyncio.wait({running})


async def until(met: Callable[[], bool]) -> None:
    """Look again and again until something is so."""
    async with asyncio.timeout(WITHIN_S):
        while not met():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.01)


async def test_records_are_found_the_same_another_removed_or_not_at_all(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only one that is there, and is another, tells that a log was restored; nobody who does not answer does."""
    big = b"x" * (600 << 10)
    await write(world.copy, *NEW[:1])
    producer = Producer({"bootstrap.servers": world.copy.servers[0], "message.max.bytes": 1 << 20})
    for _ in range(14):  # a mock partition keeps five megabytes
        producer.produce("EVENTS", big, partition=1)
    assert await asyncio.to_thread(producer.flush, WITHIN_S) == 0
    monkeypatch.setattr(kafka_recheck, "ANSWER_S_MAX", WITHIN_S)
    same, other, beyond = stood(0, 2, KEPT[1]), stood(0, 3, LOST[0]), stood(0, 5, LOST[2])
    removed, large = stood(1, 1, "any"), Stood(1, 14, hash(big))
    assert await looked(world.copy, [same, other, beyond, removed, large]) == {
        same: Fate.SAME,
        other: Fate.OTHER,
        removed: Fate.REMOVED,
        large: Fate.SAME,
    }
    world.copy.down()
    monkeypatch.setattr(kafka_recheck, "ANSWER_S_MAX", 0.5)
    assert await looked(world.copy, [same, other]) == {}


async def looked(brokers: KafkaBrokers, wanted: Sequence[Stood]) -> Fates:
    """What these say of records, with the settings of a reader."""
    log = KafkaLog(brokers.servers, "EVENTS", LogSettings(), {})
    config = log._reader._config
    await log.close()
    return await asyncio.to_thread(fates, config, "EVENTS", wanted, threading.Event())


def stood(lane: int, number: int, user: str) -> Stood:
    """A record of a user's."""
    return Stood(lane, number, hash(record(user)))
