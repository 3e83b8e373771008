"""Whether a log is still the one that was read: by its end, and by the record that stands where the reading ended.

A log that is restored from an older copy keeps its name, and what comes then has the numbers of what was lost. As long
as it is shorter than what was read its end tells that; once it has grown beyond, only its records do. So of each lane
the last record that was read is remembered, as a hash, and looked at again: by the next export, and by what serves, for
what a snapshot was built with and for what it heard itself. One that the log has removed since tells nothing. Where the
log's adapter connects again, or cannot know whether its client did, it looks by itself (`LogWentBack`), so that nothing
depends on how long the log was gone, or on who is first to be there again. Reading is this module's only I/O.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from hashlib import sha256
from typing import NamedTuple

import structlog

from trunkshow.eventlog.log import EventLog, LogUnavailable
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.positions import Position, Since, position_of
from trunkshow.serving import metrics
from trunkshow.v1 import log_pb2

DIGEST_CHARS = 32
LOOKS_MIN = 12
LOOK_EVERY_S = 0.25
"""Looks at the end of a log before it is believed to lie before what was read; three seconds."""

WATCH_EVERY_S = 2.0
END_WITHIN_S = 2.0

Sleep = Callable[[float], Awaitable[None]]

WENT_BACK = metrics.counter(
    "trunkshow_log_went_back_total", "Times that a log was found to be an older copy of what had been read."
)

log = structlog.get_logger()


class Last(NamedTuple):
    """The last record that was read of a lane.

    Attributes:
        number: of it in the lane, from 1.
        digest: of it.
    """

    number: int
    digest: str


Lineage = Mapping[int, Last]
"""By lane."""

NO_LINEAGE: Lineage = {}


def digest_of(record: log_pb2.Record) -> str:
    """The same for the same record, whoever read it."""
    return sha256(record.SerializeToString(deterministic=True)).hexdigest()[:DIGEST_CHARS]


class Stood(NamedTuple):
    """A record, and where it stood when it was read."""

    at: Position
    record: log_pb2.Record


def lineage_of(last: Stood | None) -> Lineage:
    """By which the last record that was read is known again."""
    return NO_LINEAGE if last is None else {last.at.lane: Last(last.at.number, digest_of(last.record))}


async def is_same(log: EventLog, name: str, lineage: Lineage) -> bool:
    """Whether none of these records is another one by now.

    Args:
        log: to look into; at least as long as it was.
        name: of it, as watermarks have it.
        lineage: what stood there.

    Raises:
        LogUnavailable: the log does not answer.
    """
    if not lineage:
        return True
    before = Watermark(name, {lane: last.number - 1 for lane, last in lineage.items() if last.number > 1})
    until = Watermark(name, {lane: last.number for lane, last in lineage.items()})
    async with aclosing(log.read(before, until)) as reads:
        async for read in reads:
            at, before = position_of(before, read.watermark), read.watermark
            last = lineage.get(at.lane)
            if last is not None and last.number == at.number and last.digest != digest_of(read.record):
                return False
    return True


async def why_older(log: EventLog, end: Watermark, read: Watermark | None, lineage: Lineage = NO_LINEAGE) -> str:
    """Why a log cannot be the one that was read so far, but an older copy of it; empty where nothing tells that.

    Args:
        log: to look into.
        end: of it.
        read: up to where it was; another log's is no copy of it.
        lineage: what stood there.

    Raises:
        LogUnavailable: the log does not answer.
    """
    if read is None or read.log != end.log:
        return ""
    if not end.covers(read):
        return f"the log ends at {end}, before {read}"
    if not await is_same(log, end.log, lineage):
        return f"the log has other records before {read} than it had"
    return ""


class Trail:
    """What one reader has read of a log, and whether the log still is that one.

    An end that lies before what was read is believed once it was told so often in a row: a topic may seem to end early
    for a moment, after a change of its leader. The last record is looked at where there is a reason to: the log was
    gone, or the reader was given what stands before it.

    Attributes:
        why: the log is an older copy of what was read; empty as long as that is not sure.

    Args:
        looks_min: so often.
    """

    def __init__(self, looks_min: int) -> None:
        self._looks_min = looks_min
        self.begin(None)

    def begin(self, read: Watermark | None) -> None:
        """Reading begins after a watermark."""
        self.why = ""
        self._begun = object()
        self._read = read
        self._last: Stood | None = None
        self._sure: Stood | None = None  # the last one when nothing was doubted: behind it may be another log's
        self._doubted, self._short = False, 0

    def doubt(self) -> None:
        """The log may be another one by now."""
        self._doubted = True

    def read(self, before: Watermark | None, now: Watermark, record: log_pb2.Record) -> None:
        """A record was read, by which the reader's watermark went from one to the next."""
        if self._read is not None and self._read.log == now.log and self._read.covers(now):
            self._doubted = self._doubted or not now.covers(self._read)
            return
        known = self._read if self._read is not None and self._read.log == now.log else now
        self._read = now if now.covers(known) else known.joined(now)
        self._last = Stood(position_of(before, now), record)

    async def look(self, log: EventLog, end: Watermark) -> None:
        """Look whether it is; it ends there now.

        Raises:
            LogUnavailable: the log does not answer.
        """
        begun = self._begun
        why = await why_older(log, end, self._read, lineage_of(self._sure) if self._doubted else NO_LINEAGE)
        if self._begun is not begun:
            return  # what was looked for is not read any more
        if not why:
            self._short, self._doubted, self._sure = 0, False, self._last
            return
        is_short = self._read is not None and not end.covers(self._read)
        self._short += is_short
        self._doubted = True  # it may grow beyond before it is looked at so often
        if not is_short or self._short >= self._looks_min:
            self.why = why


async def found_back(trail: Trail, log: EventLog, sleep: Sleep) -> None:
    """Look at a log beside its reader, every now and then; return once it is sure to have gone back."""
    while not trail.why:
        await sleep(WATCH_EVERY_S)
        try:
            await trail.look(log, await log.end(END_WITHIN_S))
        except LogUnavailable:
            trail.doubt()


async def start_of(log: EventLog, since: Since, within_s: float, sleep: Sleep) -> Watermark | None:
    """After which a log is to be read for a snapshot; None, its beginning, for one that was built with another log.

    Raises:
        LogUnavailable: the log does not answer.
    """
    if since.watermark is None:
        return None
    why, lineage = "", {lane: Last(*last) for lane, last in since.last.items()}
    for looks in range(LOOKS_MIN):
        await sleep(LOOK_EVERY_S if looks else 0)
        if not (why := await why_older(log, await log.end(within_s), since.watermark, lineage)):
            return since.start
    tell(log.url, why, "it is read from its beginning for the snapshot that ends there")
    return None


def tell(url: str, why: str, then: str) -> None:
    """A log was restored from an older copy: what that is told by, and what is done about it here."""
    WENT_BACK.inc()
    log.error("log.went_back", log=url, why=why, then=then)
