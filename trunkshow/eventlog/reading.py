"""What every adapter does with what it reads: a record from its bytes, its place, and what is missing before it.

Pure but for the counters. Where the bytes come from is the adapters' business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import structlog
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from trunkshow.eventlog.log import LogWentBack, Read
from trunkshow.eventlog.watermark import Watermark
from trunkshow.serving import metrics
from trunkshow.v1 import events_pb2, log_pb2

READ = metrics.counter("trunkshow_log_records_read_total", "Records of the event log that were read here.")
LOST = metrics.counter(
    "trunkshow_log_records_lost_total",
    "Records that were removed from the event log, or spoilt, before they were read.",
)
BEHIND = metrics.gauge(
    "trunkshow_log_reader_behind_records", "Records of the event log that wait to be read, as of the last one that was."
)

SECONDS_MIN, SECONDS_MAX = -62_135_596_800, 253_402_300_799
"""Of a moment, since the epoch: protobuf's, from year 1 to 9999."""

NANOS = 1_000_000_000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Place:
    """Where a reader is.

    Attributes:
        mark: everything that was read.
        anew: whether it started at what was left of a log: what a lane had before its first record went before that.
        untold: records that were lost and not told of yet.
    """

    mark: Watermark
    anew: bool = False
    untold: int = 0

    def next_count(self, lane: int) -> int:
        """Records of a lane before the next one to read."""
        return self.mark.counts.get(lane, 0)

    def took(
        self, lane: int, count: int, data: bytes, behind: int, written_ms: int | None = None
    ) -> tuple[Place, Read | None]:
        """The place after a record, and the record; None where its bytes are none, which are told as lost.

        Args:
            lane: of the record.
            count: records of the lane up to it, itself included.
            data: its bytes.
            behind: records of the lane after it.
            written_ms: when, by the log's own clock.
        """
        starts = self.anew and lane not in self.mark.counts
        missing = count - 1 - self.next_count(lane)
        lost = self.untold + (0 if starts else missing)
        mark = self.mark.advanced(lane, count)
        READ.inc()
        BEHIND.set(behind)
        try:
            record = log_pb2.Record.FromString(data)
        except DecodeError:
            LOST.inc()
            _log.error("log.record_spoilt", lane=lane, at=count)
            return replace(self, mark=mark, untold=lost + 1), None
        if lost > self.untold:
            LOST.inc(lost - self.untold)
            _log.warning("log.records_lost", lane=lane, records=lost - self.untold, before=count)
        removed = missing if starts else 0
        return Place(mark, self.anew), Read(record, mark, lost, behind, written_ms, removed)


class Furthest:
    """The furthest record of a lane that a reader was given, by which it knows the log again after every break.

    A log that was restored from an older copy, and grew until the reader was back, has another one there.
    """

    def __init__(self) -> None:
        self._log, self._count, self._data = "", 0, b""

    def start(self, log: str, number: int) -> int:
        """With which record to begin instead of a later one, so that this one comes again."""
        return min(number, self._count) if log == self._log else number

    def took(self, log: str, count: int, data: bytes) -> None:
        """A record came.

        Raises:
            LogWentBack: it is another one than stood there.
        """
        if log == self._log and count == self._count and data != self._data:
            raise LogWentBack(f"the log has another record at {count} than it had")
        if log != self._log or count > self._count:
            self._log, self._count, self._data = log, count, data


def place_in(log: str, after: Watermark | None) -> Place:
    """Where a reader starts in a log: after a watermark of it; one of another log counts for nothing."""
    if after is None or after.log != log:
        return Place(Watermark(log), anew=True)
    return Place(after)


def received_ms(record: log_pb2.Record) -> int | None:
    """When a router took a record, milliseconds since the epoch; None where that is not said, or no moment at all."""
    return _moment_ms(record.received) if record.HasField("received") else None


def happened_ms(event: events_pb2.Event) -> int | None:
    """When an event happened, milliseconds since the epoch; None for no moment at all, which no router takes."""
    return _moment_ms(event.timestamp)


def _moment_ms(moment: Timestamp) -> int | None:
    seconds, nanos = moment.seconds, moment.nanos
    if not SECONDS_MIN <= seconds <= SECONDS_MAX or not 0 <= nanos < NANOS:
        return None
    return seconds * 1000 + nanos // 1_000_000
