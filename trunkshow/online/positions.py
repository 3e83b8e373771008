"""Where an event stands in the log, and whether a snapshot was built with it. Values; who reads the log is elsewhere.

A snapshot has seen the log up to its manifest's `log_watermark`; what stands behind that is new to it, and so is what
happened after its last event, wherever it stands: a log that was restored from an older copy counts from a lower place.
One without a watermark is taken to have seen everything up to its last event's time. A log that began anew has nothing
that a watermark of another log has seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import NamedTuple

from trunkshow.eventlog.watermark import Watermark
from trunkshow.snapshot.manifest import Manifest

OVERLAP_RECORDS = 1000
"""Records of each lane before a snapshot's watermark that are read again. Of two of the same event the first may be in
the snapshot: by its timestamp that is found however far apart they are (`shard.online.folding`); one that was sent
without any has another each time, and is known by its id where the first is among these."""


class Position(NamedTuple):
    """Where a record stands.

    Attributes:
        log: its name.
        lane: of it.
        number: of the record in it, from 1.
    """

    log: str
    lane: int
    number: int


def position_of(before: Watermark | None, now: Watermark) -> Position:
    """Where the record stands by which a reader's watermark went from one to the next.

    One that went back, with a log that was restored from an older copy, went so in the record's lane, or, where several
    lanes did, in one of them.

    Raises:
        ValueError: the watermark did not move.
    """
    known = before.counts if before is not None and before.log == now.log else {}
    moved = [lane for lane, count in now.counts.items() if count > known.get(lane, 0)]
    moved = moved or [lane for lane, count in now.counts.items() if 0 < count < known.get(lane, 0)]
    if not moved:
        raise ValueError(f"no record between {before} and {now}")
    return Position(now.log, moved[-1], now.counts[moved[-1]])


def data_until_ms(manifest: Manifest) -> int:
    """Time of a snapshot's last event, milliseconds since the epoch; never after the snapshot was made.

    A row from the future says nothing of what was there until then.
    """
    return min(_moment_ms(manifest.data_until), _moment_ms(manifest.created_at))


def _moment_ms(text: str) -> int:
    moment = datetime.fromisoformat(text)
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)


@dataclass(frozen=True)
class Since:
    """Up to where a snapshot has seen the log.

    Attributes:
        watermark: None where the snapshot does not say.
        data_until_ms: time of its last event, or when it was made, milliseconds since the epoch.
        last: lane → number and digest of the last record that it was built with (`lineage`), where it says so.
    """

    watermark: Watermark | None
    data_until_ms: int
    last: Mapping[int, tuple[int, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, manifest: Manifest) -> Since:
        """As the manifest says."""
        watermark = Watermark.parse(manifest.log_watermark) if manifest.log_watermark else None
        last = {int(lane): (int(number), str(digest)) for lane, (number, digest) in manifest.log_lineage.items()}
        return cls(watermark, data_until_ms(manifest), last)

    def is_new(self, at: Position, time_ms: int) -> bool:
        """Whether the snapshot was built without an event that stands there and happened then."""
        return time_ms > self.data_until_ms or self.lacks(at, time_ms)

    def lacks(self, at: Position, time_ms: int) -> bool:
        """Whether it was built without a record that stands there, of which no more is known than when it came."""
        if self.watermark is None:
            return time_ms > self.data_until_ms
        return at.log != self.watermark.log or at.number > self.watermark.counts.get(at.lane, 0)

    @property
    def start(self) -> Watermark | None:
        """After which the log is to be read; None for its beginning."""
        if self.watermark is None:
            return None
        counts = {lane: max(count - OVERLAP_RECORDS, 0) for lane, count in self.watermark.counts.items()}
        return Watermark(self.watermark.log, MappingProxyType(counts))
