"""When a process stood still by itself, told by a heartbeat that came late; and how it does so less."""

from __future__ import annotations

import asyncio
import gc
import time
from collections import deque

HEARTBEAT_S = 0.01
STALLS_MAX = 1_000


def settle() -> None:
    """Take what there is by now out of the garbage collector's sight.

    A snapshot's items are some hundred thousand objects here, and looking through them takes as long as an answer may.
    """
    gc.collect()
    gc.freeze()


class Stalls:
    """When this process itself stood still: an answer that waited for it was not late by anybody else's doing."""

    def __init__(self) -> None:
        self._before = time.monotonic()
        self._stalls: deque[tuple[float, float]] = deque(maxlen=STALLS_MAX)

    async def watch(self) -> None:
        """Look at the clock again and again."""
        while True:
            self._before = time.monotonic()
            await asyncio.sleep(HEARTBEAT_S)
            self._stalls.extend(self._now())

    def since(self, moment: float) -> float:
        """Milliseconds stood still from a moment until now."""
        total = 0.0
        for begin, end in (*self._now(), *reversed(self._stalls)):
            if end <= moment:
                break
            total += end - max(begin, moment)
        return total * 1000

    def longest(self, moment: float) -> float:
        """Milliseconds of the longest stall since a moment."""
        stalls = (end - max(begin, moment) for begin, end in (*self._stalls, *self._now()) if end > moment)
        return max(stalls, default=0.0) * 1000

    def _now(self) -> list[tuple[float, float]]:
        """The stall that this very moment ends, which the next look at the clock will find too; none in good times."""
        now = time.monotonic()
        return [(self._before + HEARTBEAT_S, now)] if now - self._before > 2 * HEARTBEAT_S else []
