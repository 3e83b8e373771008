"""Jina Flow: a gateway, two shards with half of the items each, and the head that asks both and reduces.

The topology is ours: gateway, shards, reduction. As a program it is the Flow. The head's own reduction concatenates
what the shards found; the best ten of these twenty are taken here, by the caller.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import threading
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np

from bench.peers import children, graph
from bench.peers.data import TOP, Data
from bench.peers.jina_search import SEARCH, TURN, Found, Query
from bench.peers.over_grpc import GrpcSubject
from bench.peers.protocol import Answer

SHARDS = 2
_READY_S = 0.2
_PROCESS = "/jina.JinaSingleDataRequestRPC/process_single_data"
_ENVIRON = {"JINA_DEFAULT_HOST": children.LOOPBACK, "JINA_OPTOUT_TELEMETRY": "1", "OMP_NUM_THREADS": "1"}


class Subject(GrpcSubject):
    """One Flow, one channel to its gateway."""

    keeps = "hnsw by product, in two halves"

    def __init__(self, folder: Path, data: Data) -> None:
        super().__init__(folder, data)
        self._requests = [_request(SEARCH, vector) for vector in data.queries]

    async def start(self) -> None:
        """Index both halves where that was not done before, and start the Flow."""
        for shard in range(SHARDS):
            half = np.ascontiguousarray(self.data.items[shard::SHARDS])
            await asyncio.to_thread(graph.make, half, self.folder / f"{shard}.faiss")
        channel = await self.serving("bench.peers.jina", self.folder, _ENVIRON)
        self._process: Any = channel.unary_unary(_PROCESS)

    async def load(self, *, fresh: bool) -> None:
        """Wait until both shards answer."""
        async with asyncio.timeout(children.START_S_MAX):
            while True:
                with contextlib.suppress(grpc.aio.AioRpcError):
                    if await self.ask(0, 0) is not None:
                        return
                await asyncio.sleep(_READY_S)

    async def turn(self, knob: int) -> None:
        """Have both shards search with this efSearch."""
        await self._process(_request(TURN, self.data.queries[0], ef=knob))

    async def ask(self, caller: int, query: int) -> Answer:
        """One search of both shards."""
        return _rows(await self._process(self._requests[query]))


def _request(endpoint: str, vector: Any, **parameters: int) -> bytes:
    from docarray import DocList
    from jina.types.request.data import DataRequest

    asked = DataRequest()
    asked.document_array_cls = DocList[Query]
    asked.data.docs = DocList[Query]([Query(vector=vector)])
    asked.header.exec_endpoint = endpoint
    asked.parameters = parameters
    data: bytes = asked.proto.SerializeToString()
    return data


def _rows(reply: bytes) -> Answer:
    from docarray import DocList
    from jina.types.request.data import DataRequest

    answer = DataRequest(reply)
    answer.document_array_cls = DocList[Found]
    if len(answer.docs) != 1 or len(answer.docs[0].rows) != SHARDS * TOP:
        return None
    both = sorted(zip(answer.docs[0].scores, answer.docs[0].rows, strict=True), reverse=True)
    return [row for _, row in both[:TOP]]


def serve(folder: Path, port: int) -> None:
    """Serve until told to end."""
    from jina import Flow

    from bench.peers.jina_search import Search

    flow = Flow(port=port, protocol="grpc").add(
        uses=Search, uses_with={"folder": str(folder)}, shards=SHARDS, polling={SEARCH: "ALL", TURN: "ALL"}
    )
    over = threading.Event()
    with flow:
        signal.signal(signal.SIGTERM, lambda *_: over.set())
        over.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    parsed = parser.parse_args()
    serve(parsed.folder, parsed.port)
