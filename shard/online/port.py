"""Who keeps a shard's online events, as `shard.keeper` sees them: `shard.online.upkeep`, or nobody."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

from shard.online.residents import NOTHING_ONLINE, Online
from shard.scene import Piece
from trunkshow.snapshot.reader import Snapshot


class OnlineKeeping(Protocol):
    """Told of what is held, and asked for what is known."""

    def prepare(self, snapshot: Snapshot) -> None:
        """Read what it takes to know where a snapshot's users live. Blocking."""
        ...

    def admit(self, snapshot: Snapshot) -> Online:
        """A snapshot, prepared, is served from now on."""
        ...

    def dismiss(self, version: str) -> None:
        """A snapshot is not served any more."""
        ...

    def point(self, version: str) -> None:
        """This version is the current one, whether it is open here or not."""
        ...

    def want(self, pieces: Iterable[Piece], sole: Collection[Piece] = ()) -> None:
        """These are held, or are to be; of these `sole` are in no other shard."""
        ...

    async def whole(self, piece: Piece) -> None:
        """Return once everything that users of a piece did is known, or cannot be, or that takes too long."""
        ...


class NoLog:
    """Of a shard that follows no log."""

    def prepare(self, snapshot: Snapshot) -> None:
        """Nothing is needed."""

    def admit(self, snapshot: Snapshot) -> Online:
        """Nobody has events."""
        del snapshot
        return NOTHING_ONLINE

    def dismiss(self, version: str) -> None:
        """Nothing goes."""

    def point(self, version: str) -> None:
        """Nothing follows from it."""

    def want(self, pieces: Iterable[Piece], sole: Collection[Piece] = ()) -> None:
        """Nothing comes."""

    async def whole(self, piece: Piece) -> None:
        """There is nothing to know."""


NO_LOG: OnlineKeeping = NoLog()
