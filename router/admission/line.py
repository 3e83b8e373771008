"""Where users of batches wait for room beside pages: first come, first served, until it is clear that there is none.

    room         so many of them may be asked for now, as `router.admission.limiter` has it
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

LOOK_EVERY_S = 0.002
"""Between two looks at whether there is room again, of whoever comes first."""


class Line:
    """Lets users of batches in.

    Args:
        limiter: of slates that are made at a time.
        at_a_time: how many of this line may be in at a time, as of now; where None, as many as the limiter lets in.
    """

    def __init__(self, limiter: Limiter, at_a_time: Callable[[], int] | None = None) -> None:
        self._limiter = limiter
        self._at_a_time = at_a_time
        self._inside = 0
        self._waiting = 0
        self._turn = asyncio.Lock()

    async def room(self, users: int, within_s: float) -> int:
        """How many of these, who are asked for together, may be asked for now; they must `leave`.

        Args:
            users: at least one.
            within_s: for as long there is use in waiting.

        Returns:
            0 where all of them are turned away.
        """
        admitted = 0 if self._waiting else self._admitted(users)
        if not admitted and self._waiting < WAITING_MAX:
            admitted = await self._waited(users, min(within_s, WAIT_S_MAX))
        if not admitted:
            self._limiter.shed_of_batches += users
        return admitted

    def leave(self, users: int) -> None:
        """So many who were let in are answered, or given up."""
        self._inside -= users
        self._limiter.leave_of_batch(users)

    async def _waited(self, users: int, within_s: float) -> int:
        pages_shed = self._limiter.shed
        self._waiting += 1
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s), self._turn:
                    while self._limiter.shed == pages_shed:
                        if admitted := self._admitted(users):
                            return admitted
                        await asyncio.sleep(LOOK_EVERY_S)
        finally:
            self._waiting -= 1
        return 0

    def _admitted(self, users: int) -> int:
        if self._at_a_time is not None and self._inside >= self._at_a_time():
            return 0
        admitted = self._limiter.admit_of_batch(users)
        self._inside += admitted
        return admitted


def line_alone(limiter: Limiter) -> Line:
    """The line of those who are asked for one by one."""
    return Line(limiter, lambda: ALONE_BESIDE_PAGES if limiter.in_flight else ALONE_MAX)
