"""Blocking calls that may hang: off the event loop, waited for so long and no longer, and never in the way of the end.

A store on a dead network file system blocks whoever reads it, and no thread can be killed. So calls are made by daemon
threads, each at one call at a time, which the end of the process does not wait for; a call that outlives its limit is
left to itself; and while as many as `stuck_max` are, no further one is begun. What a call does is its caller's.

A thread that is done waits a while for the next call: to start one holds up the event loop until the system runs it, on
a busy machine for milliseconds, and some calls come several times a second.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

IDLE_S = 5.0
"""After so long without a call a thread ends."""

T = TypeVar("T")


class Stuck(TimeoutError):
    """A call did not return in time, or those before it still have not; the message says which."""


class NotBegun(Stuck):
    """Of these, a call that was not begun, and never will be."""


class Offload(Generic[T]):
    """Runs blocking calls of one kind.

    Args:
        name: of the threads, and in messages.
        stuck_max: calls that may be left to themselves at a time.
        late: given on the event loop what such a call returned in the end, so that it can be closed.
        idle_s: that a thread waits for its next call.
    """

    def __init__(
        self, name: str, *, stuck_max: int = 1, late: Callable[[T], None] | None = None, idle_s: float = IDLE_S
    ) -> None:
        self._name = name
        self._stuck_max = stuck_max
        self._late = late
        self._idle_s = idle_s
        self._idle: list[_Worker] = []
        self._stuck = 0

    async def run(self, work: Callable[[], T], within_s: float) -> T:
        """What the call returns or raises.

        Raises:
            Stuck: it did neither in time.
            NotBegun: too many before it still hang, or no thread is to be had.
        """
        if self._stuck >= self._stuck_max:
            raise NotBegun(f"{self._name}: still waits for an earlier call")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._worker().give(lambda free: _work(work, loop, self._settle, done, free))
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

    def _worker(self) -> _Worker:
        """One that has nothing to do, or a new one."""
        with suppress(IndexError):
            return self._idle.pop()
        try:
            return _Worker(self._name, self._idle, self._idle_s)
        except RuntimeError as error:  # of this machine, and not of the call
            raise NotBegun(f"{self._name}: {error}") from error

    def _settle(self, done: asyncio.Future[T], result: Any, error: BaseException | None) -> None:
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    def _returned(self, done: asyncio.Future[T]) -> None:
        self._stuck -= 1
        if done.exception() is None and self._late is not None:
            self._late(done.result())


_Call = Callable[[Callable[[], None]], None]
"""Made with what it is to say once it is done: that its thread is free for the next."""


class _Worker:
    """A thread that makes one call after the other.

    It stands in the list of those that are idle, or was taken from there and is given a call. Taking one out is one
    step of the interpreter's, so that of two who would, the loop and a worker that has waited long enough, one does.

    Args:
        name: of the thread.
        idle: where it stands while it has nothing to do.
        idle_s: after which it ends.
    """

    def __init__(self, name: str, idle: list[_Worker], idle_s: float) -> None:
        self._idle = idle
        self._idle_s = idle_s
        self._calls: SimpleQueue[_Call] = SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def give(self, call: _Call) -> None:
        """Have a call made, which does not raise."""
        self._calls.put(call)

    def _run(self) -> None:
        self._calls.get()(self._free)
        while self._goes_on():
            pass

    def _goes_on(self) -> bool:
        """Make the next call, where one comes in time; nothing of it is held on to."""
        try:
            call = self._calls.get(timeout=self._idle_s)
        except Empty:
            with suppress(ValueError):
                self._idle.remove(self)
                return False
            call = self._calls.get()  # it was taken a moment ago
        call(self._free)
        return True

    def _free(self) -> None:
        self._idle.append(self)


def aside(name: str, work: Callable[[], object]) -> None:
    """Begin a call that nobody waits for, and that does not raise; the end of the process does not wait for it."""
    threading.Thread(target=work, name=name, daemon=True).start()


def _work(
    work: Callable[[], T],
    loop: asyncio.AbstractEventLoop,
    settle: Callable[..., None],
    done: asyncio.Future[T],
    free: Callable[[], None],
) -> None:
    result, error = None, None
    try:
        result = work()
    except BaseException as raised:  # it is raised again where the call is awaited
        error = raised
    free()  # before anybody hears of it, and has the next call to make
    with suppress(RuntimeError):  # the loop is closed: the process ends, and nobody waits
        loop.call_soon_threadsafe(settle, done, result, error)
