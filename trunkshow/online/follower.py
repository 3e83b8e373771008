"""Reads the event log: to its end and on, and again from somewhere for who comes later. One for each process.

What is heard goes to one function, event by event, with the place where it stands; it may come twice, and in any order
of replay and following. Who counts the whole log is told of records (`overhear`). Reading is done on the event
loop, in slices, so that requests get in between; as long as the reader is far behind and the process has requests to
answer, it rests between slices (`trunkshow.online.turns`). Only seconds behind it does not: freshness is what it is
for. A log that went back, restored from an older copy, is read on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Never

import structlog

from trunkshow.eventlog.log import EventLog, LogUnavailable, Read
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.positions import position_of
from trunkshow.online.progress import FRESH_WITHIN_S, Progress
from trunkshow.online.turns import AGAIN, FOLLOWING, Hear, Hearer, Ramp, Sleep, Turns, each
from trunkshow.serving import metrics
from trunkshow.serving.deadline import Clock, monotonic

ASK_EVERY_S = 0.25
"""So old is what is known at most, where the reader keeps up. Asking waits for a log that is gone to come back; a pause
much longer than this would be time in which it is back, read to its end, and its reader does not know that it is."""

ASK_WITHIN_S = 2.0
AGAIN_AFTER_S = 1.0

EVENTS = metrics.counter("trunkshow_log_events_total", "Events read from the log, replayed ones among them.")
UNREADABLE = metrics.counter("trunkshow_log_records_unreadable_total", "Records that could not be made sense of.")
LAG = metrics.gauge(
    "trunkshow_log_lag_seconds", "Time since everything in the log had been read; of several, the most."
)

log = structlog.get_logger()

_running: set[Follower] = set()
LAG.set_function(lambda: max((one.lag_s for one in _running), default=0.0))


class Follower:
    """Follows a log.

    Attributes:
        progress: how far it is.
        start: where the log ended when following began; None before that, or where everything is followed.

    Args:
        source: to follow.
        hear: told of every event.
        overhear: told of every record that is followed, after its events were.
        busy: whether the process has requests to answer.
        clock: a port: monotonic seconds.
        sleep: a port.
    """

    def __init__(
        self,
        source: EventLog,
        hear: Hear,
        *,
        overhear: Hearer | None = None,
        busy: Callable[[], bool] = lambda: False,
        clock: Clock = monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.progress = Progress()
        self.start: Watermark | None = None
        self._source = source
        self._hearers = (each(hear),) if overhear is None else (each(hear), overhear)
        self._busy = busy
        self._clock = clock
        self._sleep = sleep
        self._made_at = clock()
        self._moved = asyncio.Event()
        self._began = asyncio.Event()
        self._gone = False

    @property
    def lag_s(self) -> float:
        """Seconds since everything was known."""
        return self.progress.lag_s(self._clock())

    # --- following -----------------------------------------------------------------------------------------------

    async def run(self, after: Watermark | None = None, *, from_end: bool = False) -> None:
        """Hear of everything after a watermark, or from where the log ends now, until cancelled."""
        _running.add(self)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._ask_again_and_again())
                both.create_task(self._follow_on(after, from_end=from_end))
        finally:
            _running.discard(self)

    async def reached(self, watermark: Watermark, within_s: float) -> bool:
        """Whether everything up to a watermark was heard, waiting for it so long at most.

        A reader that has been behind for a while is not waited for: what is waited for would come after all that it
        lacks, and waiting requests are taken for a shard that is slow.
        """
        now = self._clock()
        if min(self.progress.lag_s(now), now - self._made_at) > FRESH_WITHIN_S:
            return self.progress.covers(watermark)
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not self.progress.covers(watermark) and not self._is_anothers(watermark):
                    await self._moved.wait()
        return self.progress.covers(watermark)

    async def began(self) -> None:
        """Return once following began: what was in the log by then comes by `replay` alone.

        Raises:
            LogUnavailable: it did not begin, since the log does not answer.
        """
        if not self._began.is_set():
            await self.end()
            try:
                async with asyncio.timeout(ASK_WITHIN_S):
                    await self._began.wait()
            except TimeoutError:
                raise LogUnavailable("it is not followed yet") from None

    # --- again ---------------------------------------------------------------------------------------------------

    async def replay(self, after: Watermark | None, hear: Hear, ramp: Ramp = AGAIN) -> Watermark:
        """Tell somebody of everything after a watermark and up to where the log ends now; where that is.

        Args:
            after: to begin with what follows it.
            hear: told of every event.
            ramp: the share of the time that this takes from requests.

        Raises:
            LogUnavailable: it cannot be read.
        """
        return await self._replayed(after, each(hear), ramp)

    async def replay_records(self, after: Watermark | None, hear: Hearer) -> Watermark:
        """As `replay`, for who hears of records.

        Raises:
            LogUnavailable: it cannot be read.
        """
        return await self._replayed(after, hear)

    async def end(self) -> Watermark:
        """Where the log ends now.

        Raises:
            LogUnavailable: it does not say.
        """
        return await self._source.end(ASK_WITHIN_S)

    # --- how -----------------------------------------------------------------------------------------------------

    async def _follow_on(self, after: Watermark | None, *, from_end: bool) -> Never:
        while from_end:
            try:
                after, from_end = await self._source.end(ASK_WITHIN_S), False
            except LogUnavailable as error:
                self._answers(error)
                await self._sleep(ASK_EVERY_S)
        self.progress.began(after)
        self.start = after
        self._began.set()
        turns = self._turns(FOLLOWING, self._is_behind)
        while True:
            after = self.progress.watermark
            try:
                await self._told(self._source.follow(after), self._hearers, after, turns, moved=self._moved_to)
            except LogUnavailable as error:
                self._answers(error)
            await self._sleep(AGAIN_AFTER_S)

    async def _replayed(self, after: Watermark | None, hearer: Hearer, ramp: Ramp = AGAIN) -> Watermark:
        end = await self.end()
        if any(end.counts.values()):
            turns = self._turns(ramp, lambda: True)
            await self._told(self._source.read(after, end), (hearer,), after, turns)
        return end

    async def _told(
        self,
        reads: AsyncGenerator[Read, None],
        hearers: Sequence[Hearer],
        before: Watermark | None,
        turns: Turns,
        *,
        moved: Callable[[Watermark], None] = lambda watermark: None,
    ) -> None:
        """Hear every record of a stream of them."""
        async with aclosing(reads):
            async for read in reads:
                turns.stepped()
                if before is None or not _is_same(before, read.watermark):  # else it came twice
                    await self._record(read, before, hearers, turns)
                before = read.watermark
                moved(before)
                if turns.is_over():
                    await turns.give()

    async def _record(self, read: Read, before: Watermark | None, hearers: Sequence[Hearer], turns: Turns) -> None:
        for hearer in hearers:
            try:
                for _ in hearer(read.record, position_of(before, read.watermark)):
                    if turns.is_over():
                        await turns.give()
            except Exception as error:  # one record that is no good must not end the reading of all others
                UNREADABLE.inc()
                log.error("log.unreadable", watermark=str(read.watermark), exc_info=error)
        EVENTS.inc(len(read.record.events))

    def _turns(self, ramp: Ramp, behind: Callable[[], bool]) -> Turns:
        return Turns(ramp, behind=behind, busy=self._busy, clock=self._clock, sleep=self._sleep)

    def _moved_to(self, watermark: Watermark) -> None:
        self.progress.read(watermark)
        self._moved.set()
        self._moved = asyncio.Event()

    async def _ask_again_and_again(self) -> Never:
        """Ask the log for its end, to know how fresh what was heard is."""
        while True:
            asked_at = self._clock()
            try:
                self.progress.ended(await self._source.end(ASK_WITHIN_S), asked_at)
                self._answers(None)
            except LogUnavailable as error:
                self._answers(error)
            await self._sleep(ASK_EVERY_S)

    def _answers(self, error: LogUnavailable | None) -> None:
        """Told once when the log is gone, and once when it is back."""
        if self._gone != (error is not None):
            if error is not None:
                log.error("log.gone", log=self._source.url, error=str(error))
            else:
                log.info("log.answers", log=self._source.url, watermark=self.progress.text)
        self._gone = error is not None

    def _is_behind(self) -> bool:
        return not self.progress.is_caught_up(self._clock())

    def _is_anothers(self, watermark: Watermark) -> bool:
        known = self.progress.watermark
        return known is not None and known.log != watermark.log


def _is_same(one: Watermark, other: Watermark) -> bool:
    return one.log == other.log and one.covers(other) and other.covers(one)
