"""Reads the event log: to its end and on, and again from somewhere for who comes later. One for each process.

What is heard goes to one function, event by event, with the place where it stands; it may come twice, and in any order
of replay and following. Who counts the whole log is told of records (`overhear`). Reading is done on the event
loop, in slices, so that requests get in between; as long as the reader is far behind and the process has requests to
answer, it rests between slices (`trunkshow.online.turns`). Only seconds behind it does not: freshness is what it is
for.

A log that went back, restored from an older copy, may have anything where something else stood before (`lineage`). Who
follows it from where a snapshot ends, or from its beginning, begins again with its first record; who follows it from
its end goes on from where it ends now, and tells, so that it is replayed from its beginning.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Never

import structlog

from trunkshow.eventlog.log import EventLog, LogUnavailable, LogWentBack, Read
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online import lineage
from trunkshow.online.lineage import Trail
from trunkshow.online.positions import Since
from trunkshow.online.progress import FRESH_WITHIN_S, Progress
from trunkshow.online.telling import tell
from trunkshow.online.turns import AGAIN, FOLLOWING, Hear, Hearer, Ramp, Sleep, Turns, each
from trunkshow.serving import metrics
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.serving.whichever import whichever

ASK_EVERY_S = 0.25
"""So old is what is known at most, where the reader keeps up. Asking waits for a log that is gone to come back; a pause
much longer than this would be time in which it is back, read to its end, and its reader does not know that it is."""

ASK_WITHIN_S = 2.0
AGAIN_AFTER_S = 1.0

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
        went_back: told that the log did, and that it is to be replayed.
        at_first: the share of the time that it takes from requests until it has caught up for the first time.
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
        went_back: Callable[[], None] = lambda: None,
        at_first: Ramp = FOLLOWING,
        busy: Callable[[], bool] = lambda: False,
        clock: Clock = monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.progress = Progress()
        self.start: Watermark | None = None
        self._source = source
        self._hearers = (each(hear),) if overhear is None else (each(hear), overhear)
        self._tell_back = went_back
        self._at_first = at_first
        self._busy = busy
        self._clock = clock
        self._sleep = sleep
        self._trail = Trail(lineage.LOOKS_MIN)
        self._back = asyncio.Event()
        self._made_at = clock()
        self._moved = asyncio.Event()
        self._began = asyncio.Event()
        self._gone = False

    @property
    def lag_s(self) -> float:
        """Seconds since everything was known."""
        return self.progress.lag_s(self._clock())

    # --- following -----------------------------------------------------------------------------------------------

    async def run(self, since: Since | None = None, *, from_end: bool = False) -> None:
        """Hear of everything since a snapshot, or since the log's beginning, or its end now, until cancelled."""
        _running.add(self)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._ask_again_and_again())
                both.create_task(self._follow_on(since, from_end=from_end))
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

    async def start_of(self, since: Since) -> Watermark | None:
        """After which the log is to be read for a snapshot; None, its beginning, for one that was built with another.

        Raises:
            LogUnavailable: it does not say.
        """
        return await lineage.start_of(self._source, since, ASK_WITHIN_S, self._sleep)

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

    async def _follow_on(self, since: Since | None, *, from_end: bool) -> Never:
        after = await self._begun(since, from_end=from_end)
        self._begin_after(after)
        self.start = after
        self._began.set()
        turns = self._turns(self._at_first, self._is_behind, then=FOLLOWING)
        while True:
            await whichever(self._follow(turns), self._back.wait())
            if why := self._trail.why:  # only now does nothing move any more
                lineage.tell(self._source.url, why, "it is read again")
                self._begin_after(await self._begun(None, from_end=from_end))
                self._back.clear()
                self._tell_back()
            await self._sleep(AGAIN_AFTER_S)

    def _begin_after(self, watermark: Watermark | None) -> None:
        self.progress.began(watermark)
        self._trail.begin(watermark)

    async def _begun(self, since: Since | None, *, from_end: bool) -> Watermark | None:
        """After which following begins."""
        while True:
            try:
                if from_end:
                    return await self.end()
                return None if since is None else await self.start_of(since)
            except LogUnavailable as error:
                self._answers(error)
            await self._sleep(ASK_EVERY_S)

    async def _follow(self, turns: Turns) -> None:
        after = self.progress.watermark
        try:
            await tell(self._source.follow(after), self._hearers, after, turns, self._moved_to)
        except LogWentBack as error:
            self._trail.why = str(error)
        except LogUnavailable as error:
            self._answers(error)

    async def _replayed(self, after: Watermark | None, hearer: Hearer, ramp: Ramp = AGAIN) -> Watermark:
        end = await self.end()
        if any(end.counts.values()):
            turns = self._turns(ramp, lambda: True)
            await tell(self._source.read(after, end), (hearer,), after, turns)
        return end

    def _turns(self, ramp: Ramp, behind: Callable[[], bool], then: Ramp | None = None) -> Turns:
        return Turns(ramp, then=then, behind=behind, busy=self._busy, clock=self._clock, sleep=self._sleep)

    def _moved_to(self, before: Watermark | None, read: Read) -> None:
        now = read.watermark
        self._trail.read(before, now, read.record)
        self.progress.read(now)
        self._moved.set()
        self._moved = asyncio.Event()

    async def _ask_again_and_again(self) -> Never:
        """Ask the log for its end, to know how fresh what was heard is, and whether the log is what it was."""
        while True:
            asked_at = self._clock()
            try:
                end = await self._source.end(ASK_WITHIN_S)
                await self._trail.look(self._source, end)
                if self._trail.why:
                    self._back.set()
                self.progress.ended(end, asked_at)
                self._answers(None)
            except LogUnavailable as error:
                self._trail.doubt()
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
