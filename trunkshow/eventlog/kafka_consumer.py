"""A consumer, and what it gives: records of lanes, where these seem to end, and when a broker was lost between them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaError, Message, TopicPartition

TAKEN_MAX = 512
POLL_S = 0.5
_PASSING = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._TIMED_OUT})


class Detached(Exception):
    """What is read may be another topic by now."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A record, or, without data, that a lane seems to have no more of them now."""

    lane: int
    count: int
    behind: int
    data: bytes | None
    written_ms: int | None = None


BROKER_GONE = Taken(-1, 0, 0, None)
"""Between what came before that and what comes after it."""


class Client(Consumer):
    """A consumer that remembers whether brokers were lost."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        lost, tell = threading.Event(), config.get("error_cb")

        def trouble(error: KafkaError) -> None:
            lost.set()
            if tell is not None:
                tell(error)

        self._lost = lost
        super().__init__(dict(config) | {"error_cb": trouble})

    def lost_broker(self) -> bool:
        """Whether one was, since this was last asked."""
        lost = self._lost.is_set()
        self._lost.clear()
        return lost


def take(consumer: Client) -> list[Taken]:
    """What is there, or the first that comes; one by one, to know what came before a broker was lost. It blocks.

    Raises:
        Detached: there will be no more.
    """
    taken: list[Taken] = []
    for at in range(TAKEN_MAX):
        message = consumer.poll(0 if at else POLL_S)
        if consumer.lost_broker():  # the client tells of it in between, on this thread
            taken.append(BROKER_GONE)
        if message is None:
            break
        if (one := _told(consumer, message)) is not None:
            taken.append(one)
    return taken


def _told(consumer: Consumer, message: Message) -> Taken | None:
    """A message as it is; None for trouble that passes.

    Raises:
        Detached: for any other.
    """
    error, lane, offset = message.error(), message.partition(), message.offset()
    if error is not None and error.code() == KafkaError._PARTITION_EOF and lane is not None:
        return Taken(lane, offset or 0, 0, None)
    if error is not None:
        if error.code() in _PASSING:
            return None
        raise Detached(error.str())
    assert lane is not None
    assert offset is not None
    high = consumer.get_watermark_offsets(TopicPartition(message.topic() or "", lane), cached=True)
    behind = max(0, high[1] - offset - 1) if high else 0
    kind, moment_ms = message.timestamp()
    written_ms = moment_ms if kind == TIMESTAMP_LOG_APPEND_TIME else None  # else the producer's: a router's
    return Taken(lane, offset + 1, behind, message.value() or b"", written_ms)
