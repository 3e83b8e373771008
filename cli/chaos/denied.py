"""Processor time that was taken from the machine itself: by a hypervisor, for other machines ("steal" in /proc/stat).

Nobody here can do anything in that time, so that what was late then may be so by nobody's doing here. It is told, and
excuses nothing. How much was taken is looked at again and again, and kept as a series; the rest is arithmetic on it.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

import psutil

LOOK_EVERY_S = 0.5

DENIED_MIN = 0.05
"""Of the time of all processors; in a second in which more was taken, the machine was denied it."""

SECOND_OF_S = (-0.4, 0.6)
"""The second around an answer, from when it was asked for: in its midst are the 200 ms within which it was due."""


@dataclass(frozen=True)
class Denial:
    """What was taken during a fault.

    Attributes:
        taken_s: seconds of all processors together.
        of_s: that there were.
        late: late answers in whose second the machine was denied its processors' time.
    """

    taken_s: float
    of_s: float
    late: int

    @property
    def share(self) -> float:
        """Of the processors' time."""
        return self.taken_s / self.of_s if self.of_s else 0.0

    @classmethod
    def sum(cls, parts: Iterable[Denial | None]) -> Denial | None:
        """All of them as one; those that nobody could tell are left out, and None is left where that is all."""
        told = [part for part in parts if part is not None]
        if not told:
            return None
        return cls(sum(one.taken_s for one in told), sum(one.of_s for one in told), sum(one.late for one in told))

    def to_json(self) -> dict[str, Any]:
        """Plain values, and the share."""
        return {**asdict(self), "share": round(self.share, 4)}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Denial:
        """The denial that `to_json` wrote."""
        return cls(raw["taken_s"], raw["of_s"], raw["late"])


class Takings:
    """How much had been taken at one moment after another; in between, evenly.

    Args:
        processors: how many there are.
    """

    def __init__(self, processors: int) -> None:
        self._processors = processors
        self._moments: list[float] = []
        self._taken_s: list[float] = []

    def note(self, moment: float, taken_s: float) -> None:
        """By a moment, monotonic seconds, so much had been taken since the machine began, of all processors."""
        self._moments.append(moment)
        self._taken_s.append(taken_s)

    def forget(self, before: float) -> None:
        """Keep what it takes to tell of anything since a moment."""
        kept = max(0, bisect_left(self._moments, before) - 1)
        del self._moments[:kept], self._taken_s[:kept]

    def share(self, begin: float, end: float) -> float:
        """Of the processors' time between two moments; nothing where nobody looked."""
        return self._between(begin, end) / ((end - begin) * self._processors) if end > begin else 0.0

    def denial(self, begin: float, end: float, late: Iterable[tuple[float, int]]) -> Denial:
        """What was taken between two moments.

        Args:
            begin: monotonic seconds.
            end: the same.
            late: when answers were asked for that came late, and how many.
        """
        before, after = SECOND_OF_S
        denied = sum(count for sent, count in late if self.share(sent + before, sent + after) > DENIED_MIN)
        return Denial(self._between(begin, end), (end - begin) * self._processors, denied)

    def _between(self, begin: float, end: float) -> float:
        return max(0.0, self._until(end) - self._until(begin)) if self._moments else 0.0

    def _until(self, moment: float) -> float:
        after = bisect_left(self._moments, moment)
        if after == 0:
            return self._taken_s[0]
        if after == len(self._moments):
            return self._taken_s[-1]
        (begin, end), (less, more) = self._moments[after - 1 : after + 1], self._taken_s[after - 1 : after + 1]
        return less + (more - less) * (moment - begin) / (end - begin)


@asynccontextmanager
async def watching() -> AsyncIterator[Takings | None]:
    """Takings that grow for the time of the context; None where the system does not tell."""
    if _taken_s() is None:
        yield None
        return
    takings = Takings(psutil.cpu_count() or 1)
    looking = asyncio.create_task(_look(takings))
    try:
        yield takings
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


async def _look(takings: Takings) -> None:
    while (taken_s := _taken_s()) is not None:
        takings.note(time.monotonic(), taken_s)
        await asyncio.sleep(LOOK_EVERY_S)


def _taken_s() -> float | None:
    taken_s: float | None = getattr(psutil.cpu_times(), "steal", None)
    return taken_s
