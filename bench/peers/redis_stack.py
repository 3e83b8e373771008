"""Redis Stack: vectors in hashes, found by RediSearch's HNSW index.

By distance, of vectors made as long as one another: by inner product that index finds nine tenths of the exact answers
however far it is turned up (measured: 0.903 with EF_RUNTIME 2000). Loaded anew at every start: RediSearch indexes anew
what was saved, in the order of its hash table, and a graph made in that order needs EF_RUNTIME 281 for what one made in
the items' own order, the popular ones first, finds with 22.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.peers import redis_server, resp
from bench.peers.children import Server
from bench.peers.data import TOP, Data, of_one_length, with_zero
from bench.peers.protocol import GRAPH_EFFORT, GRAPH_LINKS, Answer, Range

_PIPELINED = 1000
_PREFIX = b"i:"


class Subject:
    """One server, one connection."""

    keeps = "nothing"
    knob: Range | None = Range("EF_RUNTIME", TOP, 2000)
    unseen = False

    def __init__(self, folder: Path, data: Data) -> None:
        self._folder, self._data = folder, data
        self.servers: list[Server] = []
        self._commands: list[bytes] = []

    async def start(self) -> None:
        """Start the server."""
        server, self._connection = await redis_server.start(self._folder)
        self.servers.append(server)

    async def load(self, *, fresh: bool) -> None:
        """Write the items as hashes, in their order, and wait until they are indexed."""
        await self._create()
        vectors = [vector.tobytes() for vector in of_one_length(self._data.items)]
        for start in range(0, len(vectors), _PIPELINED):
            some = enumerate(vectors[start : start + _PIPELINED], start)
            await asyncio.gather(*self._connection.send(*(resp.pack("HSET", f"i:{row}", "v", v) for row, v in some)))
        while not await self._indexed():  # noqa: ASYNC110 - another process's work; it tells nobody when it is done
            await asyncio.sleep(0.2)

    async def _create(self) -> None:
        kind = ["TYPE", "FLOAT32", "DIM", self._data.items.shape[1] + 1, "DISTANCE_METRIC", "L2"]
        kind += ["INITIAL_CAP", len(self._data.items), "M", GRAPH_LINKS, "EF_CONSTRUCTION", GRAPH_EFFORT]
        field = ["v", "VECTOR", "HNSW", len(kind), *kind]
        await self._connection.call("FT.CREATE", "items", "ON", "HASH", "PREFIX", 1, _PREFIX, "SCHEMA", *field)

    async def _indexed(self) -> bool:
        said = await self._connection.call("FT.INFO", "items")
        told: dict[bytes, Any] = dict(zip(said[::2], said[1::2], strict=True))
        return int(told[b"num_docs"]) >= len(self._data.items) and not int(told[b"indexing"])

    async def turn(self, knob: int) -> None:
        """Ask with this EF_RUNTIME."""
        query = f"*=>[KNN {TOP} @v $q EF_RUNTIME {knob} AS d]"
        ending = ("SORTBY", "d", "NOCONTENT", "LIMIT", 0, TOP, "DIALECT", 2)
        self._commands = [
            resp.pack("FT.SEARCH", "items", query, "PARAMS", 2, "q", vector.tobytes(), *ending)
            for vector in with_zero(self._data.queries)
        ]

    async def ask(self, caller: int, query: int) -> Answer:
        """One search."""
        (reply,) = self._connection.send(self._commands[query])
        return _rows(await reply)

    async def ask_many(self, caller: int, queries: Sequence[int]) -> list[Answer]:
        """A pipeline of searches."""
        replies = self._connection.send(*(self._commands[query] for query in queries))
        return [_rows(reply) for reply in await asyncio.gather(*replies)]

    async def stop(self) -> None:
        """End the server."""
        for server in self.servers:
            self._connection.close()
            server.stop()


def _rows(reply: Any) -> Answer:
    if not isinstance(reply, list) or len(reply) != TOP + 1:
        return None
    return [int(key[len(_PREFIX) :]) for key in reply[1:]]
