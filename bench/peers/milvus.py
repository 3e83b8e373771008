"""Milvus, the standalone server: one collection, an HNSW index, searched over gRPC.

By distance, of vectors made as long as one another: by inner product its index finds nine tenths of the exact answers
however far it is turned up (measured: 0.894 with ef 2000). The requests are pymilvus's own, made before; they are sent
by grpc.aio, since pymilvus of that version waits in threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc.aio
import milvus
from pymilvus import Collection, CollectionSchema, DataType, FieldSchema, connections
from pymilvus.client.prepare import Prepare
from pymilvus.grpc_gen import milvus_pb2

from bench.peers import children
from bench.peers.data import TOP, Data, of_one_length, with_zero
from bench.peers.protocol import GRAPH_EFFORT, GRAPH_LINKS, Answer, Range

NAME = "items"
_SEARCH = "/milvus.proto.milvus.MilvusService/Search"
_INSERTED = 10_000
_ENDING_S = 2.0
"""As its own package has it: it is killed where it takes longer, and what was flushed stays."""

_COMPONENTS = ("rootCoord", "proxy", "queryCoord", "queryNode", "indexNode", "dataCoord", "dataNode")
_INDEX = {
    "index_type": "HNSW",
    "metric_type": "L2",
    "params": {"M": GRAPH_LINKS, "efConstruction": GRAPH_EFFORT},
}


class Subject:
    """One server, one channel."""

    keeps = "hnsw by distance, of one length"
    knob: Range | None = Range("ef", TOP, 2000)
    unseen = False

    def __init__(self, folder: Path, data: Data) -> None:
        self._folder, self._data = folder, data
        self.servers: list[children.Server] = []
        self._channel: grpc.aio.Channel | None = None
        self._requests: list[bytes] = []

    async def start(self) -> None:
        """Start the server on what its folder has."""
        config = milvus.MilvusServerConfig(data_dir=str(self._folder / "milvus"))
        for component in _COMPONENTS:
            config.set(f"{component}.ip", children.LOOPBACK)
        config.resolve()
        base, health = Path(config.base_data_dir), children.free_port()
        await asyncio.to_thread(milvus._initialize_data_files, str(base))
        libraries = f"{base / 'bin'}:{os.environ.get('LD_LIBRARY_PATH', '')}"
        environ = {"DEPLOY_MODE": "STANDALONE", "METRICS_PORT": str(health), "LD_LIBRARY_PATH": libraries}
        environ["MILVUSCONF"] = str(base / "configs")
        server = children.Server(
            [str(base / "bin" / "milvus"), "run", "standalone"],
            self._folder / "log",
            environ=environ,
            folder=base,
            ending_s=_ENDING_S,
        )
        self.servers.append(server)
        await server.listens(self._port_of(config))
        await asyncio.to_thread(_healthy, f"http://{children.LOOPBACK}:{health}/healthz")
        self._channel = grpc.aio.insecure_channel(f"{children.LOOPBACK}:{self._port_of(config)}")
        self._search: Any = self._channel.unary_unary(
            _SEARCH, response_deserializer=milvus_pb2.SearchResults.FromString
        )
        await asyncio.to_thread(
            connections.connect, host=children.LOOPBACK, port=str(self._port_of(config)), timeout=children.START_S_MAX
        )

    def _port_of(self, config: Any) -> int:
        return int(config.get("proxy_port"))

    async def load(self, *, fresh: bool) -> None:
        """Insert the items and index them where they are not there yet, and have them in memory."""
        await asyncio.to_thread(self._load, fresh)

    def _load(self, fresh: bool) -> None:
        fields = [
            FieldSchema("id", DataType.INT64, is_primary=True),
            FieldSchema("v", DataType.FLOAT_VECTOR, dim=self._data.items.shape[1] + 1),
        ]
        collection = Collection(NAME, CollectionSchema(fields))
        if fresh:
            items = of_one_length(self._data.items)
            for start in range(0, len(items), _INSERTED):
                some = items[start : start + _INSERTED]
                collection.insert([list(range(start, start + len(some))), list(some)])
            collection.flush()
            collection.create_index("v", _INDEX)
        collection.load()

    async def turn(self, knob: int) -> None:
        """Ask with this ef."""
        asked = {"metric_type": "L2", "params": {"ef": knob}}
        self._requests = [
            Prepare.search_requests_with_expr(
                NAME, [vector], "v", asked, TOP, consistency_level=3, guarantee_timestamp=1
            ).SerializeToString()
            for vector in with_zero(self._data.queries)
        ]

    async def ask(self, caller: int, query: int) -> Answer:
        """One search."""
        reply = await self._search(self._requests[query])
        rows = reply.results.ids.int_id.data
        return list(rows) if len(rows) == TOP else None

    async def ask_many(self, caller: int, queries: Sequence[int]) -> list[Answer]:
        """One after the other."""
        return [await self.ask(caller, query) for query in queries]

    async def stop(self) -> None:
        """End the server."""
        if self._channel is not None:
            await self._channel.close()
        with contextlib.suppress(Exception):  # of a connection to what never came up
            connections.disconnect("default")
        for server in self.servers:
            server.stop()


def _healthy(url: str) -> None:
    until = time.monotonic() + children.START_S_MAX
    while time.monotonic() < until:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as said:
            if b"OK" in said.read():
                return
        time.sleep(0.1)
    raise children.DidNotStart("Milvus listens, and is not healthy")
