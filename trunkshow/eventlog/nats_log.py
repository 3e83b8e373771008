"""The event log on NATS JetStream: one stream, one subject, one lane; a record's position is its sequence number.

An append is one message, shared with others that wait (`grouping`), or a few where it is large. What the connection's
end leaves unknown is sent again until the deadline: records come at least once anyway. Connections are
`nats_line`'s business, the stream's making `nats_stream`'s, reading `nats_reader`'s.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog
from nats.errors import Error as NatsError

from trunkshow.eventlog import nats_stream, packing
from trunkshow.eventlog.appending import Gate
from trunkshow.eventlog.grouping import Groups
from trunkshow.eventlog.log import LogUnavailable, NoRoom, Read
from trunkshow.eventlog.nats_connection import Connection, NoStream
from trunkshow.eventlog.nats_line import Line
from trunkshow.eventlog.nats_reader import Reader
from trunkshow.eventlog.nats_stream import Stream
from trunkshow.eventlog.settings import LogSettings
from trunkshow.eventlog.watermark import Watermark
from trunkshow.v1 import events_pb2, log_pb2

LANE = 0
AGAIN_AFTER_S = 0.05
_log = structlog.get_logger(__name__)
_FULL = ("maximum bytes", "maximum messages", "insufficient", "resource limit", "no space")
"""Of the server's words where it has no room."""


async def _no_options() -> Mapping[str, Any]:
    return {}


class NatsLog:
    """A log on NATS.

    Attributes:
        url: of it, without credentials.
        age_s: seconds for which it keeps a record, 0 without a limit; None before it was asked.

    Args:
        servers: addresses, `nats://HOST:PORT`.
        stream: its name.
        settings: limits.
        options: for every connection: credentials, TLS.
        clock: a port: seconds since the epoch.
    """

    def __init__(
        self,
        servers: Sequence[str],
        stream: str,
        settings: LogSettings,
        options: Callable[[], Awaitable[Mapping[str, Any]]] = _no_options,
        clock: Callable[[], float] = time.time,
    ) -> None:
        hosts = ",".join(server.partition("://")[2] for server in servers)
        self.url = f"nats://{hosts}/{stream}"
        self.age_s: float | None = None
        self._name = stream
        self._settings = settings
        self._told_of: tuple[float, int] | None = None
        self._clock = clock
        self._line = Line(servers, settings.connect_s_max, options)
        self._gate = Gate(settings.in_flight_max, settings.in_flight_bytes_max)
        self._groups = Groups(self._append)
        self._known: tuple[Connection, Stream] | None = None
        self._trouble = ""
        self._reader = Reader(self._line, stream, self._look_up)

    async def append(self, events: Sequence[events_pb2.Event], within_s: float) -> Watermark:
        """Write events; the watermark that covers them.

        Raises:
            LogUnavailable: it is not known whether they are in the log.
            LogFull: there is no room for them.
        """
        size = sum(event.ByteSize() for event in events)
        with self._gate.passed(len(events), size):
            return await self._within(within_s, self._groups.append(events, size))

    async def forget(self, forget: log_pb2.Forget, within_s: float) -> Watermark:
        """Write a tombstone; the watermark that covers it.

        Raises:
            LogUnavailable: it is not known whether it is in the log.
            LogFull: there is no room for it.
        """
        data = packing.tombstone(forget, self._clock()).data
        with self._gate.passed(0, len(data)):
            return await self._within(within_s, self._write([data]))

    async def tell(self, items: Sequence[events_pb2.NewItem], within_s: float) -> Watermark:
        """Write items; the watermark that covers them.

        Raises:
            LogUnavailable: it is not known whether they are in the log.
            LogFull: there is no room for them.
        """
        records = [packed.data for packed in packing.pack_items(items, self._clock())]
        with self._gate.passed(0, sum(map(len, records))):
            return await self._within(within_s, self._write(records))

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
        self._groups.close()
        await self._line.close()

    async def _within(self, within_s: float, asked: Awaitable[Watermark]) -> Watermark:
        try:
            async with asyncio.timeout(within_s):
                return await asked
        except TimeoutError:
            why = self._line.trouble or self._trouble or "it did not answer"
            raise LogUnavailable(f"{self.url}: {why}, within {within_s:g} s") from None

    async def _append(self, events: Sequence[events_pb2.Event]) -> Watermark:
        return await self._write([packed.data for packed in packing.pack(events, self._clock())])

    async def _write(self, records: Sequence[bytes]) -> Watermark:
        """Try until it is done; the deadlines are the callers'."""
        while True:
            connection = await self._line.connected()
            try:
                stream = await self._stream(connection)
                count = await self._publish(connection, records)
                if count <= stream.last:
                    # Behind what was there before: the stream was made anew.
                    stream = await self._look_up(connection)
                return Watermark(stream.log, {LANE: self._passed(connection, stream, count)})
            except (NoStream, OSError, NatsError, TimeoutError) as error:
                self._known, self._trouble = None, str(error) or type(error).__name__
            await asyncio.sleep(AGAIN_AFTER_S)

    async def _publish(self, connection: Connection, records: Sequence[bytes]) -> int:
        """Write records, in their order; the highest sequence number."""
        if len(records) == 1:
            return self._sequence(await connection.publish(self._name, records[0]))
        said = await asyncio.gather(*(connection.publish(self._name, record) for record in records))
        return max(map(self._sequence, said))

    def _sequence(self, said: Mapping[str, Any]) -> int:
        """The sequence number of an acknowledgement."""
        error = said.get("error")
        if error is None and said.get("stream") == self._name and isinstance(said.get("seq"), int):
            return int(said["seq"])
        told = str(error.get("description", "")) if isinstance(error, dict) else "an answer that is none"
        kind = NoRoom if any(word in told for word in _FULL) else LogUnavailable
        raise kind(f"{self.url}: {told}")

    def _passed(self, connection: Connection, stream: Stream, count: int) -> int:
        """Remember how far the stream is known to be."""
        if count > stream.last:
            self._known = connection, stream._replace(last=count)
        return count

    async def _end(self) -> Watermark:
        while True:
            connection = await self._line.connected()
            try:
                stream = await self._look_up(connection)
                return Watermark(stream.log, {LANE: stream.last} if stream.last else {})
            except (OSError, NatsError, TimeoutError) as error:
                self._trouble = str(error) or type(error).__name__
                await asyncio.sleep(AGAIN_AFTER_S)

    async def _stream(self, connection: Connection) -> Stream:
        """The stream as this connection knows it."""
        if self._known is not None and self._known[0] is connection:
            return self._known[1]
        return await self._look_up(connection)

    async def _look_up(self, connection: Connection) -> Stream:
        stream = await nats_stream.look_up(connection, self._name, self._settings)
        self._known = connection, stream
        self.age_s = stream.age_s
        self._compare(stream)
        return stream

    def _compare(self, stream: Stream) -> None:
        """A stream that exists keeps its own limits, whatever was asked for: told once."""
        kept, wanted = (stream.age_s, stream.bytes_max), (self._settings.age_s_max, self._settings.bytes_max)
        if not self._settings.makes or kept == self._told_of:
            return
        self._told_of = kept
        if not math.isclose(kept[0], wanted[0]) or kept[1] != wanted[1]:
            limits = {"age_s": kept[0], "bytes_max": kept[1], "age_s_wanted": wanted[0], "bytes_max_wanted": wanted[1]}
            _log.warning("log.settings_differ", stream=self._name, **limits)
