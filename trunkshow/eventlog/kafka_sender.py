"""Sending to a topic: a producer, and the thread on which it tells what became of messages."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from trunkshow.eventlog.kafka_topic import why
from trunkshow.eventlog.log import LogFull, LogUnavailable
from trunkshow.eventlog.packing import Packed

POLL_S = 0.1


class Sender:
    """A producer, and the thread on which it tells what became of messages.

    Args:
        config: of the producer.
        topic: to write to.
    """

    def __init__(self, config: Mapping[str, Any], topic: str) -> None:
        self._config = config
        self._topic = topic
        self._producer: Producer | None = None
        self._closed = threading.Event()

    def send(self, record: Packed) -> asyncio.Future[int]:
        """Write one record; the count of its lane's records up to it, once it is durable.

        Raises:
            LogUnavailable: it was not even queued.
            LogFull: since too much is.
        """
        loop = asyncio.get_running_loop()
        told: asyncio.Future[int] = loop.create_future()

        producer = self._opened()

        def delivered(error: KafkaError | None, message: Message) -> None:
            with suppress(RuntimeError):  # the loop has ended, and nobody waits any more
                loop.call_soon_threadsafe(self._settle, producer, told, error, message.offset())

        try:
            producer.produce(self._topic, record.data, partition=record.lane, on_delivery=delivered)
        except BufferError:
            raise LogFull(f"topic {self._topic}: too much waits to be sent") from None
        except KafkaException as error:
            raise LogUnavailable(f"topic {self._topic}: {why(error)}") from error
        return told

    def close(self) -> None:
        """Drop what was not sent. It blocks for a moment."""
        self._closed.set()
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.flush(1.0)

    def _opened(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(dict(self._config))
            threading.Thread(target=self._poll, args=(self._producer,), name="log-sender", daemon=True).start()
        return self._producer

    def _poll(self, producer: Producer) -> None:
        while not self._closed.is_set() and producer is self._producer:
            producer.poll(POLL_S)

    def _settle(
        self, producer: Producer, told: asyncio.Future[int], error: KafkaError | None, offset: int | None
    ) -> None:
        if error is not None and error.fatal() and self._producer is producer:
            self._producer = None  # it will never send again; the next append makes another
        if told.done():
            return
        if error is not None or offset is None:
            told.set_exception(LogUnavailable(f"topic {self._topic}: {error.str() if error else 'no offset was told'}"))
        else:
            told.set_result(offset + 1)
