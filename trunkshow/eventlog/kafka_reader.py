"""Reading a topic: all its partitions, each from where the reader stands, without a consumer group.

Nobody else is asked where the reader was: it knows. The client reconnects by itself. A topic that was made anew shows
by offsets that go back, or by what somebody else asked of it; then, and whenever the client says that something is
wrong, the topic is looked at again.

A lane that ends before what a bounded reading is to reach has not ended: after a change of leaders a partition may seem
shorter for a moment than what was acknowledged. It is waited for, and then the log counts as gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import structlog
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaError, KafkaException, Message, TopicPartition

from trunkshow.eventlog.kafka_topic import Asker, Topic, why
from trunkshow.eventlog.log import LogUnavailable, Read
from trunkshow.eventlog.reading import Place, place_in
from trunkshow.eventlog.watermark import Watermark
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.serving.telemetry import Throttle

TAKEN_MAX = 512
POLL_S = 0.5
AGAIN_AFTER_S = 0.1
READ_WITHIN_S = 10.0
"""Seconds for which a bounded reading waits for a log that is gone."""

QUEUED_KB_MAX = 16 << 10
_PASSING = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._TIMED_OUT})
_log = structlog.get_logger(__name__)


class _Detached(Exception):
    """What is read may be another topic by now."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """A record, or, without data, that a lane seems to have no more of them now."""

    lane: int
    count: int
    behind: int
    data: bytes | None
    written_ms: int | None = None


class Reader:
    """Reads a topic.

    Args:
        config: of the client.
        name: of the topic.
        asker: tells how the topic is now.
        clock: a port: monotonic seconds.
    """

    def __init__(self, config: Mapping[str, Any], name: str, asker: Asker, clock: Clock = monotonic) -> None:
        self._config = dict(config) | {
            "group.id": name,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 100,
            "queued.max.messages.kbytes": QUEUED_KB_MAX,
        }
        self._name = name
        self._asker = asker
        self._clock = clock
        self._throttle = Throttle(10.0)

    async def follow(self, after: Watermark | None) -> AsyncGenerator[Read, None]:
        """Everything after a watermark, and what comes, without end."""
        mark = after
        while True:
            try:
                topic = await self._asker.topic(anew=True)
                place = self._place(topic, mark, await self._asker.ends(topic.lanes))
                async with aclosing(self._taken(place, range(topic.lanes))) as batches:
                    async for batch in batches:
                        if self._asker.known != topic:
                            raise _Detached("it is another topic, or has other partitions, now")
                        for one in batch:
                            place, read = _read(place, one)
                            if read is not None:
                                mark = read.watermark
                                yield read
            except (_Detached, LogUnavailable, KafkaException) as error:
                self._throttle.log(_log.warning, "log.reader_detached", error=why(error))
            await asyncio.sleep(AGAIN_AFTER_S)

    async def read(self, after: Watermark | None, until: Watermark) -> AsyncGenerator[Read, None]:
        """Everything after one watermark and up to another.

        Raises:
            LogUnavailable: nothing was heard of the log for a while, the client gave up, or it is another log.
        """
        try:
            async with aclosing(self._read(after, until)) as reads:
                async for read in reads:
                    yield read
        except (_Detached, KafkaException) as error:
            raise LogUnavailable(f"topic {self._name}: {why(error)}") from error

    async def _read(self, after: Watermark | None, until: Watermark) -> AsyncGenerator[Read, None]:
        topic, ends = await self._asked_within()
        if topic.log != until.log:
            raise LogUnavailable(f"{until.log} is gone; {topic.log} is in its place")
        place = self._place(topic, after, ends)
        left = {
            lane
            for lane, goal in until.counts.items()
            if lane in ends and place.next_count(lane) < goal and ends[lane][0] < goal
        }
        if not left:
            return
        heard_s = self._clock()
        async with aclosing(self._taken(place, tuple(left))) as batches:
            async for batch in batches:
                heard_s = self._clock() if any(one.data is not None for one in batch) else heard_s
                if self._clock() - heard_s > READ_WITHIN_S:
                    raise LogUnavailable(f"topic {self._name}: nothing was read for {READ_WITHIN_S:g} s")
                for one in batch:
                    if one.lane not in left:
                        continue
                    place, read = _read(place, one)
                    if read is not None and one.count <= until.counts[one.lane]:
                        yield read
                    if one.count >= until.counts[one.lane]:
                        left.discard(one.lane)
                if not left:
                    return

    async def _asked_within(self) -> tuple[Topic, dict[int, tuple[int, int]]]:
        """The topic and its lanes' ends, asked for again while there is time."""
        until_s = self._clock() + READ_WITHIN_S
        while True:
            try:
                topic = await self._asker.topic(anew=True)
                return topic, await self._asker.ends(topic.lanes)
            except LogUnavailable:
                if self._clock() > until_s:
                    raise
            await asyncio.sleep(AGAIN_AFTER_S)

    def _place(self, topic: Topic, after: Watermark | None, ends: Mapping[int, tuple[int, int]]) -> Place:
        """Where to read on. A lane that went back is read on from its end: what follows there is new."""
        place = place_in(topic.log, after)
        counts = {lane: min(count, ends[lane][1]) for lane, count in place.mark.counts.items() if lane in ends}
        if counts != dict(place.mark.counts):
            _log.warning("log.reader_went_back", read=str(place.mark))
        return replace(place, mark=Watermark(topic.log, counts))

    async def _taken(self, place: Place, lanes: range | tuple[int, ...]) -> AsyncGenerator[list[_Taken], None]:
        """What comes of these lanes, as it comes; an empty list where nothing did for a while.

        Raises:
            _Detached: it is over.
        """
        loop = asyncio.get_running_loop()
        thread = ThreadPoolExecutor(1, thread_name_prefix="log-reader")
        consumer = Consumer(self._config)
        try:
            wanted = [TopicPartition(self._name, lane, place.next_count(lane)) for lane in lanes]
            await loop.run_in_executor(thread, consumer.assign, wanted)
            reached = {lane: place.next_count(lane) for lane in lanes}
            while True:
                batch = await loop.run_in_executor(thread, _take, consumer)
                for one in batch:
                    if one.data is not None and one.count <= reached[one.lane]:
                        raise _Detached("its offsets went back")
                    reached[one.lane] = max(reached[one.lane], one.count)
                yield batch
        finally:
            # After the call that may be under way; nobody waits for it.
            thread.submit(consumer.close)
            thread.shutdown(wait=False)


def _read(place: Place, one: _Taken) -> tuple[Place, Read | None]:
    if one.data is None:
        return place, None
    return place.took(one.lane, one.count, one.data, one.behind, one.written_ms)


def _take(consumer: Consumer) -> list[_Taken]:
    """What is there, or the first that comes. It blocks."""
    first = consumer.poll(POLL_S)
    if first is None:
        return []
    messages = [first, *consumer.consume(TAKEN_MAX - 1, 0)]
    return [one for one in (_told(consumer, message) for message in messages) if one is not None]


def _told(consumer: Consumer, message: Message) -> _Taken | None:
    """A message as it is; None for trouble that passes.

    Raises:
        _Detached: for any other.
    """
    error, lane, offset = message.error(), message.partition(), message.offset()
    if error is not None and error.code() == KafkaError._PARTITION_EOF and lane is not None:
        return _Taken(lane, offset or 0, 0, None)
    if error is not None:
        if error.code() in _PASSING:
            return None
        raise _Detached(error.str())
    assert lane is not None
    assert offset is not None
    high = consumer.get_watermark_offsets(TopicPartition(message.topic() or "", lane), cached=True)
    behind = max(0, high[1] - offset - 1) if high else 0
    kind, moment_ms = message.timestamp()
    written_ms = moment_ms if kind == TIMESTAMP_LOG_APPEND_TIME else None  # else the producer's: a router's
    return _Taken(lane, offset + 1, behind, message.value() or b"", written_ms)
