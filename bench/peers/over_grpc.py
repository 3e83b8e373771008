"""What peers have in common that are a program of ours around somebody's server, asked over one gRPC channel."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import grpc.aio

from bench.peers import children
from bench.peers.data import TOP, Data
from bench.peers.protocol import Answer, Range


class GrpcSubject(ABC):
    """One such peer; see `bench.peers.protocol.Peer`.

    Attributes:
        servers: the process, once it was started.
        folder: for what it keeps.
        data: that it loads.
    """

    knob: Range | None = Range("efSearch", TOP, 2000)
    unseen = False

    def __init__(self, folder: Path, data: Data) -> None:
        self.folder, self.data = folder, data
        self.servers: list[children.Server] = []
        self._channel: grpc.aio.Channel | None = None

    async def serving(self, module: str, kept: Path, environ: Mapping[str, str]) -> grpc.aio.Channel:
        """Run `python -m MODULE KEPT PORT`, wait until it listens there, and be connected."""
        port = children.free_port()
        command = [sys.executable, "-W", "ignore", "-m", module, str(kept), str(port)]
        server = children.Server(command, self.folder / "log", environ=environ)
        self.servers.append(server)
        await server.listens(port)
        self._channel = grpc.aio.insecure_channel(f"{children.LOOPBACK}:{port}")
        return self._channel

    @abstractmethod
    async def ask(self, caller: int, query: int) -> Answer:
        """One query's best items."""

    async def ask_many(self, caller: int, queries: Sequence[int]) -> list[Answer]:
        """One after the other: neither has a call for many."""
        return [await self.ask(caller, query) for query in queries]

    async def stop(self) -> None:
        """End the server."""
        if self._channel is not None:
            await self._channel.close()
        for server in self.servers:
            server.stop()
