"""Admits calls of events: one after the other, and so many bytes a second while pages are asked for.

What is recorded is sent to every router and shard at the same moment, and each of them hears it beside its requests. A
backlog of large events, as there is one after the log had no room, would be all that is done until it was worked off.
So each call puts off those after it (a leaky bucket), where pages were asked for within the last second:

    put off = bytes / rate, on top of what is left of earlier calls'; nobody waits for the first `AHEAD_S` of it

Ordinary events, of some hundred bytes each, come nowhere near the rate. What comes faster for long may have to: the
rate grows for as long as calls wait. Who would wait for too long, or is one too many, is told to send again.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

from trunkshow.errors import Overloaded
from trunkshow.serving import metrics
from trunkshow.serving.deadline import Clock, monotonic

BYTES_PER_S, BYTES_PER_S_MAX, MAX_AFTER_S = 2.0 * (1 << 20), 64.0 * (1 << 20), 60.0
"""The rate as calls begin to wait, at most, and after how many seconds of waiting that is. Two routers that took in
some 3,000 events of 4 kB a second left two processors no time for slates (`trunkshow chaos --fault log-full`)."""

AHEAD_S = 0.05
"""Many small calls would else wait for a timer each, which takes a millisecond however little there is to wait for."""

LATELY_S = 1.0
WAIT_S_MAX = 0.5
WAITING_BYTES_MAX = 8 << 20
"""Of calls that wait; one that is larger still waits alone."""

ASK_AGAIN_MS = 500

CROWDED = metrics.counter("trunkshow_events_crowded_total", "Calls of events that waited too long to be recorded.")


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

    async def turn(self, size: int, within_s: float) -> None:
        """Wait for a call's turn.

        Args:
            size: bytes of its events.
            within_s: that the call has; it may wait for half of that.

        Raises:
            Overloaded: its turn did not come in time, or too much waits already.
        """
        if self._waiting or self._rest_s() > 0:
            await self._wait(size, within_s)
        else:
            self._admit(size)

    async def _wait(self, size: int, within_s: float) -> None:
        if self._waiting and self._waiting_bytes + size > WAITING_BYTES_MAX:
            raise _crowded(f"{self._waiting} calls of {self._waiting_bytes} bytes wait already")
        if not self._waiting:
            self._waiting_since = self._clock()
        self._count(1, size)
        try:
            async with asyncio.timeout(min(WAIT_S_MAX, within_s / 2)), self._in_turn:
                while (rest_s := self._rest_s()) > 0 and self._is_busy(self._clock()):
                    await self._sleep(rest_s)
                self._admit(size)
        except TimeoutError:
            raise _crowded("their turn did not come in time") from None
        finally:
            self._count(-1, -size)

    def _is_busy(self, now: float) -> bool:
        if (pages := self._pages()) != self._known_pages:
            self._known_pages, self._asked_at = pages, now
        return now - self._asked_at < LATELY_S

    def _admit(self, size: int) -> None:
        now = self._clock()
        self._free_at = max(self._free_at, now) + size / self._rate(now) if self._is_busy(now) else now

    def _rest_s(self) -> float:
        return self._free_at - AHEAD_S - self._clock()

    def _rate(self, now: float) -> float:
        if not self._waiting:
            return BYTES_PER_S
        share = min((now - self._waiting_since) / MAX_AFTER_S, 1.0)
        return BYTES_PER_S + (BYTES_PER_S_MAX - BYTES_PER_S) * share

    def _count(self, calls: int, size: int) -> None:
        self._waiting += calls
        self._waiting_bytes += size


def _crowded(why: str) -> Overloaded:
    CROWDED.inc()
    message = f"too many events are recorded while pages are asked for ({why}); send these events again"
    return Overloaded(message, reason="LOG_FULL", retry_after_ms=ASK_AGAIN_MS)
