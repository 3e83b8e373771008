"""Who is to be forgotten, as the tombstones beside the event log say, and what that means for events and snapshots.

1. An event that stands in the log before its user's tombstone, or that happened before it, is forgotten.
2. A snapshot that was not built with the tombstone (`Manifest.forgotten_watermark`) must not use what it knows of the
   user, however it came to be served: to it they are a stranger, and what they do afterwards is a newcomer's. It was
   built without any that was asked for after its last event, whatever its number: a log that was restored from an older
   copy counts from a lower place. (One that it has been built with all the same had nothing left out that came later.)
3. Of several tombstones of a user the last one counts.
4. A tombstone is of when its router says, or when its log says that it was written, whichever is earlier: what is done
   afterwards is not forgotten because one of these clocks is fast.

Values and one set of them; `tombstones` reads them, and `forgotten_file` keeps what was heard. Where tombstones stand,
and for how long, is `trunkshow.eventlog.opening`'s business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.lineage import Trail
from trunkshow.online.positions import Position, data_until_ms, position_of
from trunkshow.snapshot.manifest import Manifest
from trunkshow.v1 import log_pb2

LOOKS_MIN = 3
"""At the end of the tombstones' log, before it is believed to lie before what was heard."""

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


@dataclass(frozen=True, slots=True)
class BuiltWith:
    """Which tombstones a snapshot was built with.

    Attributes:
        watermark: of their log; None where it was built without any.
        until_ms: time of its last event, milliseconds since the epoch.
    """

    watermark: Watermark | None
    until_ms: int

    @classmethod
    def of(cls, manifest: Manifest) -> BuiltWith:
        """As the manifest says."""
        return cls(watermark_of(manifest.forgotten_watermark), data_until_ms(manifest))

    def has(self, tombstone: Tombstone) -> bool:
        """Whether it was surely built with this one (rule 2)."""
        return tombstone.time_ms <= self.until_ms and tombstone.is_known_to(self.watermark)


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
        trail: of the reading.
    """

    def __init__(self) -> None:
        self.watermark: Watermark | None = None
        self._of: dict[str, Tombstone] = {}
        self._listeners: list[Callable[[Tombstone], None]] = []
        self._end: Watermark | None = None
        self.trail = Trail(LOOKS_MIN)
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
        self.trail.read(known, watermark, record)
        if record.HasField("forget"):
            self._add(Tombstone.of(record.forget, at, written_ms))
        self._settle()
        self._moved.set()
        self._moved = asyncio.Event()

    def hear_anew(self) -> None:
        """The log went back, and will be heard from its beginning; whoever was heard of stays forgotten."""
        self.watermark = None
        self.trail.begin(None)

    def _add(self, tombstone: Tombstone) -> None:
        known = self._of.get(tombstone.user_id)
        if known == tombstone:
            return
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

    def hides(self, user_id: str, built_with: BuiltWith) -> bool:
        """Whether a snapshot that was built with these tombstones must not use what it knows of somebody."""
        tombstone = self._of.get(user_id)
        return tombstone is not None and not built_with.has(tombstone)

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


def _has_reached(read: Watermark | None, end: Watermark) -> bool:
    """Whether what there was in the beginning needs not be waited for: it was read, or went with a log that is gone."""
    if not any(end.counts.values()):
        return True
    return read is not None and (read.log != end.log or read.covers(end))
