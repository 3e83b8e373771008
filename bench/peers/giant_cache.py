"""The giant cache: every user's list made beforehand and kept in Redis; asking is a GET, or an MGET of many.

The lists are the exact ones. What it costs is in what is not asked: a list per user, carousel and page, all of them
made again for every new item, and none that knows what somebody did since.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from bench.peers import redis_server, resp
from bench.peers.children import Server
from bench.peers.data import TOP, Data
from bench.peers.protocol import Answer, Range

_LIST = struct.Struct(f"<{TOP}i")


class Subject:
    """One server, one connection, a key per user."""

    keeps = "ten rows a user"
    knob: Range | None = None
    unseen = True

    def __init__(self, folder: Path, data: Data) -> None:
        self._folder, self._data = folder, data
        self.servers: list[Server] = []
        self._keys = [f"u:{user}" for user, _ in data.users]
        self._gets = [resp.pack("GET", key) for key in self._keys]

    async def start(self) -> None:
        """Start the server."""
        server, self._connection = await redis_server.start(self._folder)
        self.servers.append(server)

    async def load(self, *, fresh: bool) -> None:
        """Write every user's list."""
        if fresh:
            for key, rows in zip(self._keys, self._data.unseen.tolist(), strict=True):
                await self._connection.call("SET", key, _LIST.pack(*rows))
            await self._connection.call("SAVE")

    async def turn(self, knob: int) -> None:
        """Nothing to turn."""

    async def ask(self, caller: int, query: int) -> Answer:
        """One GET."""
        (reply,) = self._connection.send(self._gets[query])
        return _rows(await reply)

    async def ask_many(self, caller: int, queries: Sequence[int]) -> list[Answer]:
        """One MGET."""
        return [
            _rows(value) for value in await self._connection.call("MGET", *(self._keys[query] for query in queries))
        ]

    async def stop(self) -> None:
        """End the server."""
        for server in self.servers:
            self._connection.close()
            server.stop()


def _rows(value: object) -> Answer:
    return _LIST.unpack(value) if isinstance(value, bytes) and len(value) == _LIST.size else None
