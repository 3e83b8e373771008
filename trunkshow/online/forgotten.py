"""Who is to be forgotten, as the tombstones beside the event log say, and what that means for events and snapshots.

1. An event that stands in the log before its user's tombstone, or that happened before it, is forgotten.
2. A snapshot that was not built with the tombstone (`Manifest.forgotten_watermark`) must not use what it knows of the
   user, however it came to be served: to it they are a stranger, and what they do afterwards is a newcomer's.
3. Of several tombstones of a user the last one counts.
4. A tombstone is of when its router says, or when its log says that it was written, whichever is earlier: what is done
   afterwards is not forgotten because one of these clocks is fast.

Values and one set of them; `following` is the only I/O. What was heard is kept by `forgotten_file`. Where tombstones
stand, and for how long, is `trunkshow.eventlog.opening`'s business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Never

import structlog

from trunkshow.eventlog.log import EventLog, LogMissing, LogUnavailable, Read
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.positions import Position, position_of
from trunkshow.v1 import log_pb2

END_WITHIN_S = 2.0
AGAIN_AFTER_S = 0.2
KNOWN_WITHIN_S = 5.0
"""After which a process goes on without; whom it hears of later is forgotten then."""


log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Of one person.

    Attributes:
        id: of the request.
        user_id: who.
        time_ms: when it was asked for, milliseconds since the epoch (rule 4).
        events_until: up to where events are forgotten; None where the log of events was empty, or not there.
        at: where the tombstone stands in its log.
    """

    id: str
    user_id: str
    time_ms: int
    events_until: Watermark | None
    at: Position

    @classmethod
    def of(cls, forget: log_pb2.Forget, at: Position, written_ms: int | None = None) -> Tombstone:
        """As a record has it, which was written then."""
        said_ms = forget.timestamp.ToMilliseconds()
        time_ms = said_ms if written_ms is None else min(said_ms, written_ms)
        return cls(forget.id, forget.user_id, time_ms, watermark_of(forget.events_until), at)

    def covers(self, at: Position, time_ms: int) -> bool:
        """Whether an event that stands there and happened then is forgotten."""
        if time_ms <= self.time_ms:
            return True
        until = self.events_until
        return until is not None and until.log == at.log and at.number <= until.counts.get(at.lane, 0)

    def is_known_to(self, forgotten: Watermark | None) -> bool:
        """Whether whoever has read tombstones up to a watermark knows this one."""
        at = self.at
        return forgotten is not None and forgotten.log == at.log and at.number <= forgotten.counts.get(at.lane, 0)


def watermark_of(text: str) -> Watermark | None:
    """A watermark as somebody wrote it; None where they had none."""
    try:
        return Watermark.parse(text)
    except ValueError:
        return None


class Forgotten:
    """Everybody who is to be forgotten; a person takes about 300 bytes.

    Attributes:
        watermark: of the tombstones that were heard; None before the first.
        whole: set once all were heard that there were when they were first asked for.
    """

    def __init__(self) -> None:
        self.watermark: Watermark | None = None
        self._of: dict[str, Tombstone] = {}
        self._listeners: list[Callable[[Tombstone], None]] = []
        self._end: Watermark | None = None
        self.whole = asyncio.Event()
        self._moved = asyncio.Event()

    def __len__(self) -> int:
        return len(self._of)

    def listen(self, listener: Callable[[Tombstone], None]) -> None:
        """Be told of every tombstone from now on."""
        self._listeners.append(listener)

    def hear(self, record: log_pb2.Record, watermark: Watermark, written_ms: int | None = None) -> None:
        """A record of the tombstones' log, and its reader's watermark with it; one that comes twice is heard once.

        A log that went back forgets tombstones; whoever heard of them does not.
        """
        known = self.watermark
        if known is not None and known.log == watermark.log and known.counts == watermark.counts:
            return
        at = position_of(known, watermark)
        self.watermark = watermark
        if record.HasField("forget"):
            self._add(Tombstone.of(record.forget, at, written_ms))
        self._settle()
        self._moved.set()
        self._moved = asyncio.Event()

    def _add(self, tombstone: Tombstone) -> None:
        known = self._of.get(tombstone.user_id)
        later = known is not None and known.at[:2] == tombstone.at[:2] and known.at.number > tombstone.at.number
        if known is not None and later and known.time_ms >= tombstone.time_ms:  # else it is the log that went back
            return  # recalled: a later one than this will be heard
        self._of[tombstone.user_id] = tombstone
        self._tell(tombstone)

    def recall(self, tombstone: Tombstone) -> None:
        """One that was heard before this process began; what the log tells of the same person takes its place."""
        self._of[tombstone.user_id] = tombstone

    def expect(self, end: Watermark) -> None:
        """The tombstones' log has so much for now."""
        self._end = end
        self._settle()

    async def reached(self, watermark: Watermark, within_s: float) -> bool:
        """Whether everything up to a watermark was heard, waiting for it so long at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(within_s, 0)):
                while not self._has_heard(watermark):
                    await self._moved.wait()
        return self._has_heard(watermark)

    def _has_heard(self, watermark: Watermark) -> bool:
        """Whether everything up to a watermark was heard; never so where it is of a log that is not read yet."""
        if not any(watermark.counts.values()):
            return True
        return self.watermark is not None and self.watermark.log == watermark.log and self.watermark.covers(watermark)

    async def known(self, within_s: float = KNOWN_WITHIN_S) -> None:
        """Return once everybody is known who was to be forgotten in the beginning, or that takes too long."""
        try:
            async with asyncio.timeout(within_s):
                await self.whole.wait()
        except TimeoutError:
            log.error("forgotten.unknown", after_s=within_s)

    def find(self, user_id: str) -> Tombstone | None:
        """A person's tombstone."""
        return self._of.get(user_id)

    def covers(self, user_id: str, at: Position, time_ms: int) -> bool:
        """Whether an event is forgotten."""
        tombstone = self._of.get(user_id)
        return tombstone is not None and tombstone.covers(at, time_ms)

    def hides(self, user_id: str, built_with: Watermark | None) -> bool:
        """Whether a snapshot that was built with so many tombstones must not use what it knows of somebody."""
        tombstone = self._of.get(user_id)
        return tombstone is not None and not tombstone.is_known_to(built_with)

    def _tell(self, tombstone: Tombstone) -> None:
        for listener in self._listeners:
            try:
                listener(tombstone)
            except Exception as error:  # the others are told all the same, and nobody's process ends
                log.error("forgotten.listener_failed", tombstone=tombstone.id, exc_info=error)

    def _settle(self) -> None:
        if self._end is not None and not self.whole.is_set() and _has_reached(self.watermark, self._end):
            self.whole.set()
            log.info("forgotten.known", people=len(self))

    def tombstones(self) -> tuple[Tombstone, ...]:
        """All of them."""
        return tuple(self._of.values())


NOBODY_FORGOTTEN = Forgotten()
"""Where no log is followed."""


async def read_all(source: EventLog, within_s: float = END_WITHIN_S) -> Forgotten:
    """All tombstones that there are now.

    Raises:
        LogUnavailable: the log does not answer.
    """
    forgotten = Forgotten()
    try:
        end = await source.end(within_s)
    except LogMissing:  # it is made with the first tombstone, or by the first router
        return forgotten
    async for read in source.read(None, end):
        forgotten.hear(read.record, read.watermark, read.written_ms)
    forgotten.watermark = end if any(end.counts.values()) else forgotten.watermark
    return forgotten


async def following(forgotten: Forgotten, source: EventLog) -> Never:
    """Hear every tombstone, until cancelled; `whole` is set once all that were there in the beginning were heard."""
    async with asyncio.TaskGroup() as both:
        both.create_task(_until_whole(forgotten, source))
        both.create_task(_hear_all(forgotten, source))
    raise AssertionError("a log has no end")


async def _hear_all(forgotten: Forgotten, source: EventLog) -> Never:
    while True:
        try:
            async for read in source.follow(forgotten.watermark):
                _heard(forgotten, read)
        except LogUnavailable as error:
            log.error("forgotten.unread", error=str(error))
        await asyncio.sleep(AGAIN_AFTER_S)


def _heard(forgotten: Forgotten, read: Read) -> None:
    try:
        forgotten.hear(read.record, read.watermark, read.written_ms)
    except Exception as error:  # one record that is no good must not end the hearing of all others
        log.error("forgotten.unreadable", watermark=str(read.watermark), exc_info=error)


async def _until_whole(forgotten: Forgotten, source: EventLog) -> None:
    while True:
        try:
            end = await source.end(END_WITHIN_S)
            break
        except LogMissing:
            end = Watermark("")
            break
        except LogUnavailable:
            pass
        await asyncio.sleep(AGAIN_AFTER_S)
    forgotten.expect(end)


def _has_reached(read: Watermark | None, end: Watermark) -> bool:
    """Whether what there was in the beginning needs not be waited for: it was read, or went with a log that is gone."""
    if not any(end.counts.values()):
        return True
    return read is not None and (read.log != end.log or read.covers(end))
