"""The lanes by which a shard gets on: what is wanted is opened one at a time, past what hangs, and beside forgetting.

    bring_next    the next of all that is wanted; what nobody has goes first
    pass_by       past what is under way and hangs: what is served; past what only waits for the log: what nobody has
    forgetting    of what was closed (`shard.forgetting`): a disk that hangs in that holds up no opening

What is wanted is `shard.keeper`'s to say; what is under way, and for how long, `shard.opening`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, NamedTuple

from shard.opening import Key, Opening
from shard.scene import Piece
from trunkshow import pacing
from trunkshow.serving.rounds import surviving
from trunkshow.snapshot.lifecycle import Pointer

PASSING = 3
"""Ways past what hangs in the store: each may come to something that hangs, too."""


class Wish(NamedTuple):
    """What is to be open.

    Attributes:
        versions: the most urgent first.
        pieces: of these, in the order in which they are opened.
        missing: of the current version's pieces, those that nobody has; they rest for no request.
    """

    versions: list[str]
    pieces: tuple[Piece, ...]
    missing: tuple[Piece, ...]


class Lanes:
    """What goes on at a time.

    Args:
        opening: opens.
        pointer: the one that is followed; None before there is a plan.
        wish: what is to be open now; asked only where there is a plan.
        tried: told what became of each try.
    """

    def __init__(
        self,
        opening: Opening,
        pointer: Callable[[], Pointer | None],
        wish: Callable[[], Wish],
        tried: Callable[[Key, Exception | None], None],
    ) -> None:
        self._opening = opening
        self._pointer, self._wish, self._tried = pointer, wish, tried

    def beginning(self) -> Callable[[], None]:
        """What begins every lane that is not under way; to be called again and again. One that breaks is told."""
        ways = (self.bring_next, self._opening.forgetting.look, *[self.pass_by] * PASSING)
        lanes = [surviving(way, "opener.failed") for way in ways]
        under_way: dict[Callable[[], Coroutine[Any, Any, None]], asyncio.Task[None]] = {}

        def begin() -> None:
            for lane in lanes:
                if lane not in under_way or under_way[lane].done():
                    under_way[lane] = asyncio.create_task(lane())

        return begin

    async def bring_next(self) -> None:
        """Open the next version or piece, one at a time; what nobody has goes first, and rests for no request."""
        pointer = self._pointer()
        if pointer is not None:
            wish = self._wish()
            await self._bring_of(pointer, wish, wish.versions)

    async def pass_by(self) -> None:
        """Open what is next of what is served where all that is under way hangs, or what nobody has where it waits."""
        pointer = self._pointer()
        if pointer is None or not pointer.current:
            return
        if self._opening.is_held_up(pointer.current):
            await self._bring_of(pointer, self._wish(), [pointer.current], passing=True)
        elif self._opening.waits_for_log():
            await self._bring_of(pointer, self._wish(), [], passing=True)

    async def _bring_of(self, pointer: Pointer, wish: Wish, versions: Iterable[str], *, passing: bool = False) -> None:
        wanted: list[Key] = [*wish.missing]
        for version in versions:
            wanted.append(version)
            wanted += [piece for piece in wish.pieces if piece.version == version]
        key = self._opening.next(wanted)
        if key is None:
            return
        # A version is compared with its parent; a piece is not, since all of its version was.
        parent = pointer.parent(key) if isinstance(key, str) else ""
        share = pacing.ALL if key in wish.missing or not self._opening.generations else pacing.SHARE
        self._tried(key, await self._opening.bring(key, parent, share, passing=passing))
