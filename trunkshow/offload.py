"""Blocking calls that may hang: off the event loop, waited for so long and no longer, and never in the way of the end.

A store on a dead network file system blocks whoever reads it, and no thread can be killed. So every call has a daemon
thread of its own, which the end of the process does not wait for; a call that outlives its limit is left to itself; and
while as many as `stuck_max` are, no further one is begun. What a call does is its caller's.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Stuck(TimeoutError):
    """A call did not return in time, or those before it still have not; the message says which."""


class Offload(Generic[T]):
    """Runs blocking calls of one kind.

    Args:
        name: of the threads, and in messages.
        stuck_max: calls that may be left to themselves at a time.
        late: given on the event loop what such a call returned in the end, so that it can be closed.
    """

    def __init__(self, name: str, *, stuck_max: int = 1, late: Callable[[T], None] | None = None) -> None:
        self._name = name
        self._stuck_max = stuck_max
        self._late = late
        self._stuck = 0

    async def run(self, work: Callable[[], T], within_s: float) -> T:
        """What the call returns or raises.

        Raises:
            Stuck: it did neither in time, or too many before it still hang, or no thread is to be had.
        """
        if self._stuck >= self._stuck_max:
            raise Stuck(f"{self._name}: still waits for an earlier call")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        try:
            threading.Thread(target=_work, args=(work, loop, self._settle, done), name=self._name, daemon=True).start()
        except RuntimeError as error:  # of this machine, and not of the call
            raise Stuck(f"{self._name}: {error}") from error
        try:
            # Not wait_for: the future must outlive the waiting, since the thread does.
            await asyncio.wait({done}, timeout=within_s)
        finally:
            if not done.done():
                self._stuck += 1
                done.add_done_callback(self._returned)
        if not done.done():
            raise Stuck(f"{self._name}: nothing came within {within_s:g} s")
        return done.result()

    def _settle(self, done: asyncio.Future[T], result: Any, error: BaseException | None) -> None:
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    def _returned(self, done: asyncio.Future[T]) -> None:
        self._stuck -= 1
        if done.exception() is None and self._late is not None:
            self._late(done.result())


def aside(name: str, work: Callable[[], object]) -> None:
    """Begin a call that nobody waits for, and that does not raise; the end of the process does not wait for it."""
    threading.Thread(target=work, name=name, daemon=True).start()


def _work(
    work: Callable[[], T], loop: asyncio.AbstractEventLoop, settle: Callable[..., None], done: asyncio.Future[T]
) -> None:
    result, error = None, None
    try:
        result = work()
    except BaseException as raised:  # it is raised again where the call is awaited
        error = raised
    with suppress(RuntimeError):  # the loop is closed: the process ends, and nobody waits
        loop.call_soon_threadsafe(settle, done, result, error)
