"""When a reader of the log gives others their turn at the event loop, and how long it rests then.

A reader that is behind in a busy process rests, as other work in the background does (`trunkshow.pacing`), and the less
the longer it has been behind: what comes in may take any share of the time to be heard, and a share that stays as it is
might never be enough. Time and waiting come in through ports.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

from trunkshow import pacing
from trunkshow.online.positions import Position
from trunkshow.serving.deadline import Clock
from trunkshow.v1 import events_pb2 as pb
from trunkshow.v1 import log_pb2

SLICE_S = 0.002
"""Of work, after which others get their turn."""

STEP_S_MAX = 0.01
"""A step to the next record that took longer waited for the log, and did not work all that time."""

FOLLOWING = (0.5, 1.0, 30.0)
"""The share of the time of one that follows: as it falls behind, at most, and after how many seconds that is."""

BEFORE_IT_SERVES = (pacing.SHARE, 1.0, 60.0)
"""Of one that follows for what comes beside what is served, until it has caught up; its log may be a long one."""

AGAIN = (pacing.SHARE, 0.5, 60.0)
"""Of one that reads again up to an end, which stays where it is."""

IN_A_HURRY = (0.5, 1.0, 10.0)
"""Of one that reads again what all that is served here lacks. Who serves nothing yet is not busy, and need not rest."""

ERRORS_MAX = 3
"""Of a record, told; all are counted as one."""

Ramp = tuple[float, float, float]
Sleep = Callable[[float], Awaitable[None]]
Hear = Callable[[pb.Event, Position], None]
Hearer = Callable[[log_pb2.Record, Position], Iterator[None]]
"""Hears of a record, and stops wherever others may have their turn."""


class Turns:
    """Of one reading.

    Args:
        ramp: its share of the time.
        then: once it was not behind for the first time; the same where None.
        behind: whether it is.
        busy: whether the process has requests to answer.
        clock: a port: monotonic seconds.
        sleep: a port.
    """

    def __init__(
        self,
        ramp: Ramp,
        *,
        then: Ramp | None = None,
        behind: Callable[[], bool],
        busy: Callable[[], bool],
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._ramp, self._then = ramp, then or ramp
        self._behind, self._busy = behind, busy
        self._clock, self._sleep = clock, sleep
        self._worked, self._counted_at = 0.0, clock()
        self._behind_since: float | None = None

    def stepped(self) -> None:
        """The next record is there: since the last call here it was taken from the log and read."""
        now = self._clock()
        self._worked += min(now - self._counted_at, STEP_S_MAX)
        self._counted_at = now

    def is_over(self) -> bool:
        """Whether it is others' turn, now that somebody heard something."""
        now = self._clock()
        self._worked += now - self._counted_at
        self._counted_at = now
        return self._worked >= SLICE_S

    async def give(self) -> None:
        """Let others have theirs."""
        share = self._share()
        rest = self._worked * (1 / share - 1) if self._busy() else 0.0
        await self._sleep(min(rest, pacing.REST_S_MAX))
        self._worked, self._counted_at = 0.0, self._clock()

    def _share(self) -> float:
        if not self._behind():
            self._behind_since, self._ramp = None, self._then
            return 1.0
        if self._behind_since is None:
            self._behind_since = self._counted_at
        least, most, after_s = self._ramp
        return least + (most - least) * min(1.0, (self._counted_at - self._behind_since) / after_s)


def each(hear: Hear) -> Hearer:
    """Who hears of events hears of a record's, one after the other.

    A record has events of many callers: one that is no good must not keep the others from being heard. It raises an
    `ExceptionGroup` of what was raised, at its end.
    """

    def heard(record: log_pb2.Record, at: Position) -> Iterator[None]:
        errors: list[Exception] = []
        for event in record.events:
            try:
                hear(event, at)
            except Exception as error:
                errors.append(error)
            yield
        if errors:
            raise ExceptionGroup(f"{len(errors)} events of a record that are no good", errors[:ERRORS_MAX])

    return heard
