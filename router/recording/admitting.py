"""Admits calls of events: one after the other, and for a share of the time while pages are asked for.

To check and pack events takes the event loop from who asks for slates, and every router and shard hears of what was
recorded at the same moment. A backlog, as there is one after the log had no room, would be all that is done until it
was worked off. So between two calls there is a rest:

    rest = took × (1 / share − 1)    where pages were asked for within the last second; where none were, none

where the share grows for as long as calls wait: what comes in steadily may need any share (`trunkshow.online.turns` has
the same for who reads the log). Who would wait for too long, or is one too many, is told to send again.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from trunkshow.errors import Overloaded
from trunkshow.serving import metrics
from trunkshow.serving.deadline import Clock, monotonic

SHARE, SHARE_MAX, SHARE_MAX_AFTER_S = 0.05, 1.0, 10.0
"""Of the time, to check events in: as calls begin to wait, at most, and after how many seconds of waiting that is. What
packing and sending them takes, which is about as much again, does not count."""

LATELY_S = 1.0
WAIT_S_MAX = 0.5
WAITING_BYTES_MAX = 8 << 20
"""Of calls that wait; one that is larger still waits alone."""

ASK_AGAIN_MS = 500

CROWDED = metrics.counter("trunkshow_events_crowded_total", "Calls of events that waited too long to be checked.")


class Admitting:
    """Of one router.

    Args:
        pages: tells how many were asked for until now.
        clock: monotonic seconds.
        sleep: a port: waits.
    """

    def __init__(
        self,
        pages: Callable[[], int] = lambda: 0,
        clock: Clock = monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._pages = pages
        self._known_pages, self._asked_at = pages(), -math.inf
        self._clock = clock
        self._sleep = sleep
        self._in_turn = asyncio.Lock()
        self._free_at = -math.inf
        self._waiting = 0
        self._waiting_bytes = 0
        self._waiting_since = math.inf

    @asynccontextmanager
    async def admitted(self, size: int, within_s: float) -> AsyncIterator[None]:
        """A call's turn; what is done in the block is what is rested for, and may not wait for anything.

        Args:
            size: bytes of its events.
            within_s: that the call has; it may wait for half of that.

        Raises:
            Overloaded: its turn did not come in time, or too much waits already.
        """
        if self._waiting or self._clock() < self._free_at:
            await self._wait(size, within_s)
        began = self._clock()
        try:
            yield
        finally:
            now = self._clock()
            self._free_at = now + (now - began) * (1 / self._share(now) - 1) if self._is_busy(now) else now

    async def _wait(self, size: int, within_s: float) -> None:
        if self._waiting and self._waiting_bytes + size > WAITING_BYTES_MAX:
            raise _crowded(f"{self._waiting} calls of {self._waiting_bytes} bytes wait already")
        if not self._waiting:
            self._waiting_since = self._clock()
        self._count(1, size)
        try:
            async with asyncio.timeout(min(WAIT_S_MAX, within_s / 2)), self._in_turn:
                while (rest_s := self._free_at - self._clock()) > 0 and self._is_busy(self._clock()):
                    await self._sleep(rest_s)
        except TimeoutError:
            raise _crowded("their turn did not come in time") from None
        finally:
            self._count(-1, -size)

    def _is_busy(self, now: float) -> bool:
        if (pages := self._pages()) != self._known_pages:
            self._known_pages, self._asked_at = pages, now
        return now - self._asked_at < LATELY_S

    def _share(self, now: float) -> float:
        if not self._waiting:
            return SHARE
        return min(SHARE + (SHARE_MAX - SHARE) * (now - self._waiting_since) / SHARE_MAX_AFTER_S, SHARE_MAX)

    def _count(self, calls: int, size: int) -> None:
        self._waiting += calls
        self._waiting_bytes += size


def _crowded(why: str) -> Overloaded:
    CROWDED.inc()
    message = f"too many events are recorded while pages are asked for ({why}); send these events again"
    return Overloaded(message, reason="LOG_FULL", retry_after_ms=ASK_AGAIN_MS)
