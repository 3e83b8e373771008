"""One connection to NATS, from when it is made until it is lost; the next one is `nats_line`'s to make.

The client's own reconnecting is off: it gives up for good on some errors, and sends what was written meanwhile once it
is back, when its sender has long been told that it failed. Here a connection that is lost is lost, and whoever waits
for an acknowledgement on it is told at once. It also counts as lost when the server is silent, so nobody hangs on one
that is frozen or cut off.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import UnexpectedEOF
from nats.js import JetStreamContext

ANSWER_S_MAX = 2.0
"""Seconds for the server's answer to a question about a stream."""

SILENCE_S_MAX = 2.0
"""Seconds between two looks at whether the server still answers, and for its answer."""

RETRY_S = 0.05
"""Between the client's tries of one server and the next."""

PENDING_BYTES_MAX = 8 << 20
_NO_RESPONDERS = "503"

_Answer = TypeVar("_Answer")
_log = structlog.get_logger(__name__)


class ConnectionLost(ConnectionError):
    """The connection ended before the answer came."""


class NoStream(Exception):
    """Nobody takes messages on this subject: the stream is not there, or has no leader now."""


class Connection:
    """One connection, from when it is made until it is lost.

    Attributes:
        client: the client's own object.
        stream: for questions about streams.
        lost: set once it ended.
    """

    def __init__(self) -> None:
        self.client = Client()
        self.stream: JetStreamContext = self.client.jetstream(timeout=ANSWER_S_MAX)
        self.lost = asyncio.Event()
        self._acknowledged: dict[str, asyncio.Future[Msg]] = {}
        self._inbox = ""
        self._sent = 0
        self._told: set[Callable[[], None]] = set()

    async def open(self, servers: Sequence[str], within_s: float, **options: Any) -> None:
        """Connect to one of these servers.

        Raises:
            OSError | NatsError | TimeoutError: there is none, or it does not want this client.
        """
        try:
            async with asyncio.timeout(within_s):
                await self.client.connect(
                    list(servers),
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=RETRY_S,  # type: ignore[arg-type]  # it is slept as it is
                    connect_timeout=within_s,  # type: ignore[arg-type]  # so is this
                    ping_interval=3600,
                    pending_size=PENDING_BYTES_MAX,
                    flush_timeout=SILENCE_S_MAX,  # else who writes beyond that waits for ever once the connection ends
                    closed_cb=self._ended,
                    error_cb=self._failed,
                    **options,
                )
                self._inbox = self.client.new_inbox()
                await self.client.subscribe(f"{self._inbox}.*", cb=self._acknowledged_by)
        except BaseException:
            await self.close()
            raise

    async def publish(self, subject: str, data: bytes) -> Mapping[str, Any]:
        """Send a message to a stream; what the stream says of it.

        Raises:
            ConnectionLost: it may have the message, or not.
            NoStream: it does not have it.
        """
        self._sent += 1
        token = f"{self._inbox}.{self._sent}"
        answer = self._acknowledged[token] = asyncio.get_running_loop().create_future()
        try:
            if self.lost.is_set():
                raise ConnectionLost
            await self.client.publish(subject, data, reply=token)
            message = await answer
        finally:
            self._acknowledged.pop(token, None)
        if message.headers and message.headers.get("Status") == _NO_RESPONDERS:
            raise NoStream
        return _read(message.data)

    async def answered(self, question: Awaitable[_Answer]) -> _Answer:
        """The answer to what is asked of the client; who is called off, or told that it is lost, waits no longer.

        The client takes some cancellations for itself, and may then wait for a connection that has ended.

        Raises:
            ConnectionLost: before it came.
            OSError | NatsError | TimeoutError: it is none.
        """
        asking = asyncio.ensure_future(question)
        asking.add_done_callback(_hear)
        ending = asyncio.create_task(self.lost.wait())
        try:
            await asyncio.wait({asking, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise ConnectionLost
            return asking.result()
        finally:
            asking.cancel()
            ending.cancel()

    async def until_lost(self) -> None:
        """Return once it is lost, having looked every now and then whether it is."""
        ending = asyncio.create_task(self.lost.wait())
        try:
            while not ending.done():
                await asyncio.wait({ending}, timeout=SILENCE_S_MAX)
                looking = asyncio.create_task(self._look())
                await asyncio.wait({ending, looking}, return_when=asyncio.FIRST_COMPLETED)
                looking.cancel()
        finally:
            ending.cancel()

    def on_lost(self, tell: Callable[[], None]) -> Callable[[], None]:
        """Have this called once it is lost; the answer takes that back."""
        self._told.add(tell)
        return lambda: self._told.discard(tell)

    async def close(self) -> None:
        """End it; what the server does not take in time is dropped."""
        self._lose()
        with suppress(OSError, NatsError, TimeoutError):
            async with asyncio.timeout(1):
                await self.client.close()

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(SILENCE_S_MAX):
                await self.client.flush()
        except (OSError, NatsError, TimeoutError) as error:
            _log.warning("log.silent", error=type(error).__name__)
            self._lose()

    async def _acknowledged_by(self, message: Msg) -> None:
        answer = self._acknowledged.get(message.subject)
        if answer is not None and not answer.done():
            answer.set_result(message)

    async def _ended(self) -> None:
        self._lose()

    async def _failed(self, error: Exception) -> None:
        # Said before the client has closed everything, which takes as long as the other end likes.
        if self._inbox and isinstance(error, (OSError, UnexpectedEOF)):
            self._lose()

    def _lose(self) -> None:
        if self.lost.is_set():
            return
        self.lost.set()
        for answer in self._acknowledged.values():
            if not answer.done():
                answer.set_exception(ConnectionLost())
        for tell in tuple(self._told):
            tell()


def _hear(asked: asyncio.Future[Any]) -> None:
    """What it raised when nobody waited any more is nobody's concern."""
    if not asked.cancelled():
        asked.exception()


def _read(data: bytes) -> Mapping[str, Any]:
    """What an acknowledgement says; nothing where it is none."""
    try:
        said = json.loads(data)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
