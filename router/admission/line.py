"""Where users of batches wait for room beside pages: first come, first served, until it is clear that there is none.

    room         they may be asked for now, as `router.admission.limiter` has it
    turned away  a page was shed meanwhile: there is more to do than can be done, and pages come first;
                 or they waited for `WAIT_S_MAX`, or their own time is up, or too many wait already

A page waits for nothing. A batch has seconds, so that it is not turned away for a moment in which others have the room;
nor does it wait in vain until these seconds are over, with more and more of its kind behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from router.admission.limiter import Limiter

WAIT_S_MAX = 0.5
"""For room, at a time."""

WAITING_MAX = 4096
"""Who wait at a time; of one batch, twice as many as there are shards, and a few."""

ALONE_MAX = 4
"""Of all batches, users who are asked for alone at a time."""

ALONE_BESIDE_PAGES = 1
"""The same while somebody waits for a page: one who is asked for alone, often of several shards, costs more."""

CALL_SLATES = 4
"""What a call for many users counts as in the limit: a shard makes their slates one after the other, and works on them
for 5 ms before others have their turn, in which it makes some four."""

LOOK_EVERY_S = 0.002
"""Between two looks at whether there is room again, of whoever comes first."""


LINES_MAX = 1024
"""Lines that are kept: shards come and go."""


class Line:
    """Lets calls for batches in; one of them always.

    Args:
        limiter: of slates that are made at a time.
        slates: that each of its calls counts as.
        at_a_time: how many calls of this line may be under way, as of now; where None, as many as the limiter admits.
    """

    def __init__(self, limiter: Limiter, slates: int = CALL_SLATES, at_a_time: Callable[[], int] | None = None) -> None:
        self._limiter = limiter
        self._slates = slates
        self._at_a_time = at_a_time
        self._inside = 0
        self._waiting = 0
        self._turn = asyncio.Lock()

    async def room(self, users: int, within_s: float) -> bool:
        """Whether these may be asked for now, in one call, which must `leave`; else all of them are turned away.

        Args:
            users: at least one.
            within_s: for as long there is use in waiting.
        """
        admitted = not self._waiting and self._admitted()
        if not admitted and self._waiting < WAITING_MAX:
            admitted = await self._waited(min(within_s, WAIT_S_MAX))
        if not admitted:
            self._limiter.shed_of_batches += users
        return admitted

    @property
    def idle(self) -> bool:
        """Whether nobody is in, or waits."""
        return not (self._inside or self._waiting)

    def leave(self) -> None:
        """A call that there was room for has ended."""
        self._inside -= 1
        self._limiter.leave_of_batch(self._slates)

    async def _waited(self, within_s: float) -> bool:
        pages_shed = self._limiter.shed
        self._waiting += 1
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s), self._turn:
                    while self._limiter.shed == pages_shed:
                        if self._admitted():
                            return True
                        await asyncio.sleep(LOOK_EVERY_S)
        finally:
            self._waiting -= 1
        return False

    def _admitted(self) -> bool:
        if self._at_a_time is not None and self._inside >= self._at_a_time():
            return False
        if not self._limiter.admit_of_batch(self._slates, always=not self._inside):
            return False
        self._inside += 1
        return True


class Lines:
    """A line for each shard: who waits for one that is busy keeps nobody from another.

    Args:
        limiter: of slates that are made at a time.
    """

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._of: dict[str, Line] = {}

    def to(self, address: str) -> Line:
        """Of those who are asked for at this shard."""
        if address not in self._of and len(self._of) >= LINES_MAX:
            self._of = {one: line for one, line in self._of.items() if not line.idle}
        return self._of.setdefault(address, Line(self._limiter))


def line_alone(limiter: Limiter) -> Line:
    """The line of those who are asked for one by one."""
    return Line(limiter, 1, lambda: ALONE_BESIDE_PAGES if limiter.in_flight else ALONE_MAX)
