"""The event log on Kafka: a topic, whose partitions are lanes; a user's events go to one by a hash of the user's id.

A call's events are one message for each lane that its users are in. What is acknowledged is on all in-sync replicas
(`acks=all`); the idempotent producer keeps a lane's order while it sends again. A topic forgets when it is full
(`retention.bytes`): Kafka has no way to refuse, so what is full here is what waits to be sent. With another number of
partitions users change lanes: it is another log then, and all of it is read anew. The client's calls that block are
made on threads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog
from confluent_kafka import KafkaError

from trunkshow.eventlog import packing
from trunkshow.eventlog.appending import Gate
from trunkshow.eventlog.kafka_limits import Ask, LimitsWatch, topic_settings
from trunkshow.eventlog.kafka_reader import Reader
from trunkshow.eventlog.kafka_sender import Sender
from trunkshow.eventlog.kafka_topic import Asker, Identity, topic_id
from trunkshow.eventlog.log import LogFull, LogMissing, LogUnavailable, Read
from trunkshow.eventlog.packing import Packed
from trunkshow.eventlog.settings import LogSettings
from trunkshow.eventlog.watermark import Watermark
from trunkshow.serving.telemetry import Throttle
from trunkshow.v1 import events_pb2, log_pb2

DELIVERY_S_MAX = 10.0
"""Seconds for which the client goes on sending what its caller may have given up."""

LINGER_MS = 2
_log = structlog.get_logger(__name__)
_throttle = Throttle(10.0)


class KafkaLog:
    """A log on Kafka.

    Attributes:
        url: of it, without credentials.

    Args:
        servers: HOST:PORT each.
        topic: its name.
        settings: limits.
        config: of the client: credentials, TLS.
        identity: a port: tells topics of the same name apart.
        limits: a port: a topic's settings.
        clock: a port: seconds since the epoch.
    """

    def __init__(
        self,
        servers: Sequence[str],
        topic: str,
        settings: LogSettings,
        config: Mapping[str, Any],
        identity: Identity = topic_id,
        limits: Ask = topic_settings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.url = f"kafka://{','.join(servers)}/{topic}"
        self._topic = topic
        self._clock = clock
        common = dict(config) | {
            "bootstrap.servers": ",".join(servers),
            "socket.connection.setup.timeout.ms": int(settings.connect_s_max * 1000),
            "reconnect.backoff.max.ms": 1000,
            "log_level": 2,
            "error_cb": _told,
        }
        self._limits = LimitsWatch(common, topic, settings, limits)
        self._asker = Asker(common, topic, settings, identity, self._limits)
        self._reader = Reader(common, topic, self._asker)
        self._sender = Sender(
            common
            | {
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": LINGER_MS,
                "delivery.timeout.ms": int(DELIVERY_S_MAX * 1000),
                "queue.buffering.max.kbytes": max(1, 2 * settings.in_flight_bytes_max // 1024),
            },
            topic,
        )
        self._gate = Gate(settings.in_flight_max, settings.in_flight_bytes_max)

    @property
    def age_s(self) -> float | None:
        """Seconds for which it keeps a record, 0 without a limit, as the topic says; None where it does not."""
        return None if self._limits.known is None else self._limits.known.age_s

    async def append(self, events: Sequence[events_pb2.Event], within_s: float) -> Watermark:
        """Write events; the watermark that covers them.

        Raises:
            LogUnavailable: it is not known whether they are in the log.
            LogFull: more waits to be sent than may.
        """
        size = sum(event.ByteSize() for event in events)
        with self._gate.passed(len(events), size):
            return await self._within(within_s, self._append(events))

    async def forget(self, forget: log_pb2.Forget, within_s: float) -> Watermark:
        """Write a tombstone; the watermark that covers it.

        Raises:
            LogUnavailable: it is not known whether it is in the log.
            LogFull: more waits to be sent than may.
        """
        with self._gate.passed(0, forget.ByteSize()):
            return await self._within(within_s, self._forget(forget))

    async def tell(self, items: Sequence[events_pb2.NewItem], within_s: float) -> Watermark:
        """Write items; the watermark that covers them.

        Raises:
            LogUnavailable: it is not known whether they are in the log.
            LogFull: more waits to be sent than may.
        """
        records = packing.pack_items(items, self._clock())
        with self._gate.passed(0, sum(len(record.data) for record in records)):
            return await self._within(within_s, self._tell(records))

    async def end(self, within_s: float) -> Watermark:
        """The watermark of everything that is in the log.

        Raises:
            LogUnavailable: it cannot be told.
        """
        return await self._within(within_s, self._end())

    def follow(self, after: Watermark | None) -> AsyncGenerator[Read, None]:
        """Everything after a watermark, and what comes, without end."""
        return self._reader.follow(after)

    def read(self, after: Watermark | None, until: Watermark) -> AsyncGenerator[Read, None]:
        """Everything after one watermark and up to another.

        Raises:
            LogUnavailable: the log is gone for longer than is waited.
        """
        return self._reader.read(after, until)

    async def close(self) -> None:
        """Let go of it."""
        self._limits.close()
        await asyncio.to_thread(self._sender.close)
        await self._asker.close()

    async def _within(self, within_s: float, asked: Awaitable[Watermark]) -> Watermark:
        try:
            async with asyncio.timeout(within_s):
                return await asked
        except TimeoutError:
            raise LogUnavailable(f"{self.url}: it did not answer within {within_s:g} s") from None
        except (LogFull, LogMissing):
            raise
        except LogUnavailable as error:
            raise LogUnavailable(f"{self.url}: {error}, within {within_s:g} s") from error

    async def _append(self, events: Sequence[events_pb2.Event]) -> Watermark:
        topic = await self._asker.topic()
        return await self._write(topic.log, packing.pack(events, self._clock(), topic.lanes))

    async def _forget(self, forget: log_pb2.Forget) -> Watermark:
        topic = await self._asker.topic()
        return await self._write(topic.log, [packing.tombstone(forget, self._clock(), topic.lanes)])

    async def _tell(self, records: Sequence[Packed]) -> Watermark:
        return await self._write((await self._asker.topic()).log, records)

    async def _write(self, log: str, records: Sequence[Packed]) -> Watermark:
        counts = await asyncio.gather(*[self._sender.send(record) for record in records])
        mark = Watermark(log)
        for record, count in zip(records, counts, strict=True):
            mark = mark.advanced(record.lane, count)
        return mark

    async def _end(self) -> Watermark:
        topic = await self._asker.topic(anew=True)
        ends = await self._asker.ends(topic.lanes)
        return Watermark(topic.log, {lane: end for lane, (_, end) in ends.items() if end})


def _told(error: KafkaError) -> None:
    """What the client says of its connections; it sees to them itself."""
    _throttle.log(_log.warning, "log.trouble", error=error.name())
