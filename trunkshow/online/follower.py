"""Reads the event log: to its end and on, and again from somewhere for who comes later. One for each process.

What is heard goes to one function, event by event, with the place where it stands; it may come twice, and in any order
of replay and following. Who counts the whole log is told of whole records (`overhear`). Reading is done on the event
loop, in slices, so that requests get in between; as long as the reader is far behind and the process has requests to
answer, it rests between slices, as other work in the background does (`trunkshow.pacing`). Only seconds behind it does
not: freshness is what it is for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Never

import structlog

from trunkshow import pacing
from trunkshow.eventlog.log import EventLog, LogUnavailable, Read
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.positions import Position, position_of
from trunkshow.online.progress import FRESH_WITHIN_S, Progress
from trunkshow.serving import metrics
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.v1 import events_pb2 as pb
from trunkshow.v1 import log_pb2

SLICE_S = 0.002
"""Of work, after which others get their turn."""

ASK_EVERY_S = 0.25
"""So old is what is known at most, where the reader keeps up. Asking waits for a log that is gone to come back; a pause
much longer than this would be time in which it is back, read to its end, and its reader does not know that it is."""

ASK_WITHIN_S = 2.0
AGAIN_AFTER_S = 1.0

EVENTS = metrics.counter("trunkshow_log_events_total", "Events read from the log, replayed ones among them.")
UNREADABLE = metrics.counter("trunkshow_log_records_unreadable_total", "Records that could not be made sense of.")
LAG = metrics.gauge("trunkshow_log_lag_seconds", "Time since everything in the log had been read.")

log = structlog.get_logger()

Hear = Callable[[pb.Event, Position], None]
HearRecord = Callable[[log_pb2.Record, Position], None]
Sleep = Callable[[float], Awaitable[None]]


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
        overhear: HearRecord | None = None,
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
        LAG.set_function(lambda: self.progress.lag_s(self._clock()))

    # --- following -----------------------------------------------------------------------------------------------

    async def run(self, after: Watermark | None = None, *, from_end: bool = False) -> None:
        """Hear of everything after a watermark, or from where the log ends now, until cancelled."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._ask_again_and_again())
            both.create_task(self._follow_on(after, from_end=from_end))

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
                await asyncio.wait_for(self._began.wait(), ASK_WITHIN_S)
            except TimeoutError:
                raise LogUnavailable("it is not followed yet") from None

    # --- again ---------------------------------------------------------------------------------------------------

    async def replay(self, after: Watermark | None, hear: Hear) -> None:
        """Tell somebody of everything after a watermark and up to where the log ends now.

        Raises:
            LogUnavailable: it cannot be read.
        """
        await self.replay_records(after, each(hear))

    async def replay_records(self, after: Watermark | None, hear: HearRecord) -> Watermark:
        """As `replay`, in whole records; where the log ended when that began.

        Raises:
            LogUnavailable: it cannot be read.
        """
        end = await self.end()
        if any(end.counts.values()):
            await self._told(self._source.read(after, end), (hear,), after, behind=lambda: True)
        return end

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
        while True:
            after = self.progress.watermark
            try:
                reads = self._source.follow(after)
                await self._told(reads, self._hearers, after, behind=self._is_behind, moved=self._moved_to)
            except LogUnavailable as error:
                self._answers(error)
            await self._sleep(AGAIN_AFTER_S)

    async def _told(
        self,
        reads: AsyncGenerator[Read, None],
        hearers: Sequence[HearRecord],
        before: Watermark | None,
        *,
        behind: Callable[[], bool],
        moved: Callable[[Watermark], None] = lambda watermark: None,
    ) -> None:
        """Hear every record of a stream of them."""
        worked = 0.0
        async with aclosing(reads):
            async for read in reads:
                began = self._clock()
                self._record(read, before, hearers)
                before = read.watermark
                moved(before)
                worked += self._clock() - began
                if worked >= SLICE_S:
                    rest = behind() and self._busy()
                    await self._sleep(min(worked * (1 / pacing.SHARE - 1), pacing.REST_S_MAX) if rest else 0)
                    worked = 0.0

    def _record(self, read: Read, before: Watermark | None, hearers: Sequence[HearRecord]) -> None:
        if before is not None and before.log == read.watermark.log and before.covers(read.watermark):
            return  # it came twice
        for hear in hearers:
            try:
                hear(read.record, position_of(before, read.watermark))
            except Exception as error:  # one record that is no good must not end the reading of all others
                UNREADABLE.inc()
                log.error("log.unreadable", watermark=str(read.watermark), exc_info=error)
        EVENTS.inc(len(read.record.events))

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


def each(hear: Hear) -> HearRecord:
    """Who hears of events hears of a record's."""

    def heard(record: log_pb2.Record, at: Position) -> None:
        for event in record.events:
            hear(event, at)

    return heard
