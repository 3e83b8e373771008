"""A peer that serves in its own process: exact search in this process, as wrong or as partial as a test wants it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.peers.children import Server
from bench.peers.data import TOP, Data
from bench.peers.protocol import Answer, Range

SERVED = "TRIVIAL_PEER_SERVED"


class Subject:
    """Finds the better, the further it is turned up: of ten items, as many as the knob."""

    keeps = "a file"
    knob: Range | None = Range("found", 1, TOP)
    unseen = False

    def __init__(self, folder: Path, data: Data) -> None:
        self._folder, self._data = folder, data
        self._found = 0
        self.servers: list[Server] = []
        self.running = False
        self.in_flight_most = 0
        self._in_flight = 0

    async def start(self) -> None:
        """It is up; with a process that serves nothing, where the environment asks for one."""
        self.running = True
        if SERVED in os.environ:
            self.servers = [Server(["sleep", "600"], self._folder / "log")]

    async def load(self, *, fresh: bool) -> None:
        """Keep a file, as a peer keeps an index."""
        if fresh:
            (self._folder / "index").write_text("loaded", encoding="utf-8")

    async def turn(self, knob: int) -> None:
        """Find so many."""
        self._found = knob

    async def ask(self, caller: int, query: int) -> Answer:
        """The best items, and item 0 for each that is not found."""
        self._in_flight += 1
        self.in_flight_most = max(self.in_flight_most, self._in_flight)
        await asyncio.sleep(0)
        self._in_flight -= 1
        best = np.argsort(-(self._data.items @ self._data.queries[query]))[:TOP].tolist()
        return best[: self._found] + [-1] * (TOP - self._found)

    async def ask_many(self, caller: int, queries: Sequence[int]) -> list[Answer]:
        """Every other one fails."""
        return [await self.ask(caller, query) if query % 2 else None for query in queries]

    async def stop(self) -> None:
        """It is down, and leaves word of that where it has a folder."""
        self.running = False
        for server in self.servers:
            server.stop()
        if self._folder.exists():
            (self._folder / "stopped").touch()
