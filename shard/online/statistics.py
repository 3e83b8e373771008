"""What is counted over the whole log, not of the users held here alone: every event is heard once, in the log's order.

    the log's past ──► one after the other ─┐
                                            ├──► known before? ──► forgotten? ──► each statistic
    the log, live  ──► waits until then ────┘

Time goes forward in the log, and so must it for whoever learns what a day is like: what comes live waits, within a
limit, until the past was heard, and where it waits too long it is read again as past. The past is read in the
background, once the partitions held here are whole, from as far back as the log goes (`RECORDS_MAX` at most);
`known_from_ms` says since when everything is known.

An event that was sent again is known by its id (`trunkshow.online.ids`), and one that comes so late that nobody could
tell is left out: nothing is counted twice. A record is known by its place. Events of somebody who asked to be forgotten
are not heard. A statistic that raises misses that event, and nobody else does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from time import time
from typing import NamedTuple, Protocol

import structlog

from shard.online.moments import Moments
from trunkshow.eventlog.log import LogUnavailable
from trunkshow.eventlog.reading import happened_ms, received_ms
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.follower import AGAIN_AFTER_S, Follower
from trunkshow.online.forgotten import Forgotten, Tombstone
from trunkshow.online.ids import KEPT_S, KnownIds, id_of
from trunkshow.online.positions import Position
from trunkshow.online.turns import SLICE_S, Sleep
from trunkshow.serving import metrics
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.serving.telemetry import Throttle
from trunkshow.v1 import events_pb2 as pb
from trunkshow.v1 import log_pb2

RECORDS_MAX = 5_000_000
"""Of each lane's past; what one costs is in `bench/RESULTS.md`, and it is heard in the background."""

WAITING_MAX = 50_000
"""Events that wait until the past was heard, each of which may take 1 KB; a record without any counts as one."""

TOO_LATE = metrics.counter(
    "trunkshow_shard_events_too_late_total", "Events not counted, since they may have been before their id was let go."
)
FAILURES = metrics.counter(
    "trunkshow_shard_statistics_failures_total", "Events that a statistic could not take in.", ("statistic",)
)

log = structlog.get_logger()


class Heard(NamedTuple):
    """An event, as statistics hear it.

    Attributes:
        event: as it stands in the log; may be kept, must not be changed.
        at: where it stands.
        time_ms: when it happened, milliseconds since the epoch; at most five minutes in the future.
        now_ms: when it was recorded, or now where a router's clock is ahead (`shard.online.moments`). It hardly ever
            goes back.
    """

    event: pb.Event
    at: Position
    time_ms: int
    now_ms: int


class Statistic(Protocol):
    """Counts something over all events. Its cost for each of thousands a second is the shard's.

    Attributes:
        name: in logs and metrics.
    """

    name: str

    def hear(self, heard: Heard) -> None:
        """An event that was not heard before, of any interaction."""
        ...

    def forget(self, user_id: str) -> None:
        """Drop whatever is kept of somebody; what they do from now on is somebody new's."""
        ...


class Statistics:
    """Tells statistics of every event.

    Attributes:
        known_from_ms: everything recorded since then was heard; None until the past was.
        moments: what time it is.

    Args:
        listeners: told of every event.
        forgotten: whose events are not.
        ids_kept_s: seconds for which an event is known by its id, where there is room.
        clock: a port: monotonic seconds, for how long a slice of work takes.
        wall: a port: seconds since the epoch.
        sleep: a port.
    """

    def __init__(
        self,
        listeners: Sequence[Statistic],
        forgotten: Forgotten,
        *,
        ids_kept_s: float = KEPT_S,
        clock: Clock = monotonic,
        wall: Clock = time,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.known_from_ms: int | None = None
        self._listeners = tuple(listeners)
        self._forgotten = forgotten
        forgotten.listen(self._forget)
        self.moments = Moments(clock, wall)
        self._clock, self._sleep = clock, sleep
        self._began_ms: int | None = None
        self._gap_ms = 0
        self._past = Watermark("")  # so far of it was heard
        self._waiting: deque[tuple[log_pb2.Record, Position]] = deque()
        self._waiting_since: Watermark | None = None  # what had been followed before the first that waits
        self._waiting_events = 0
        self._ids = KnownIds(ids_kept_s)
        self._throttle = Throttle()

    # --- what comes live -----------------------------------------------------------------------------------------

    def follow(self, record: log_pb2.Record, at: Position, before: Watermark | None) -> Iterator[None]:
        """A record that was just followed; `before` is what had been until then. Others may have turns within it."""
        if self.known_from_ms is not None:
            yield from self._tell(record, at)
            return
        if not self._listeners:
            return
        if self._waiting_events >= WAITING_MAX:  # they are read again, as past
            self._clear_waiting()
        if not self._waiting:
            self._waiting_since = before
        self._waiting.append((record, at))
        self._waiting_events += _size(record)

    def missed(self, at: Position, until_ms: int) -> None:
        """What stands there was lost, and was recorded before then: everything is known only from then on."""
        if at.log == self._past.log and at.number <= self._past.counts.get(at.lane, 0):
            return  # it had been heard
        self._gap_ms = max(self._gap_ms, until_ms)
        if self.known_from_ms is not None:
            self.known_from_ms = max(self.known_from_ms, until_ms)

    def went_back(self) -> None:
        """The log did: what came since it was restored may not have been heard, and its places are others'."""
        now_ms = self.moments.now_ms()
        self._gap_ms = max(self._gap_ms, now_ms)
        if self.known_from_ms is not None:
            self.known_from_ms = max(self.known_from_ms, now_ms)
        self._past = Watermark("")
        self._clear_waiting()

    # --- what came before ----------------------------------------------------------------------------------------

    async def learn(self, follower: Follower) -> None:
        """Hear the past of the log that is followed, and then what waits; return once that is done."""
        gone = False
        while self._listeners:
            try:
                self._past = await self._replayed(follower)
                gone = False
            except LogUnavailable as error:
                if not gone:
                    log.error("statistics.not_replayed", error=str(error))
                gone = True
                await self._sleep(AGAIN_AFTER_S)
                continue
            while self._is_joined(follower):
                if not self._waiting:
                    self._settle()
                    return
                await self._hear_slice()
            self._clear_waiting()
            await self._sleep(0 if follower.progress.watermark is not None else AGAIN_AFTER_S)

    async def _replayed(self, follower: Follower) -> Watermark:
        """The log up to its end, from where it was heard until now, or else its beginning, unless it is too long."""
        if self._past.log:
            return await follower.replay_records(self._past, self._hear_past)
        end = await follower.end()
        first = {lane: count - RECORDS_MAX for lane, count in end.counts.items() if count > RECORDS_MAX}
        return await follower.replay_records(Watermark(end.log, first) if first else None, self._hear_past)

    def _is_joined(self, follower: Follower) -> bool:
        """Whether nothing is between what was heard and what waits, or comes next."""
        since = self._waiting_since if self._waiting else follower.progress.watermark
        return since is not None and since.log == self._past.log and self._past.covers(since)

    async def _hear_slice(self) -> None:
        """Hear some of what waits."""
        began = self._clock()
        while self._waiting and self._clock() - began < SLICE_S:
            record, at = self._waiting.popleft()
            self._waiting_events -= _size(record)
            self._waiting_since = _after(self._waiting_since, at)
            if at.log != self._past.log or at.number > self._past.counts.get(at.lane, 0):
                for _ in self._hear_past(record, at):
                    if self._clock() - began >= SLICE_S:
                        await self._sleep(0)
                        began = self._clock()
        await self._sleep(0)

    def _clear_waiting(self) -> None:
        self._waiting.clear()
        self._waiting_events = 0

    def _hear_past(self, record: log_pb2.Record, at: Position) -> Iterator[None]:
        yield from self._tell(record, at)
        # Only now: where the log goes in the middle of it, all of it is heard again, and what was heard is known.
        self._past = _after(self._past, at)

    def _settle(self) -> None:
        began_ms = self._began_ms if self._began_ms is not None else self.moments.now_ms()
        self.known_from_ms = max(began_ms, self._gap_ms)
        log.info("statistics.whole", known_from_ms=self.known_from_ms)

    # --- how -----------------------------------------------------------------------------------------------------

    def _tell(self, record: log_pb2.Record, at: Position) -> Iterator[None]:
        now_ms = self.moments.heard(received_ms(record))
        if self._began_ms is None:
            self._began_ms = now_ms
        for event in record.events:
            time_ms = happened_ms(event)
            if time_ms is None:  # it is no event, and the others of the record are
                FAILURES.labels("any").inc()
                continue
            if not self._ids.is_new(id_of(event), time_ms, now_ms):
                TOO_LATE.inc(self._ids.doubts(time_ms))
            elif not self._forgotten.covers(event.user_id, at, time_ms):
                self._tell_all(Heard(event, at, time_ms, now_ms))
            yield

    def _tell_all(self, heard: Heard) -> None:
        for listener in self._listeners:
            try:
                listener.hear(heard)
            except Exception as error:
                FAILURES.labels(listener.name).inc()
                self._throttle.log(log.error, "statistic.failed", statistic=listener.name, exc_info=error)

    def _forget(self, tombstone: Tombstone) -> None:
        for listener in self._listeners:
            try:
                listener.forget(tombstone.user_id)
            except Exception as error:
                FAILURES.labels(listener.name).inc()
                self._throttle.log(log.error, "statistic.failed", statistic=listener.name, exc_info=error)


def _size(record: log_pb2.Record) -> int:
    return max(len(record.events), 1)


def _after(before: Watermark | None, at: Position) -> Watermark:
    """With the record that stands there."""
    known = before if before is not None and before.log == at.log else Watermark(at.log)
    return known.advanced(at.lane, at.number)
