"""Reads the log of new items for every snapshot that is open, so that its catalogue grows (`Snapshot.add`).

Each snapshot's is read from its beginning, by a reader of its own: what is new differs from snapshot to snapshot, and
one that is built later knows most of it. Items come at once while the log answers; one that is told of before its
event log's readers know it does no harm, nor does one that comes after events with it (`shard.online.homes`).
A log that is not there, or does not answer, keeps nothing from being served.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from typing import Never

import structlog

from trunkshow import pacing
from trunkshow.eventlog.log import EventLog, LogUnavailable
from trunkshow.serving import metrics
from trunkshow.snapshot.additions import Addition
from trunkshow.snapshot.likeness import Description
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import log_pb2

AGAIN_AFTER_S = 0.5
ITEMS_AT_ONCE = 100
"""Then others get their turn; a new item takes about 16 µs."""

ITEMS = metrics.gauge("trunkshow_new_items", "Items that the newest snapshot open here was built without, and has.")
UNREADABLE = metrics.counter("trunkshow_item_records_unreadable_total", "Records of items that made no sense.")

log = structlog.get_logger()

Sleep = Callable[[float], Awaitable[None]]


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
                for version, snapshot in self._snapshots.items():
                    if version not in self._reading:
                        self._reading[version] = asyncio.create_task(self._read_for(snapshot))
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

    async def _read_for(self, snapshot: Snapshot) -> Never:
        ready = False
        while True:
            try:
                async with aclosing(self._source.follow(None)) as reads:
                    async for read in reads:
                        ready = ready or await _compared(snapshot)
                        await self._take(snapshot, read.record)
            except LogUnavailable as error:
                log.warning("items.unread", log=self._source.url, error=str(error))
            await self._sleep(AGAIN_AFTER_S)

    async def _take(self, snapshot: Snapshot, record: log_pb2.Record) -> None:
        for some in _additions(record):
            try:
                if snapshot.add(some):
                    log.info("items.new", snapshot=snapshot.version, items=len(snapshot.catalogue.additions))
            except Exception as error:  # one record that is no good must not end the reading of all others
                UNREADABLE.inc()
                log.error("items.unreadable", snapshot=snapshot.version, exc_info=error)
            await self._sleep(0)


async def _compared(snapshot: Snapshot) -> bool:
    """Work out what new items are placed by, out of the way of requests; only once there is one."""

    def worked_out() -> None:
        with pacing.paced():
            _ = snapshot.likeness

    try:
        await asyncio.to_thread(worked_out)
    except Exception as error:  # then no item can be placed; what was built is served all the same
        log.error("items.unlike", snapshot=snapshot.version, exc_info=error)
    return True


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
