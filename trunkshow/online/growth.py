"""Reads the log of new items for every snapshot that is open, so that its catalogue grows (`Snapshot.add`).

They are listed at once. What they are placed by is worked out once there is one, out of the way of requests, which may
take seconds; those that came meanwhile get their place then.

Each snapshot's is read from its beginning, by a reader of its own: what is new differs from snapshot to snapshot, and
one that is built later knows most of it. Items come at once while the log answers; one that is told of before its
event log's readers know it does no harm, nor does one that comes after events with it (`shard.online.homes`).
A log that was restored from an older copy (`lineage`) is read again: what came since may stand where other items stood,
and its reader was beyond. Items that it has lost stay known until their snapshot goes.
A log that is not there, or does not answer, keeps nothing from being served. A reader knows its snapshot by name: what
is called off may be held in a circle for long, and a snapshot with it would keep its files mapped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from typing import Never

import structlog

from trunkshow import pacing
from trunkshow.eventlog.log import EventLog, LogUnavailable, LogWentBack
from trunkshow.online import lineage
from trunkshow.online.lineage import Trail
from trunkshow.online.turns import Sleep
from trunkshow.serving import metrics
from trunkshow.serving.whichever import whichever
from trunkshow.snapshot.additions import Addition
from trunkshow.snapshot.likeness import Description
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import log_pb2

AGAIN_AFTER_S = 0.5
LOOKS_MIN = 3
"""At the end of the log, before it is believed to lie before what was read."""

ITEMS_AT_ONCE = 100
"""Then others get their turn; a new item takes about 16 µs."""

ITEMS = metrics.gauge("trunkshow_new_items", "Items that the newest snapshot open here was built without, and has.")
UNREADABLE = metrics.counter("trunkshow_item_records_unreadable_total", "Records of items that made no sense.")

log = structlog.get_logger()


class Growth:
    """Of the snapshots of one process.

    Args:
        source: the log of items.
        sleep: a port.
    """

    def __init__(self, source: EventLog, sleep: Sleep = asyncio.sleep) -> None:
        self._source = source
        self._sleep = sleep
        self._snapshots: dict[str, Snapshot] = {}
        self._reading: dict[str, asyncio.Task[Never]] = {}
        self._poked = asyncio.Event()
        ITEMS.set_function(lambda: max((len(one.catalogue.additions) for one in self._snapshots.values()), default=0))

    def admit(self, snapshot: Snapshot) -> None:
        """A snapshot is open."""
        self._snapshots[snapshot.version] = snapshot
        self._poked.set()

    def dismiss(self, version: str) -> None:
        """A snapshot is closed; nothing is added to it any more."""
        self._snapshots.pop(version, None)
        self._end(version)

    def only(self, snapshots: Mapping[str, Snapshot]) -> None:
        """These are open, by version, and no others."""
        for version in [one for one, known in self._snapshots.items() if snapshots.get(one) is not known]:
            self.dismiss(version)
        for version in snapshots.keys() - self._snapshots.keys():
            self.admit(snapshots[version])

    async def run(self) -> Never:
        """Read for what is open, until cancelled."""
        try:
            while True:
                self._poked.clear()
                for version in self._snapshots:
                    if version not in self._reading:
                        self._reading[version] = asyncio.create_task(self._read_for(version))
                waiting = asyncio.ensure_future(self._poked.wait())
                done, _ = await asyncio.wait({waiting, *self._reading.values()}, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                for task in done - {waiting}:
                    if not task.cancelled():  # as it is where its snapshot was closed
                        task.result()  # a bug: it must not stay unseen
        finally:
            waiting.cancel()
            for version in list(self._reading):
                self._end(version)

    def _end(self, version: str) -> None:
        if (task := self._reading.pop(version, None)) is not None:
            task.cancel()

    async def _read_for(self, version: str) -> Never:
        trail = Trail(LOOKS_MIN)
        while True:
            await whichever(self._read_on(version, trail), lineage.found_back(trail, self._source, self._sleep))
            if trail.why:
                lineage.tell(self._source.url, trail.why, f"all new items are read again for {version}")
            trail.begin(None)
            await self._sleep(AGAIN_AFTER_S)

    async def _read_on(self, version: str, trail: Trail) -> None:
        """Read the log from its beginning, until it cannot be read."""
        placing, known = None, None
        try:
            async with aclosing(self._source.follow(None)) as reads:
                async for read in reads:
                    placing = placing or asyncio.create_task(self._place(version))
                    await self._take(version, read.record)
                    trail.read(known, read.watermark, read.record)
                    known = read.watermark
        except LogWentBack as error:
            trail.why = str(error)
        except LogUnavailable as error:
            log.warning("items.unread", log=self._source.url, error=str(error))
        finally:
            if placing is not None:
                placing.cancel()

    async def _take(self, version: str, record: log_pb2.Record) -> None:
        for some in _additions(record):
            self._add(version, some)
            await self._sleep(0)

    def _add(self, version: str, some: list[Addition]) -> None:
        snapshot = self._snapshots.get(version)
        try:
            if snapshot is not None and snapshot.add(some, at_once=True):
                log.info("items.new", snapshot=version, items=len(snapshot.catalogue.additions))
        except Exception as error:  # one record that is no good must not end the reading of all others
            UNREADABLE.inc()
            log.error("items.unreadable", snapshot=version, exc_info=error)

    async def _place(self, version: str) -> None:
        """Work out what new items are placed by; only once there is one. Then place those that came before that."""
        try:
            await asyncio.to_thread(self._worked_out, version)
            came = self._ids(version)
            for start in range(0, len(came), ITEMS_AT_ONCE):
                if (snapshot := self._snapshots.get(version)) is not None:
                    snapshot.place(came[start : start + ITEMS_AT_ONCE])
                del snapshot
                await self._sleep(0)
            log.info("items.placed", snapshot=version, items=len(came))
        except Exception as error:  # then no item can be placed; all are listed, and what was built is served as ever
            log.error("items.unlike", snapshot=version, exc_info=error)

    def _ids(self, version: str) -> list[str]:
        snapshot = self._snapshots.get(version)
        return [] if snapshot is None else [one.id for one in snapshot.catalogue.additions.items]

    def _worked_out(self, version: str) -> None:
        if (snapshot := self._snapshots.get(version)) is not None:
            with pacing.paced():
                _ = snapshot.likeness


def _additions(record: log_pb2.Record) -> Iterator[list[Addition]]:
    """The items of a record, some at a time."""
    for start in range(0, len(record.items), ITEMS_AT_ONCE):
        yield [
            Addition(
                item.id,
                Description(item.title, item.category, dict(item.attributes)),
                item.available if item.HasField("available") else True,
                item.created.ToMilliseconds(),
            )
            for item in record.items[start : start + ITEMS_AT_ONCE]
        ]
