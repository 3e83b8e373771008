"""Looks at records of a topic again, beside its reader: every few seconds, for little, and never in its way.

What is looked at, and what follows from it, is `kafka_memory`'s business. Each look is by a client that is made for it,
and so knows nothing of how the topic was.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from trunkshow.eventlog.kafka_memory import Fate, Fates, Memory, Stood
from trunkshow.serving.deadline import Clock, monotonic

LOOK_EVERY_S = 4.0
ANSWER_S_MAX = 10.0
"""Seconds for one look; the next one waits for it."""

POLL_S = 0.1
FETCH_BYTES = 64 << 10
"""Of a lane at a time; a larger record comes all the same, in another fetch."""

_log = structlog.get_logger(__name__)


Look = Callable[[Mapping[str, Any], str, Sequence[Stood], threading.Event], Fates]
"""Records of a topic, by the client's configuration and the name, until told to stop; it may block so long."""


class Recheck:
    """Looks at what a reader was given, on a thread of its own.

    Args:
        config: of the reader's client.
        name: of the topic.
        memory: of the reader.
        look: a port: asks the cluster.
        clock: a port: monotonic seconds.
    """

    def __init__(
        self, config: Mapping[str, Any], name: str, memory: Memory, look: Look | None = None, clock: Clock = monotonic
    ) -> None:
        self._config = config
        self._name = name
        self._memory = memory
        self._look = look or fates
        self._clock = clock
        self._next_at = clock() + LOOK_EVERY_S
        self._looking: Future[Fates] | None = None
        self._closed = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log-recheck")

    def turn(self) -> None:
        """Take in what was found, and have it looked again where it is time to; returns at once.

        Raises:
            LogWentBack: the log has other records than it had.
        """
        if self._looking is not None:
            if not self._looking.done():
                return
            found, self._looking = self._looking.result(), None
            self._memory.looked(found)
        if self._clock() >= self._next_at:
            self._next_at = self._clock() + LOOK_EVERY_S
            wanted = self._memory.wanted()
            self._looking = self._thread.submit(self._look, self._config, self._name, wanted, self._closed)

    def close(self) -> None:
        """Look no more."""
        self._closed.set()
        self._thread.shutdown(wait=False, cancel_futures=True)


def fates(config: Mapping[str, Any], name: str, wanted: Sequence[Stood], closed: threading.Event) -> Fates:
    """What a cluster has where these records stood, as far as it says so in time."""
    if not wanted:
        return {}
    until_s, found = monotonic() + ANSWER_S_MAX, dict[Stood, Fate]()
    few = {"max.partition.fetch.bytes": FETCH_BYTES, "queued.min.messages": 1}
    try:
        consumer = Consumer(dict(config) | few)
        try:
            for left in _one_of_each_lane(wanted):
                consumer.assign([TopicPartition(name, one.lane, one.number - 1) for one in left.values()])
                while left and monotonic() < until_s and not closed.is_set():
                    message = consumer.poll(POLL_S)
                    one = None if message is None else left.get(_lane(message))
                    if message is not None and one is not None:
                        del left[one.lane]
                        if fate := _fate(one, message):
                            found[one] = fate
        finally:
            consumer.close()
    except KafkaException as error:
        _log.warning("log.not_looked_at", topic=name, error=str(error))
    return found


def _one_of_each_lane(wanted: Sequence[Stood]) -> Iterator[dict[int, Stood]]:
    rest = list(wanted)
    while rest:
        left = {one.lane: one for one in rest}
        rest = [one for one in rest if left[one.lane] is not one]
        yield left


def _lane(message: Message) -> int:
    """Which one it tells of; -1 for trouble."""
    error = message.error()
    told = error is None or error.code() == KafkaError._PARTITION_EOF
    return -1 if not told or (lane := message.partition()) is None else lane


def _fate(one: Stood, message: Message) -> Fate | None:
    """Of a record, by the first that comes from its place on; None where the lane ends before it, and begins anew."""
    at = message.offset()
    if at is None or at < one.number - 1:
        return None
    if at > one.number - 1:
        return Fate.REMOVED
    if message.error() is not None:
        return None
    return Fate.SAME if hash(message.value() or b"") == one.digest else Fate.OTHER
