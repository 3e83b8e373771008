"""The log as it is read here, and what of it could not be: removed before it was read, or spoilt.

Every reading of it goes through here, followed or replayed. A snapshot that was built without a record that is lost
does not know everything of anybody, and never will: the next one does, whose watermark is behind it. What an old log
has let go of is lost to whoever begins with what is left, as for a snapshot without a watermark; so is whatever does
not come before a reading's end. Of each lane the last that was lost is kept; of a log that made way for another,
nothing. A spoilt record is known of once another came after it, or its reading ended.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from time import time
from typing import NamedTuple

import structlog

from trunkshow.eventlog.log import EventLog, Read
from trunkshow.eventlog.reading import received_ms
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.positions import Position, Since
from trunkshow.serving.deadline import Clock
from trunkshow.v1 import events_pb2

log = structlog.get_logger()


class Loss(NamedTuple):
    """The last record of a lane that was lost.

    Attributes:
        at: where it stood.
        time_ms: when what came after it was recorded, or it was missed, milliseconds since the epoch.
    """

    at: Position
    time_ms: int


class Losses:
    """A log, and what of it is lost.

    Args:
        source: the log.
        told: of every loss, before the record that came after it is read.
        wall: a port: seconds since the epoch, where records do not say when they came.
    """

    def __init__(self, source: EventLog, told: Callable[[Loss], None], wall: Clock = time) -> None:
        self.url = source.url
        self._source = source
        self._told = told
        self._wall = wall
        self._log = ""
        self._last: dict[int, Loss] = {}

    @property
    def age_s(self) -> float | None:
        """As the log."""
        return self._source.age_s

    def concern(self, since: Since) -> bool:
        """Whether a snapshot that has seen the log up to there was built without something that is lost."""
        return any(one.at.log == self._log and since.lacks(one.at, one.time_ms) for one in self._last.values())

    async def append(self, events: Sequence[events_pb2.Event], within_s: float) -> Watermark:
        """As the log."""
        return await self._source.append(events, within_s)

    async def end(self, within_s: float) -> Watermark:
        """As the log."""
        return await self._source.end(within_s)

    async def follow(self, after: Watermark | None) -> AsyncGenerator[Read, None]:
        """As the log; losses are told of."""
        async with aclosing(self._source.follow(after)) as reads:
            async for read in reads:
                self._note(after, read)
                after = read.watermark
                yield read

    async def read(self, after: Watermark | None, until: Watermark) -> AsyncGenerator[Read, None]:
        """As the log; losses are told of."""
        async with aclosing(self._source.read(after, until)) as reads:
            async for read in reads:
                self._note(after, read)
                after = read.watermark
                yield read
        self._note_end(after, until)

    async def close(self) -> None:
        """As the log."""
        await self._source.close()

    def _note(self, before: Watermark | None, read: Read) -> None:
        self._log = read.watermark.log
        if not read.lost and not read.removed:
            return
        came, received = self._now_ms(), received_ms(read.record)
        came = came if received is None else min(received, came)
        for at in _lost(before, read.watermark):
            if self._keep(Loss(at, came)) and read.lost:
                log.error("log.not_whole", lane=at.lane, until=at.number, records=read.lost)

    def _note_end(self, after: Watermark | None, until: Watermark) -> None:
        """A reading ended there: what it should have come to, and did not, is lost."""
        self._log = until.log
        read = after.counts if after is not None and after.log == until.log else {}
        for lane, count in until.counts.items():
            if read.get(lane, 0) < count:
                self._keep(Loss(Position(until.log, lane, count), self._now_ms()))

    def _keep(self, loss: Loss) -> bool:
        """Tell of a loss; whether a lane's last one was not known yet. The earliest that it can have come counts."""
        at, known = loss.at, self._last.get(loss.at.lane)
        is_later = known is None or known.at.log != at.log or known.at < at
        if is_later:
            self._last = {lane: one for lane, one in self._last.items() if one.at.log == at.log} | {at.lane: loss}
        elif known is not None and known.at == at:
            self._last[at.lane] = min(known, loss)
        self._told(loss)
        return is_later

    def _now_ms(self) -> int:
        return round(self._wall() * 1000)


def _lost(before: Watermark | None, now: Watermark) -> Iterator[Position]:
    """Where a reading may have lost something by which it went from one watermark to the next: its last place, by lane.

    Where it went on in several lanes it is not known in which of them the record stands that was read: it counts, too.
    """
    known = before.counts if before is not None and before.log == now.log else {}
    moved = [lane for lane, count in now.counts.items() if count > known.get(lane, 0)]
    for lane in moved:
        last = now.counts[lane] - (len(moved) == 1)
        if last > known.get(lane, 0):
            yield Position(now.log, lane, last)
