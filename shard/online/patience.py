"""For how long a partition that comes is kept from being served because the log was not replayed for it.

1. Until it was, or cannot be: a log that cannot be read keeps nothing from being served.
2. At most `within_s` without progress, and `WAITED_MAX` times that with it, since the partition was wanted.
3. Of a partition that is in no other shard `within_s` and no longer: being served comes before being fresh.
4. Of one of which nobody has any version `MISSING_S` and no longer: its users get what is popular meanwhile.

What is counted over everybody waits for all of these `within_s`, from when there is a snapshot at all, however late
that comes: it goes by what a snapshot says of items and users, and nothing is served before.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress

import structlog

from shard.online.opened import Opened
from shard.scene import Piece
from trunkshow.serving.deadline import Clock

WAITED_MAX = 20
"""So many times longer is waited for a replay that goes on, where others serve meanwhile."""

MISSING_S = 1.0
"""Enough to hear from a router whether others serve, and to replay a log that is short."""

log = structlog.get_logger()


class Patience:
    """With the partitions of one shard.

    Args:
        opened: which of them are whole.
        within_s: of the rules.
        clock: a port: monotonic seconds.
    """

    def __init__(self, opened: Opened, within_s: float, clock: Clock) -> None:
        self._opened = opened
        self._within_s = within_s
        self._clock = clock
        self._wanted_since: dict[Piece, float] = {}
        self._sole: frozenset[Piece] = frozenset()
        self._missing: frozenset[Piece] = frozenset()
        self._got_on_at = -math.inf
        self._given_up: set[str] = set()
        self._turned = asyncio.Event()

    # --- what it goes by -----------------------------------------------------------------------------------------

    @property
    def wanted(self) -> frozenset[Piece]:
        """Partitions that are waited for, or were."""
        return frozenset(self._wanted_since)

    def want(self, pieces: frozenset[Piece], sole: frozenset[Piece], missing: frozenset[Piece] = frozenset()) -> None:
        """These are wanted, and no others; `sole` are in no other shard, and of `missing` nobody has any version."""
        now = self._clock()
        gone = self._wanted_since.keys() - pieces
        waits_otherwise = (sole, missing) != (self._sole, self._missing)
        self._sole, self._missing = sole, missing
        self._wanted_since = {piece: self._wanted_since.get(piece, now) for piece in pieces}
        if gone or waits_otherwise:
            self._turn()

    def is_urgent(self, version: str) -> bool:
        """Whether requests wait for a snapshot: no other shard has all of its partitions, and nothing is whole here."""
        return any(piece.version == version for piece in self._sole) and not self._opened.has_whole()

    def admitted(self) -> None:
        """A snapshot was opened."""
        self._turn()

    def got_on(self) -> None:
        """A replay makes progress."""
        self._got_on_at = self._clock()

    def give_up(self, version: str) -> bool:
        """The log cannot be replayed for a snapshot; whether that is new."""
        new = version not in self._given_up
        self._given_up.add(version)
        self._turn()
        return new

    def settle(self, version: str) -> None:
        """It was replayed for a snapshot, or that is not open any more."""
        self._given_up.discard(version)
        self._turn()

    # --- who waits -----------------------------------------------------------------------------------------------

    async def whole(self, piece: Piece) -> None:
        """Return once the log was replayed for a partition, or cannot be, or need not, or that takes too long."""
        while not self._is_settled(piece):
            left_s = self._until(piece) - self._clock()
            if left_s <= 0:
                tell = log.info if piece in self._missing else log.warning
                tell("log.not_waited_for", snapshot=piece.version, number=piece.number)
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._turned.wait()

    async def all_whole(self) -> None:
        """Return once there is a snapshot, and the log was replayed for all that is held, or that takes too long."""
        while not len(self._opened):
            await self._turned.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._within_s):
                while not self._opened.is_whole():
                    await self._turned.wait()

    def _until(self, piece: Piece) -> float:
        since = self._wanted_since[piece]
        if piece in self._missing:
            return since + min(self._within_s, MISSING_S)
        if piece in self._sole:
            return since + self._within_s
        return min(max(since, self._got_on_at) + self._within_s, since + WAITED_MAX * self._within_s)

    def _is_settled(self, piece: Piece) -> bool:
        residents = self._opened.get(piece.version)
        if residents is None or piece not in self._wanted_since:
            return True
        return piece.number in residents.homes.whole or piece.version in self._given_up

    def _turn(self) -> None:
        """Whoever waits looks again."""
        self._turned.set()
        self._turned = asyncio.Event()
