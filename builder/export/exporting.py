"""Reads the log up to its end and writes it part by part; whatever ends it early, the next export goes on there.

Memory is bounded by a part, however long the log is. An event is written once: its id is looked for among those that
were written for as long as shards know them (`trunkshow.online.ids`), and among the newest rows of the exports before,
however old. What comes again later than that is written again, and the builder, which counts rows that are equal in
every field once, counts it once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from builder.errors import BuildError
from builder.export.folder import Folder
from builder.export.forgotten import People
from builder.export.items import told_since
from builder.export.rows import SHOWN, Rows
from trunkshow.eventlog.log import EventLog, LogMissing, LogUnavailable, Read
from trunkshow.eventlog.reading import happened_ms, received_ms
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.ids import IDS_MAX, KEPT_S, KnownIds, id_of
from trunkshow.online.lineage import Last, digest_of, why_older
from trunkshow.online.positions import position_of
from trunkshow.online.tombstones import read_all
from trunkshow.v1 import log_pb2

END_WITHIN_S = 10.0
CERTAINLY_MS = 1 << 62
"""A moment of which no id went: what may have been written before is written, and counted once by whoever reads it."""

Progress = Callable[[str, int, int], None]


class LogUnreadable(BuildError):
    """The log does not answer, is gone, or went back; what was exported before is whole."""


@dataclass(frozen=True)
class Limits:
    """Of one part.

    Attributes:
        events_max: in it.
        bytes_max: of its events, as they stand in the log.
    """

    events_max: int = 500_000
    bytes_max: int = 64 << 20


LIMITS = Limits()


async def export(
    log: EventLog,
    tombstones: EventLog,
    folder: Folder,
    after: Watermark | None,
    progress: Progress = lambda what, done, of: None,
    limits: Limits = LIMITS,
    items: EventLog | None = None,
    ids_kept_s: float = KEPT_S,
    before_ms: int = 0,
) -> None:
    """Write what the log has after a watermark, up to where it ends now, but nothing of who is to be forgotten.

    Args:
        log: to read.
        tombstones: beside it; whom they name is removed from the parts that there are, too.
        folder: to write to; goes on where it ended.
        after: where a folder begins that has nothing yet; None is the first record that is left.
        progress: told (what, records read, of how many).
        limits: of a part.
        items: the log of new items; they are not looked for where None.
        ids_kept_s: seconds for which an event is known by its id.
        before_ms: parts go in which everything happened before then, milliseconds since the epoch.

    Raises:
        LogUnreadable: the log does not answer, is gone, or went back; parts that were written so far are kept.
    """
    begun = folder.exported.watermark or after
    try:
        end = await log.end(END_WITHIN_S)
        # After the end: whoever asked to be forgotten before it is among them.
        forgotten = await read_all(tombstones, END_WITHIN_S)
        if forgotten.watermark is not None:
            await asyncio.to_thread(folder.forget, forgotten.tombstones(), forgotten.watermark)
        await _refuse_one_that_went_back(log, begun, end, folder)
        people = People(forgotten.tombstones())
        # In a thread, as what is written: of four million rows it takes some 12 s of a processor.
        seen = await asyncio.to_thread(_seen, folder, ids_kept_s)
        await _Export(folder, progress, limits, begun, end, people, seen).run(log)
        await asyncio.to_thread(folder.drop_before, before_ms)
        if items is not None:
            told, read = await told_since(items, folder.exported.items_read)
            await asyncio.to_thread(folder.tell, told, read)
    except LogMissing as error:
        if begun is not None:
            raise LogUnreadable(f"{error}, and {folder.path} has what was exported from one") from error
        await asyncio.to_thread(folder.begin)  # the first router makes it, which may wait for the first snapshot
    except LogUnavailable as error:
        raise LogUnreadable(f"{error}; run this again, it goes on where it ended") from error


async def _refuse_one_that_went_back(log: EventLog, begun: Watermark | None, end: Watermark, folder: Folder) -> None:
    """Where a log is shorter than it was, or has grown again, nobody can tell which of its records an export has."""
    why = await why_older(log, end, begun, folder.exported.lineage)
    if not why:
        return
    raise LogUnreadable(
        f"{why}, up to where {folder.path} was exported: was it restored from an older "
        "copy? What came since has the numbers of what was lost. Export to a new folder, which gets all that the log "
        f"has, and name the events-*.parquet of {folder.path} as [[events]] of the data set; rows in both count once"
    )


def _seen(folder: Folder, kept_s: float) -> tuple[KnownIds, int]:
    """The ids of what was written last, and the newest moment of it."""
    seen, newest_ms = KnownIds(kept_s), folder.newest_ms()
    for event_id in folder.newest_ids(IDS_MAX):
        seen.is_new(event_id, CERTAINLY_MS, newest_ms)
    return seen, newest_ms


class _Export:
    """One run."""

    def __init__(
        self,
        folder: Folder,
        progress: Progress,
        limits: Limits,
        begun: Watermark | None,
        end: Watermark,
        forgotten: People,
        seen: tuple[KnownIds, int],
    ) -> None:
        self._folder = folder
        self._progress = progress
        self._limits = limits
        self._begun = begun if begun is not None and begun.log == end.log else None
        self._end = end
        self._forgotten = forgotten
        self._before = self._begun
        self._seen, self._now_ms = seen
        self._events, self._shown = Rows(), Rows()
        self._told = folder.exported
        self._newest: dict[int, tuple[int, log_pb2.Record]] = {}
        self._records = 0

    async def run(self, log: EventLog) -> None:
        """Read and write."""
        records = sum(self._end.counts.values()) - sum(self._begun.counts.values() if self._begun else ())
        self._progress("read the log", 0, max(records, 1))
        async with aclosing(log.read(self._begun, self._end)) as reads:
            async for read in reads:
                self._take(read)
                self._progress("read the log", min(self._records, max(records - 1, 0)), max(records, 1))
                if self._is_full():
                    await self._write(read.watermark)
        await self._write(self._last())
        self._folder.offer_dataset()
        self._progress("read the log", max(records, 1), max(records, 1))

    def _take(self, read: Read) -> None:
        self._records += 1 + read.lost
        again = spoilt = 0
        at, self._before = position_of(self._before, read.watermark), read.watermark
        self._newest[at.lane] = at.number, read.record
        self._now_ms = max(self._now_ms, received_ms(read.record) or 0)
        for event in read.record.events:
            time_ms = happened_ms(event)
            if time_ms is None:
                spoilt += 1
                continue
            if self._forgotten.covers(event.user_id, at, time_ms):
                continue
            if not self._seen.is_new(id_of(event), CERTAINLY_MS, self._now_ms):
                again += 1
            else:
                (self._shown if event.interaction in SHOWN else self._events).add(event)
        self._told = replace(
            self._told,
            watermark=read.watermark,
            duplicates=self._told.duplicates + again,
            lost=self._told.lost + read.lost + spoilt,
        )

    def _is_full(self) -> bool:
        rows, size = len(self._events) + len(self._shown), self._events.bytes + self._shown.bytes
        return rows >= self._limits.events_max or size >= self._limits.bytes_max

    def _last(self) -> Watermark:
        """Everything up to the end was read, also where its last records had been removed."""
        read = self._told.watermark
        return self._end if read is None or read.log != self._end.log else read.joined(self._end)

    def _lineage(self) -> dict[int, Last]:
        """Of the lanes of which nothing came: what stood there before, unless that was another log."""
        return dict(self._folder.exported.lineage) if self._begun is not None else {}

    async def _write(self, watermark: Watermark) -> None:
        newest = {lane: Last(number, digest_of(record)) for lane, (number, record) in self._newest.items()}
        told = replace(self._told, watermark=watermark, lineage=self._lineage() | newest)
        # In a thread, so that the log's connection is kept alive meanwhile.
        await asyncio.to_thread(self._folder.add, self._events.taken(), self._shown.taken(), told)
        self._told = self._folder.exported
