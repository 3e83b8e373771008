"""An event log in memory that does as it is told: it goes, comes back, begins anew, and says things twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from trunkshow.eventlog.log import LogUnavailable, Read
from trunkshow.eventlog.watermark import Watermark
from trunkshow.v1 import events_pb2, log_pb2


class FollowedLog:
    """A log of one lane.

    Attributes:
        url: of it.
        age_s: not said.
        name: of the log; another one is another log.
        records: of the lane.
        gone: while it is, nobody gets an answer, and who follows waits.
        twice: every record is read two times.
        held: while it is, who follows gets nothing new, though the log answers.
        reads: places from which it was read or followed.
        begin_at: who follows goes back to so many records, since the log did.
        received_ms: when what is appended from now on was received; None where records do not say.
    """

    url = "memory://log"

    def __init__(self, name: str = "log") -> None:
        self.name = name
        self.age_s: float | None = None
        self.records: list[log_pb2.Record] = []
        self.gone = False
        self.twice = False
        self.held = False
        self.reads: list[Watermark | None] = []
        self.begin_at: int | None = None
        self.received_ms: int | None = None
        self._moved = asyncio.Event()

    async def append(self, events: Sequence[events_pb2.Event], within_s: float) -> Watermark:
        """One record."""
        del within_s
        self._answer()
        record = log_pb2.Record(events=events)
        if self.received_ms is not None:
            record.received.FromMilliseconds(self.received_ms)
        self.records.append(record)
        self.turn()
        return self._mark(len(self.records))

    async def end(self, within_s: float) -> Watermark:
        """Where it ends."""
        del within_s
        self._answer()
        return self._mark(len(self.records))

    async def follow(self, after: Watermark | None) -> AsyncGenerator[Read, None]:
        """Everything after a watermark, and what comes."""
        self.reads.append(after)
        name, at = self.name, self._start(after)
        while True:
            moved = self._moved
            at = min(at, self.begin_at) if self.begin_at is not None else at
            self.begin_at = None
            if name != self.name:
                name, at = self.name, 0
            while not self.gone and not self.held and name == self.name and at < len(self.records):
                for _ in range(1 + self.twice):
                    yield Read(self.records[at], self._mark(at + 1))
                at += 1
            await moved.wait()

    async def read(self, after: Watermark | None, until: Watermark) -> AsyncGenerator[Read, None]:
        """Everything between two watermarks."""
        self.reads.append(after)
        for at in range(self._start(after), until.counts.get(0, 0)):
            self._answer()
            yield Read(self.records[at], self._mark(at + 1))
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Nothing is open."""

    def turn(self) -> None:
        """Whoever follows looks again."""
        self._moved.set()
        self._moved = asyncio.Event()

    def _start(self, after: Watermark | None) -> int:
        return after.counts.get(0, 0) if after is not None and after.log == self.name else 0

    def _mark(self, count: int) -> Watermark:
        return Watermark(self.name, {0: count} if count else {})

    def _answer(self) -> None:
        if self.gone:
            raise LogUnavailable("the log is gone")
