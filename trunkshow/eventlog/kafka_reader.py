"""Reading a topic: all its partitions, each from where the reader stands, without a consumer group.

Nobody else is asked where the reader was: it knows. The client reconnects by itself. A topic that was made anew shows
by offsets that go back, or by what somebody else asked of it; then, and whenever the client says that something is
wrong, the topic is looked at again. One that was restored from an older copy shows by its records (`kafka_memory`).

A lane that ends before what a bounded reading is to reach has not ended: after a change of leaders a partition may seem
shorter for a moment than what was acknowledged. It is waited for, and then the log counts as gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import structlog
from confluent_kafka import KafkaException, TopicPartition

from trunkshow.eventlog.kafka_consumer import BROKER_GONE, Client, Detached, Taken, take
from trunkshow.eventlog.kafka_memory import Memory
from trunkshow.eventlog.kafka_recheck import Recheck
from trunkshow.eventlog.kafka_topic import Asker, Topic, why
from trunkshow.eventlog.log import LogUnavailable, LogWentBack, Read
from trunkshow.eventlog.reading import Place, place_in
from trunkshow.eventlog.watermark import Watermark
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.serving.telemetry import Throttle

AGAIN_AFTER_S = 0.1
READ_WITHIN_S = 10.0
"""Seconds for which a bounded reading waits for a log that is gone."""

QUEUED_KB_MAX = 16 << 10
_log = structlog.get_logger(__name__)


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
        """Everything after a watermark, and what comes, without end.

        Raises:
            LogWentBack: it is to be read from its beginning.
        """
        mark, memory = after, Memory()
        while True:
            try:
                topic = await self._asker.topic(anew=True)
                place = self._place(topic, mark, await self._asker.ends(topic.lanes))
                async with aclosing(self._taken(place, range(topic.lanes), memory)) as batches:
                    async for batch in batches:
                        if self._asker.known != topic:
                            raise Detached("it is another topic, or has other partitions, now")
                        for one in batch:
                            place, read = _read(place, one)
                            if read is not None:
                                mark = read.watermark
                                yield read
            except LogWentBack:
                raise
            except (Detached, LogUnavailable, KafkaException) as error:
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
        except (Detached, KafkaException) as error:
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
        async with aclosing(self._taken(place, tuple(left), Memory())) as batches:
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

    async def _taken(self, place: Place, lanes: Sequence[int], memory: Memory) -> AsyncGenerator[list[Taken], None]:
        """What comes of these lanes, as it comes; an empty list where nothing did for a while.

        Raises:
            Detached: it is over.
            LogWentBack: it is to be read from its beginning.
        """
        memory.begin(place.mark.log)
        loop = asyncio.get_running_loop()
        thread = ThreadPoolExecutor(1, thread_name_prefix="log-reader")
        consumer, recheck = Client(self._config), Recheck(self._config, self._name, memory, clock=self._clock)
        try:
            reached = {lane: memory.start(lane, place.next_count(lane)) for lane in lanes}
            wanted = [TopicPartition(self._name, lane, count) for lane, count in reached.items()]
            await loop.run_in_executor(thread, consumer.assign, wanted)
            while True:
                batch = await loop.run_in_executor(thread, take, consumer)
                for one in batch:
                    _remember(memory, reached, one)
                recheck.turn()
                yield [one for one in batch if one.data is None or one.count > place.next_count(one.lane)]
        finally:
            recheck.close()
            # After the call that may be under way; nobody waits for it.
            thread.submit(consumer.close)
            thread.shutdown(wait=False)


def _read(place: Place, one: Taken) -> tuple[Place, Read | None]:
    if one.data is None:
        return place, None
    return place.took(one.lane, one.count, one.data, one.behind, one.written_ms)


def _remember(memory: Memory, reached: dict[int, int], one: Taken) -> None:
    if one is BROKER_GONE:
        memory.doubt()
        return
    if one.data is not None:
        if one.count <= reached[one.lane]:
            raise Detached("its offsets went back")
        memory.took(one.lane, one.count, one.data)
    reached[one.lane] = max(reached[one.lane], one.count)
