"""An event log in this process's memory, which fails when it is told to. Not a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from trunkshow.eventlog.log import LogUnavailable, NoRoom, Read
from trunkshow.eventlog.watermark import Watermark
from trunkshow.v1 import events_pb2, log_pb2


class MemoryLog:
    """One lane, one record per append.

    Attributes:
        records: what was appended.
        within_s: the time that each append was given.
        gone: whether it answers nobody.
        full: whether it has no room.
        slow: appends wait for this, where it is set to something.
        waiting: appends that wait for it now.
        age_s: as it says.
        closed: whether it was let go of.
    """

    def __init__(self, name: str = "memory") -> None:
        self.url = f"memory://{name}"
        self.name = name
        self.age_s: float | None = None
        self.records: list[log_pb2.Record] = []
        self.within_s: list[float] = []
        self.gone = self.full = self.closed = False
        self.slow: asyncio.Event | None = None
        self.waiting = 0
        self._news = asyncio.Event()

    @property
    def events(self) -> list[events_pb2.Event]:
        """All of them, in order."""
        return [event for record in self.records for event in record.events]

    async def append(self, events: Sequence[events_pb2.Event], within_s: float) -> Watermark:
        """Keep them."""
        self.within_s.append(within_s)
        if self.full:
            raise NoRoom("it was told to be full")
        if self.slow is not None:
            await self._wait(self.slow, within_s)
        if self.gone:
            raise LogUnavailable("it was told to be gone")
        self.records.append(log_pb2.Record(events=events))
        self._news.set()
        return self._mark(len(self.records))

    async def forget(self, forget: log_pb2.Forget, within_s: float) -> Watermark:
        """Keep a tombstone."""
        await self.append((), within_s)
        self.records[-1].forget.CopyFrom(forget)
        return self._mark(len(self.records))

    async def tell(self, items: Sequence[events_pb2.NewItem], within_s: float) -> Watermark:
        """Keep items."""
        await self.append((), within_s)
        self.records[-1].items.extend(items)
        return self._mark(len(self.records))

    async def _wait(self, until: asyncio.Event, within_s: float) -> None:
        self.waiting += 1
        try:
            await asyncio.wait_for(until.wait(), within_s)
        except TimeoutError:
            raise LogUnavailable(f"no answer within {within_s:g} s") from None
        finally:
            self.waiting -= 1

    async def end(self, within_s: float) -> Watermark:
        """How far it has got."""
        if self.gone:
            raise LogUnavailable(f"it was told to be gone, for {within_s:g} s and longer")
        return self._mark(len(self.records))

    async def follow(self, after: Watermark | None) -> AsyncGenerator[Read, None]:
        """Everything, and what comes."""
        at = self._place(after)
        while True:
            while at < len(self.records):
                at += 1
                yield Read(self.records[at - 1], self._mark(at))
            self._news.clear()
            await self._news.wait()

    async def read(self, after: Watermark | None, until: Watermark) -> AsyncGenerator[Read, None]:
        """Up to there."""
        for at in range(self._place(after), until.counts.get(0, 0)):
            yield Read(self.records[at], self._mark(at + 1))

    async def close(self) -> None:
        """Let go."""
        self.closed = True

    def _mark(self, count: int) -> Watermark:
        return Watermark(self.name, {0: count} if count else {})

    def _place(self, after: Watermark | None) -> int:
        return after.counts.get(0, 0) if after is not None and after.log == self.name else 0
