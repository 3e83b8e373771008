"""Reading a stream in its order: a consumer that only the server remembers, made anew wherever the reader stands.

Nothing is acknowledged, and nobody else is asked where the reader was: it knows. It asks for so much at a time, so what
it has not taken in yet stays at the server. A gap in the consumer's own numbers is a message that got lost on the way:
a new consumer starts there. A gap in the stream's numbers is a record that was removed. A new consumer is given the
furthest record again that was read, to see whether the stream still is what it was (`reading.Furthest`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import NamedTuple

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from trunkshow.eventlog.log import LogUnavailable, LogWentBack, Read
from trunkshow.eventlog.nats_connection import Connection
from trunkshow.eventlog.nats_line import Line
from trunkshow.eventlog.nats_message import Message, message_of
from trunkshow.eventlog.nats_stream import Stream
from trunkshow.eventlog.reading import Furthest, Place, place_in
from trunkshow.eventlog.watermark import Watermark
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.serving.telemetry import Throttle

LANE = 0
BATCH_RECORDS = 512
BATCH_BYTES_MAX = 8 << 20
BATCH_S_MAX = 30.0
HEARTBEAT_S = 1.0
SILENCE_S_MAX = 2.5
"""Seconds without a record or a sign of life after which a consumer counts as gone."""

FORGOTTEN_AFTER_S = 60.0
AGAIN_AFTER_S = 0.1
READ_WITHIN_S = 10.0
"""Seconds for which a bounded reading waits for a log that is gone."""

_NANOS = 1_000_000_000
_HEARTBEAT = "100"
_BATCH_ENDED = ("404", "408")
_BATCH_ENDED_FOR = ("Batch Completed", "Exceeds MaxBytes")
"""Of the descriptions of a conflict, those after which the consumer is there still."""

_log = structlog.get_logger(__name__)


class _Detached(Exception):
    """The consumer is gone, or lost a message."""


class _Step(NamedTuple):
    """A record, or None for one that is spoilt, and the place behind it."""

    mark: Watermark
    read: Read | None


class Reader:
    """Reads a stream.

    Args:
        line: gives connections.
        name: of the stream.
        look_up: tells how the stream is now.
        clock: a port: monotonic seconds.
    """

    def __init__(
        self,
        line: Line,
        name: str,
        look_up: Callable[[Connection], Awaitable[Stream]],
        clock: Clock = monotonic,
    ) -> None:
        self._line = line
        self._name = name
        self._look_up = look_up
        self._clock = clock
        self._throttle = Throttle(10.0)

    async def follow(self, after: Watermark | None) -> AsyncGenerator[Read, None]:
        """Everything after a watermark, and what comes, without end.

        Raises:
            LogWentBack: it is to be read from its beginning.
        """
        mark, furthest = after, Furthest()
        while True:
            try:
                async with aclosing(self._attached(mark, furthest)) as reads:
                    async for step in reads:
                        if step is not None and step.read is not None:
                            mark = step.mark
                            yield step.read
            except LogWentBack:
                raise
            except (_Detached, OSError, NatsError, TimeoutError, LogUnavailable) as error:
                self._throttle.log(_log.warning, "log.reader_detached", error=str(error) or type(error).__name__)
            await asyncio.sleep(AGAIN_AFTER_S)

    async def read(self, after: Watermark | None, until: Watermark) -> AsyncGenerator[Read, None]:
        """Everything after one watermark and up to another.

        Raises:
            LogUnavailable: nothing was heard of the log for a while, or it is another one.
        """
        mark = seen = (
            after  # a spoilt record was seen, and is read again where the next one, which tells of it, was not
        )
        goal, furthest = until.counts.get(LANE, 0), Furthest()
        stuck_after_s = self._clock() + READ_WITHIN_S
        while await self._is_left(seen, until):
            if self._clock() > stuck_after_s:
                raise LogUnavailable(f"stream {self._name}: nothing was read for {READ_WITHIN_S:g} s")
            with suppress(_Detached, OSError, NatsError, TimeoutError):
                async with aclosing(self._attached(mark, furthest)) as reads:
                    async for step in reads:
                        if step is None:
                            break  # nothing came for a while: look whether anything can
                        seen, stuck_after_s = step.mark, self._clock() + READ_WITHIN_S
                        if step.read is not None and seen.counts[LANE] <= goal:
                            mark = seen
                            yield step.read
                        if seen.counts[LANE] >= goal:
                            return
            await asyncio.sleep(AGAIN_AFTER_S)

    async def _is_left(self, after: Watermark | None, until: Watermark) -> bool:
        """Whether there is a record between two watermarks; the first one may be of another log."""
        try:
            async with asyncio.timeout(READ_WITHIN_S):
                return await self._asked_is_left(after, until)
        except TimeoutError:
            why = self._line.trouble or "it did not answer"
            raise LogUnavailable(f"stream {self._name}: {why}, within {READ_WITHIN_S:g} s") from None

    async def _asked_is_left(self, after: Watermark | None, until: Watermark) -> bool:
        while True:
            connection = await self._line.connected()
            try:
                stream = await self._look_up(connection)
                if stream.log != until.log:
                    raise LogUnavailable(f"{until.log} is gone; {stream.log} is in its place")
                goal = until.counts.get(LANE, 0)
                start = place_in(stream.log, after).next_count(LANE) + 1
                if start > goal or stream.first > goal:
                    return False
                asked = connection.stream.get_msg(self._name, seq=start, subject=self._name, next=True)
                found = await connection.answered(asked)
                return found.seq is not None and found.seq <= goal
            except NotFoundError:
                return False
            except (OSError, NatsError, TimeoutError):
                await asyncio.sleep(AGAIN_AFTER_S)

    async def _attached(self, after: Watermark | None, furthest: Furthest) -> AsyncGenerator[_Step | None, None]:
        """What one consumer gives, and None whenever nothing came for a while.

        Raises:
            _Detached: it is over.
            LogWentBack: it is to be read from its beginning.
        """
        connection = await self._line.connected()
        place, start = _start(await self._look_up(connection), after)
        log = place.mark.log
        async with aclosing(self._messages(connection, furthest.start(log, start))) as messages:
            given = 0
            async for message in messages:
                if message is None:
                    yield None
                    continue
                if message.given != given + 1:
                    raise _Detached
                given = message.given
                furthest.took(log, message.sequence, message.data)
                if message.sequence < start:
                    continue
                place, read = place.took(LANE, message.sequence, message.data, message.left, message.written_ms)
                yield _Step(place.mark, read)

    async def _messages(self, connection: Connection, start: int) -> AsyncGenerator[Message | None, None]:
        """What a new consumer gives from there on, batch by batch; None for a sign of life."""
        queue: asyncio.Queue[Msg | None] = asyncio.Queue()

        async def arrived(message: Msg) -> None:
            queue.put_nowait(message)

        inbox = connection.client.new_inbox()
        subscription = await connection.answered(connection.client.subscribe(inbox, cb=arrived))
        forget = connection.on_lost(lambda: queue.put_nowait(None))
        consumer = ""
        try:
            consumer = await self._consumer(connection, start)
            asked = 0
            while True:
                if asked <= BATCH_RECORDS // 2:  # the next batch is on its way before this one has ended
                    await self._ask(connection, consumer, inbox)
                    asked += BATCH_RECORDS
                taken = await _next(queue)
                asked -= taken if isinstance(taken, int) else taken is not None
                if not isinstance(taken, int):
                    yield taken
        finally:
            forget()
            await self._leave(connection, subscription.unsubscribe, consumer)

    async def _consumer(self, connection: Connection, start: int) -> str:
        config = ConsumerConfig(
            ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=start,
            inactive_threshold=FORGOTTEN_AFTER_S,
            mem_storage=True,
            num_replicas=1,
        )
        return (await connection.answered(connection.stream.add_consumer(self._name, config))).name

    async def _ask(self, connection: Connection, consumer: str, inbox: str) -> None:
        wanted = {
            "batch": BATCH_RECORDS,
            "max_bytes": BATCH_BYTES_MAX,
            "expires": int(BATCH_S_MAX * _NANOS),
            "idle_heartbeat": int(HEARTBEAT_S * _NANOS),
        }
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._name}.{consumer}"
        await connection.answered(connection.client.publish(subject, json.dumps(wanted).encode(), reply=inbox))

    async def _leave(self, connection: Connection, unsubscribe: Callable[[], Awaitable[None]], consumer: str) -> None:
        """Let the server forget it now; it would in a minute anyway."""
        if connection.lost.is_set():
            return
        with suppress(OSError, NatsError, TimeoutError):
            async with asyncio.timeout(1):
                await connection.answered(unsubscribe())
                if consumer:
                    await connection.answered(connection.stream.delete_consumer(self._name, consumer))


def _start(stream: Stream, after: Watermark | None) -> tuple[Place, int]:
    """Where to read on, and from which sequence number.

    A log that went back, restored from an older copy, is read on from its end: what follows there is new.
    """
    place = place_in(stream.log, after)
    read = place.next_count(LANE)
    if read > stream.last:
        _log.warning("log.reader_went_back", read=read, last=stream.last)
        place = Place(Watermark(stream.log, {LANE: stream.last}))
    return place, min(read, stream.last) + 1


async def _next(queue: asyncio.Queue[Msg | None]) -> Message | int | None:
    """A record; None for a sign of life; or how many records a batch ended without."""
    try:
        message = queue.get_nowait()  # most are there: the deadline of each would cost as much as its parsing
    except asyncio.QueueEmpty:
        message = await _awaited(queue)
    if message is None:
        raise _Detached
    headers = message.headers or {}
    status = headers.get("Status", "")
    if status == _HEARTBEAT:
        return None
    if status in _BATCH_ENDED or any(words in headers.get("Description", "") for words in _BATCH_ENDED_FOR):
        return int(headers.get("Nats-Pending-Messages", BATCH_RECORDS))
    if status:
        raise _Detached
    try:
        return message_of(message)
    except ValueError:
        raise _Detached from None


async def _awaited(queue: asyncio.Queue[Msg | None]) -> Msg | None:
    try:
        async with asyncio.timeout(SILENCE_S_MAX):
            return await queue.get()
    except TimeoutError:
        raise _Detached from None
