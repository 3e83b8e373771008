"""Waits until a moment, to some tens of microseconds.

An event loop counts its timers in whole milliseconds, which is as long as many answers take. Linux has timers that a
loop can wait for like for a socket; where there are none, the loop's own have to do, and how late requests were sent is
told in any case.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_MONOTONIC, _NONBLOCK_CLOEXEC = 1, os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Timer(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Alarm:
    """Waits on the loop that it was made in, for one at a time; `alarm` makes one.

    Args:
        timer: a descriptor of a timer; None where the system has none.
    """

    def __init__(self, timer: int | None) -> None:
        self._timer = timer
        self._loop = asyncio.get_running_loop()
        self._rings: asyncio.Future[None] | None = None

    async def until(self, moment: float) -> None:
        """Return at the moment, in seconds of the monotonic clock; at once where it is past."""
        wait = moment - time.monotonic()
        if wait <= 0:
            return
        if self._timer is None:
            await asyncio.sleep(wait)
            return
        self._rings = self._loop.create_future()
        _arm(self._timer, wait)
        await self._rings

    def ring(self) -> None:
        """The timer ran out."""
        assert self._timer is not None
        os.read(self._timer, 8)
        if self._rings is not None and not self._rings.done():
            self._rings.set_result(None)


@contextmanager
def alarm() -> Iterator[Alarm]:
    """An alarm of the running loop, for the time of the context."""
    timer = _made()
    made = Alarm(timer)
    if timer is None:
        yield made
        return
    loop = asyncio.get_running_loop()
    loop.add_reader(timer, made.ring)
    try:
        yield made
    finally:
        loop.remove_reader(timer)
        os.close(timer)


def _made() -> int | None:
    if sys.platform != "linux":
        return None
    descriptor = ctypes.CDLL(None).timerfd_create(_MONOTONIC, _NONBLOCK_CLOEXEC)
    return None if descriptor < 0 else int(descriptor)


def _arm(timer: int, wait: float) -> None:
    seconds = int(wait)
    value = _Timespec(seconds, max(1, int((wait - seconds) * 1e9)))  # all zero would never ring
    ctypes.CDLL(None).timerfd_settime(timer, 0, ctypes.byref(_Timer(_Timespec(0, 0), value)), None)
