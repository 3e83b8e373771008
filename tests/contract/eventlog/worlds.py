"""The logs that the contract is held against, and what can happen to them. Not a test.

NATS is a real server in a process of its own; Kafka is librdkafka's mock cluster, in this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from itertools import count
from pathlib import Path
from typing import Protocol

import nats
import nats_servers
import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from nats.errors import Error as NatsError

from trunkshow.eventlog import kafka_reader, nats_reader
from trunkshow.eventlog.kafka_log import KafkaLog
from trunkshow.eventlog.log import EventLog, Read
from trunkshow.eventlog.opening import open_log
from trunkshow.eventlog.settings import LogSettings
from trunkshow.v1 import events_pb2

WITHIN_S = 60.0
"""For what must succeed; a busy machine may take its time."""

NAMES = count()
LANES = 4
SPOILT = b"\xff\xff\xff"


class World(Protocol):
    """Where a log lives.

    Attributes:
        url: of the log.
        lanes: that it has.
    """

    url: str
    lanes: int

    async def kill(self) -> None:
        """End the servers without a warning."""

    async def make_anew(self) -> None:
        """Replace the log by an empty one; its address may change."""

    async def forget(self, log: EventLog, records: int) -> None:
        """Remove at least so many of the oldest records, and not the newest."""

    async def spoil(self) -> None:
        """Somebody writes what is no record, to lane 0."""

    def break_readings(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """From now on the client fails whoever reads."""

    async def close(self) -> None:
        """Leave nothing behind."""


class NatsWorld:
    """A NATS server."""

    lanes = 1

    def __init__(self, folder: Path) -> None:
        self._running = nats_servers.running(folder)
        self.server = self._running.__enter__()
        self.url = self.server.url

    async def kill(self) -> None:
        """SIGKILL."""
        await asyncio.to_thread(self.server.kill)

    async def restart(self) -> None:
        """On the same port, with the same files."""
        await asyncio.to_thread(self.server.start)

    async def make_anew(self) -> None:
        """Delete the stream; whoever comes next makes it."""
        async with await nats.connect(self.server.address) as client:
            await client.jetstream().delete_stream("EVENTS")

    async def forget(self, log: EventLog, records: int) -> None:
        """Purge."""
        del log
        async with await nats.connect(self.server.address) as client:
            await client.jetstream().purge_stream("EVENTS", seq=records + 1)

    async def spoil(self) -> None:
        """Publish it."""
        async with await nats.connect(self.server.address) as client:
            await client.jetstream().publish("EVENTS", SPOILT)

    def break_readings(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every message is a server's error."""

        async def broken(queue: object) -> None:
            del queue
            raise NatsError

        monkeypatch.setattr(nats_reader, "READ_WITHIN_S", 0.2)
        monkeypatch.setattr(nats_reader, "_next", broken)

    async def close(self) -> None:
        """End the server."""
        self._running.__exit__(None, None, None)


class KafkaWorld:
    """A mock cluster of three brokers. It has no controller, so topics are as old as the cluster, and told by it."""

    lanes = LANES

    def __init__(self, folder: Path) -> None:
        del folder
        self._start()

    def _start(self) -> None:
        self._cluster: AdminClient | None = AdminClient({"test.mock.num.brokers": 3, "log_level": 2})
        brokers = self._cluster.list_topics("EVENTS", timeout=60).brokers.values()  # which makes the topic, too
        self.servers = tuple(f"{broker.host}:{broker.port}" for broker in brokers)
        self.url = f"kafka://{','.join(self.servers)}/EVENTS"

    async def kill(self) -> None:
        """All brokers at once."""
        self._cluster = None

    async def make_anew(self) -> None:
        """Another cluster."""
        self._start()

    async def forget(self, log: EventLog, records: int) -> None:
        """A mock partition keeps five megabytes."""
        del records
        for number in range(14):
            await log.append([event("user", 100 + number, size=4096)] * 100, WITHIN_S)

    async def spoil(self) -> None:
        """Produce it."""
        producer = Producer({"bootstrap.servers": ",".join(self.servers)})
        producer.produce("EVENTS", SPOILT, partition=0)
        assert await asyncio.to_thread(producer.flush, WITHIN_S) == 0

    def break_readings(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every poll is an error of the client's."""

        def broken(consumer: object) -> None:
            del consumer
            raise KafkaException(KafkaError(KafkaError._FATAL))

        monkeypatch.setattr(kafka_reader, "take", broken)

    async def close(self) -> None:
        """End the cluster."""
        self._cluster = None


def opened(world: World, **limits: int | float) -> EventLog:
    """The log of a world."""
    usual: dict[str, int | float] = {"bytes_max": 64 << 20, "lanes": LANES, "connect_s_max": 1.0}
    settings = LogSettings(**usual | limits)  # type: ignore[arg-type]
    if isinstance(world, KafkaWorld):
        ports = {"identity": lambda client, name: name, "limits": lambda config, name: {"retention.ms": "3600000"}}
        return KafkaLog(world.servers, "EVENTS", settings, {}, **ports)  # type: ignore[arg-type]
    return open_log(world.url, settings, {})


def event(user: str, number: int, size: int = 0) -> events_pb2.Event:
    """One event of a user."""
    made = events_pb2.Event(
        event_id=f"{user}-{number}",
        user_id=user,
        item_id=f"item-{number}",
        interaction=events_pb2.INTERACTION_CLICK,
        context={f"{part}": "x" * 256 for part in range(size // 256)},
    )
    made.timestamp.seconds = 1_700_000_000 + number
    return made


async def taken(reads: AsyncGenerator[Read, None], events: int) -> list[Read]:
    """Reads, until so many events came."""
    found: list[Read] = []
    async with asyncio.timeout(WITHIN_S):
        async for read in reads:
            found.append(read)
            if sum(len(one.record.events) for one in found) >= events:
                return found
    return found


async def first(log: EventLog, events: int) -> list[Read]:
    """What stands in a log, from its beginning, up to so many events."""
    async with aclosing(log.follow(None)) as reads:
        return await taken(reads, events)


def ids(reads: Sequence[Read]) -> list[str]:
    """Of their events."""
    return [one.event_id for read in reads for one in read.record.events]


class Following:
    """A reader at work.

    Attributes:
        reads: what it got so far.
    """

    def __init__(self, log: EventLog) -> None:
        self.reads: list[Read] = []
        self._log = log
        self._task = asyncio.create_task(self._follow())

    async def until(self, name: str) -> None:
        """Wait until this event was read."""
        async with asyncio.timeout(WITHIN_S):
            while name not in ids(self.reads):  # noqa: ASYNC110 - it is what the reader got
                await asyncio.sleep(0.01)

    async def end(self) -> None:
        """End it."""
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _follow(self) -> None:
        async with aclosing(self._log.follow(None)) as reads:
            async for read in reads:
                self.reads.append(read)
