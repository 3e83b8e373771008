"""The port to an event log. Adapters: `nats_log` (NATS JetStream) and `kafka_log`; one contract suite tests both.

A log is durable, append-only, and kept for a while. A record (`log_pb2.Record`) carries the events of a call, or of
several that came at the same time. What an adapter promises:

1. `append` returns once the records are durable, and raises where that is not known; it never says so falsely. What it
   raised for may be in the log all the same: records come at least once, and events are told apart by their ids.
2. All events of a user are in one lane, and a reader gets a lane's records in the order in which they were appended.
3. A reader outlives the log's absence: it waits, and goes on where it was. What was removed before it was read is
   skipped, and the reader is told (`Read.lost`); so is one that begins with what is left (`Read.removed`). One that
   finds another record where the furthest one stood that it was given is told that the log went back: on NATS whenever
   it connects again, on Kafka, whose client does that by itself, within seconds.
4. Nothing is unbounded: in flight, in memory, in time.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple, Protocol

from trunkshow.eventlog.watermark import Watermark
from trunkshow.v1 import events_pb2, log_pb2


class LogUnavailable(Exception):
    """The log did not say that it has the records: it cannot be reached, or did not answer in time. Send them again."""


class LogMissing(LogUnavailable):
    """There is no such log, and it is not for this process to make one."""


class LogWentBack(LogUnavailable):
    """It was restored from an older copy: what the reader was given is not what stands there now."""


class LogFull(LogUnavailable):
    """The log has no room, or more is in flight than may be; wait before sending again."""


class NoRoom(LogFull):
    """The log itself has none, and says so to everybody until something of it goes."""


class Read(NamedTuple):
    """A record as it was read.

    Attributes:
        record: events of one call.
        watermark: of the reader, this record included.
        lost: records of its lane before this one that had been removed unread, or could not be read.
        behind: records of its lane after this one, as of when it was read.
        written_ms: when it was written by the log's own clock, milliseconds since the epoch; None where it has none.
        removed: records of its lane before this one that were gone when reading began with it.
    """

    record: log_pb2.Record
    watermark: Watermark
    lost: int = 0
    behind: int = 0
    written_ms: int | None = None
    removed: int = 0


class EventLog(Protocol):
    """An event log.

    Attributes:
        url: of it, without credentials.
    """

    url: str

    @property
    def age_s(self) -> float | None:
        """Seconds for which it keeps a record, 0 without a limit, as it said itself; None where it did not."""

    async def append(self, events: Sequence[events_pb2.Event], within_s: float) -> Watermark:
        """Write events, each valid and with its timestamp; the watermark that covers them.

        Raises:
            LogUnavailable: it is not known whether they are in the log.
            LogFull: there is no room for them.
        """
        ...

    async def end(self, within_s: float) -> Watermark:
        """The watermark of everything that is in the log.

        Raises:
            LogUnavailable: it cannot be told.
        """
        ...

    def follow(self, after: Watermark | None) -> AsyncGenerator[Read, None]:
        """Everything after a watermark (None: from the first record that is left), and what comes, without end.

        A watermark of another log counts as None: a log that began anew is read anew.

        Raises:
            LogWentBack: it is to be read from its beginning.
        """
        ...

    def read(self, after: Watermark | None, until: Watermark) -> AsyncGenerator[Read, None]:
        """Everything after one watermark and up to another, which the log must have reached.

        Raises:
            LogUnavailable: the log is gone for longer than is waited.
        """
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


class Tombstones(EventLog, Protocol):
    """The log beside an event log that says who is to be forgotten; kept for longer than events are."""

    async def forget(self, forget: log_pb2.Forget, within_s: float) -> Watermark:
        """Write a tombstone; the watermark that covers it.

        Raises:
            LogUnavailable: it is not known whether it is in the log.
            LogFull: there is no room for it.
        """
        ...


class ItemLog(EventLog, Protocol):
    """The log beside an event log that tells of new items; it has one lane, so that the last word on one is known."""

    async def tell(self, items: Sequence[events_pb2.NewItem], within_s: float) -> Watermark:
        """Write items, each valid and with its time; the watermark that covers them.

        Raises:
            LogUnavailable: it is not known whether they are in the log.
            LogFull: there is no room for them.
        """
        ...


class AnyLog(Tombstones, ItemLog, Protocol):
    """What adapters are: which of it a log is for is said where it is opened."""
