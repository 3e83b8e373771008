"""How much room the event log has: its stream's limit, moved down to about what it holds, and up again.

So a log of seconds is as full as one of months on a disk that is too small, and gigabytes need not be written for it.
The stream refuses what is new, as ever (`trunkshow.eventlog.nats_stream`); what it holds stays.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from trunkshow.eventlog.nats_connection import Connection
from trunkshow.eventlog.opening import parse

CONNECT_WITHIN_S = 5.0


async def leave(log: str, room_bytes: int) -> None:
    """Leave a log, by its address, room for so many bytes more than it holds now.

    Raises:
        OSError | NatsError | TimeoutError: it does not answer.
    """
    async with _connected(log) as (connection, stream):
        info = await connection.answered(connection.stream.stream_info(stream))
        full = connection.stream.update_stream(info.config, max_bytes=info.state.bytes + room_bytes)
        await connection.answered(full)


async def allow(log: str, bytes_max: int) -> None:
    """Let a log, by its address, hold so many bytes.

    Raises:
        OSError | NatsError | TimeoutError: it does not answer.
    """
    async with _connected(log) as (connection, stream):
        info = await connection.answered(connection.stream.stream_info(stream))
        await connection.answered(connection.stream.update_stream(info.config, max_bytes=bytes_max))


@asynccontextmanager
async def _connected(log: str) -> AsyncIterator[tuple[Connection, str]]:
    """A connection to a log's servers, and its stream's name."""
    address, connection = parse(log), Connection()
    await connection.open([f"nats://{server}" for server in address.servers], CONNECT_WITHIN_S)
    try:
        yield connection, address.name
    finally:
        await connection.close()
