"""What a peer is: something that is started, loaded, turned to a recall, asked, and stopped.

A file per peer has a class `Subject` of this shape. It runs in the peer's own environment, in the process of
`bench.peers.host`, and asks as the peer's users would who are in a hurry: asynchronously, with requests that were made
before, connections that stay open, and replies read as far as to the items' rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from bench.peers.data import Data

CALLERS_MAX = 32
"""Questions in flight at a time; who keeps a connection per caller opens as many."""

GRAPH_LINKS = 16
GRAPH_EFFORT = 200
"""Of HNSW graphs, with every peer that has them: M and ef_construction."""

Answer = Sequence[int] | None
"""Rows of items, best first; None where what came back is not what was asked for."""


class Range(NamedTuple):
    """What a peer's recall is turned by.

    Attributes:
        name: of the peer's own parameter.
        low: least useful.
        high: largest that it takes, or that makes sense.
    """

    name: str
    low: int
    high: int


class Weighed(Protocol):
    """A server whose processor time can be told."""

    def cpu_s(self) -> float:
        """Seconds of it and what it started, so far."""


class Peer(Protocol):
    """One of those that are measured."""

    def __init__(self, folder: Path, data: Data) -> None:
        """A peer that keeps what it loaded in a folder of its own."""

    @property
    def keeps(self) -> str:
        """What it keeps in its folder, and how it is indexed; where that is another than before, it loads again."""

    @property
    def knob(self) -> Range | None:
        """What its recall is turned by; None where there is nothing to turn."""

    @property
    def servers(self) -> Sequence[Weighed]:
        """Its processes, once it was started."""

    @property
    def unseen(self) -> bool:
        """Whether it leaves out what the user already had."""

    async def start(self) -> None:
        """Start the server, and return when it takes calls."""

    async def load(self, *, fresh: bool) -> None:
        """Bring in the items where nothing is there yet (`fresh`), and return when all of them can be found."""

    async def turn(self, knob: int) -> None:
        """Answer from now on with this much effort."""

    async def ask(self, caller: int, query: int) -> Answer:
        """One query's best items; of a caller's questions one is in flight."""

    async def ask_many(self, caller: int, queries: Sequence[int]) -> list[Answer]:
        """Those of many in one call, or pipeline, in their order; for peers that `registry` says can."""

    async def stop(self) -> None:
        """Close connections and end the server; also where it never came up."""
