"""An address behind which there is one mock cluster of a single broker, or another: a broker whose files were replaced.

Brokers say where they are, and of which cluster; what they say of that on the way is changed, so that a client goes
through here only, and finds the cluster that it knew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from confluent_kafka.admin import AdminClient
from kafka_brokers import KafkaBrokers

HOST = b"127.0.0.1"
"""As brokers write it; a number of four bytes, the port, follows."""

LENGTH_BYTES = 4


class Detour:
    """Where clients connect to.

    Attributes:
        address: HOST:PORT, whatever is behind it.
    """

    def __init__(self, listener: asyncio.Server) -> None:
        self._port: int = listener.sockets[0].getsockname()[1]
        self.address = f"127.0.0.1:{self._port}"
        self._target = 0
        self._known = b""
        self._changes: Mapping[bytes, bytes] = {}
        self._writers: set[asyncio.StreamWriter] = set()

    async def lead_to(self, brokers: KafkaBrokers) -> None:
        """From now on; whoever is connected is cut off."""
        (server,) = brokers.servers
        listed = await asyncio.to_thread(AdminClient({"bootstrap.servers": server}).list_topics, timeout=60)
        name = short(listed.cluster_id)
        self._known = self._known or name
        self._target = int(server.rsplit(":", 1)[1])
        self._changes = {at(self._target): at(self._port), name: self._known}
        self.cut()

    def cut(self) -> None:
        """End all connections."""
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        changes = self._changes
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, back}
        await asyncio.gather(pump(reader, back, {}), pump(there, writer, changes))


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, changes: Mapping[bytes, bytes]) -> None:
    """Message by message."""
    try:
        while True:
            length = await reader.readexactly(LENGTH_BYTES)
            message = await reader.readexactly(int.from_bytes(length, "big"))
            for old, new in changes.items():
                message = message.replace(old, new)
            writer.write(len(message).to_bytes(LENGTH_BYTES, "big") + message)
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


def short(text: str) -> bytes:
    """As brokers write a short text; with its length, since addresses in memory make up the names of mock clusters."""
    return bytes([len(text) + 1]) + text.encode()


def at(port: int) -> bytes:
    """As brokers write where they are."""
    return HOST + port.to_bytes(4, "big")


@asynccontextmanager
async def running() -> AsyncIterator[Detour]:
    """One for the time of the context; it leads nowhere yet."""
    made: list[Detour] = []
    listener = await asyncio.start_server(lambda reader, writer: made[0].carry(reader, writer), "127.0.0.1", 0)
    made.append(Detour(listener))
    try:
        yield made[0]
    finally:
        listener.close()
        made[0].cut()
