"""Work in the background that keeps out of the way of requests: it computes for a share of the time, and rests.

Opening a snapshot hashes files, maps them and answers warm-up requests, on a thread beside the event loop. Left alone
it takes a whole processor for as long as that lasts, and the interpreter from the requests; in every process of a
machine at the same moment, since all of them follow one pointer. A lower priority for the thread is no remedy: it would
hold the interpreter's lock while it waits for a processor. So the work itself stops every few milliseconds:

    rest = took × (1 / share − 1)    where the rest of the process was busy meanwhile
    rest = 0                         where it was idle: a shard that starts opens as fast as it can

What counts is what requests feel of it: the time in which it computed, or waited for a processor; where processors
are scarce it takes longer, and so rests longer. That in which it waited for the interpreter, which requests have then,
or for a disk, does not count. Whether the rest of the process was busy is read off its processor time. What is paced
calls `rest` wherever it can stop, at least every few milliseconds, and knows nothing more; outside `paced` that does
nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

SHARE = 0.1
"""Of the time, in which background work computes or waits for a processor while the process is busy."""

ALL = 1.0
"""Of the time: work that requests wait for."""

BUSY_SHARE = 0.03
"""Of a processor: with less, the process does nothing but look around."""

WINDOW_S = 0.05
"""Over which the rest of the process is looked at."""

REST_S_MAX = 1.0

STAT_BYTES_MAX = 96
"""Three numbers of 64 bits."""

T = TypeVar("T")


@dataclass(frozen=True)
class Clocks:
    """A port: where time comes from, and how it is spent; each in seconds.

    Attributes:
        wall: monotonic.
        felt: time in which the calling thread computed, or waited for a processor.
        thread: processor time of the calling thread.
        process: processor time of all threads.
        sleep: wait.
    """

    wall: Callable[[], float] = time.monotonic
    felt: Callable[[], float] = time.monotonic
    thread: Callable[[], float] = time.thread_time
    process: Callable[[], float] = time.process_time
    sleep: Callable[[float], None] = time.sleep


class Pace:
    """Of one thread's work; to be made in that thread.

    Args:
        share: of the time.
        clocks: a port.
    """

    def __init__(self, share: float = SHARE, clocks: Clocks = Clocks()) -> None:
        self._share = share
        self._clocks = clocks
        self._busy = True  # until a window has shown otherwise
        self._rested_at = clocks.felt()
        self._open_window()

    def rest(self) -> None:
        """Rest for the work since the last rest."""
        took = self._clocks.felt() - self._rested_at
        if self._clocks.wall() - self._window.wall >= WINDOW_S:
            self._busy = self._others_share() > BUSY_SHARE
            self._open_window()
        if self._busy:
            self._clocks.sleep(min(took * (1 / self._share - 1), REST_S_MAX))
        self._rested_at = self._clocks.felt()

    def _open_window(self) -> None:
        self._window = _Reading(self._clocks.wall(), self._clocks.thread(), self._clocks.process())

    def _others_share(self) -> float:
        """Of a processor, that the other threads took in the window."""
        wall = self._clocks.wall() - self._window.wall
        own = self._clocks.thread() - self._window.thread
        return (self._clocks.process() - self._window.process - own) / wall


class _Reading(NamedTuple):
    wall: float
    thread: float
    process: float


_here = threading.local()


@contextmanager
def paced(share: float = SHARE) -> Iterator[None]:
    """Pace what this thread does in the context."""
    with _felt_here() as felt:
        _here.pace = Pace(share, Clocks(felt=felt))
        try:
            yield
        finally:
            _here.pace = None


@contextmanager
def _felt_here() -> Iterator[Callable[[], float]]:
    """What this thread computes, and waits for a processor, which Linux tells (proc(5), schedstat); else all time."""
    path = Path("/proc/thread-self/schedstat")
    if not path.exists():
        yield time.monotonic
        return
    with path.open("rb", buffering=0) as told:

        def felt() -> float:
            told.seek(0)
            waited_ns = int(told.read(STAT_BYTES_MAX).split()[1])
            return time.thread_time() + waited_ns / 1e9

        yield felt


def rest() -> None:
    """A place where work may stop for a moment: it does where its thread is paced."""
    pace: Pace | None = getattr(_here, "pace", None)
    if pace is not None:
        pace.rest()


def resting(things: Iterable[T], every: int = 64) -> Iterator[T]:
    """The same things, with a place to stop after every so many."""
    for number, thing in enumerate(things, start=1):
        yield thing
        if number % every == 0:
            rest()
