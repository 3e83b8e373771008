"""Redis's protocol as both of its peers speak it: hiredis on asyncio, one connection, pipelined as callers come.

What callers ask within one turn of the event loop leaves in one write, as the pipelining clients of other languages do
it: the best that Redis's users have.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, cast

import hiredis


class Connection(asyncio.Protocol):
    """A connection; commands are answered in their order."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader()
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._unsent: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Answer whoever waits longest."""
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody will be answered any more."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(exc or ConnectionResetError("the connection was closed"))

    def send(self, *commands: bytes) -> list[asyncio.Future[Any]]:
        """Send packed commands in this turn's write; their replies to come."""
        replies = [self._loop.create_future() for _ in commands]
        self._waiting.extend(replies)
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.extend(commands)
        return replies

    async def call(self, *parts: bytes | str | int) -> Any:
        """One command, packed here.

        Raises:
            hiredis.ReplyError: what Redis says of it.
        """
        (reply,) = self.send(pack(*parts))
        came = await reply
        if isinstance(came, hiredis.ReplyError):
            raise came
        return came

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        if self._transport is not None:
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()


async def connect(host: str, port: int) -> Connection:
    """A connection to Redis."""
    _, connection = await asyncio.get_running_loop().create_connection(Connection, host, port)
    return connection


def pack(*parts: bytes | str | int) -> bytes:
    """A command as bytes to send."""
    packed: bytes = hiredis.pack_command(parts)
    return packed
