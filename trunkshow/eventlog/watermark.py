"""A watermark: how far somebody has read an event log. A value; positions of different logs cannot be compared.

A log has one lane or several (a topic's partitions); within a lane records have an order. A watermark holds, for each
lane of which anything was read, how many records precede the next one. As text it is `LOG/LANE:COUNT,LANE:COUNT`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

LANES_MAX = 128
"""Of a log."""

TEXT_BYTES_MAX = 4096
"""Enough for so many lanes, however far each is, and for any log's name."""

_TEXT = re.compile(r"([A-Za-z0-9_-]{1,80})/((?:\d{1,5}:\d{1,19}(?:,(?!$)|$))*)")


class LogsDiffer(ValueError):
    """Two watermarks are of different logs."""


@dataclass(frozen=True)
class Watermark:
    """How far a log was read.

    Attributes:
        log: its name, another one whenever a log begins anew.
        counts: lane → records before the next one; lanes of which nothing was read are left out.
    """

    log: str
    counts: Mapping[int, int] = field(default_factory=dict)

    def covers(self, other: Watermark) -> bool:
        """Whether everything that the other has read was read here.

        Raises:
            LogsDiffer: it is of another log.
        """
        self._refuse_another(other)
        known = self.counts
        for lane, count in other.counts.items():  # noqa: SIM110 - of every record, several times: `all` takes longer
            if known.get(lane, 0) < count:
                return False
        return True

    def joined(self, other: Watermark) -> Watermark:
        """The least one that covers both.

        Raises:
            LogsDiffer: it is of another log.
        """
        self._refuse_another(other)
        lanes = self.counts.keys() | other.counts.keys()
        counts = {lane: max(self.counts.get(lane, 0), other.counts.get(lane, 0)) for lane in sorted(lanes)}
        return Watermark(self.log, MappingProxyType(counts))

    def advanced(self, lane: int, count: int) -> Watermark:
        """With one lane read so far; never back."""
        known = self.counts.get(lane)
        counts = {**self.counts, lane: count if known is None else max(known, count)}
        ordered = counts if known is not None else dict(sorted(counts.items()))
        return Watermark(self.log, MappingProxyType(ordered))

    def __str__(self) -> str:
        return f"{self.log}/" + ",".join(f"{lane}:{count}" for lane, count in sorted(self.counts.items()))

    @classmethod
    def parse(cls, text: str) -> Watermark:
        """The watermark that was written so.

        Raises:
            ValueError: it is none.
        """
        found = _TEXT.fullmatch(text) if len(text) <= TEXT_BYTES_MAX else None
        if found is None:
            raise ValueError("no watermark of an event log")
        lanes = [pair.split(":") for pair in found[2].split(",") if pair]
        return cls(found[1], MappingProxyType({int(lane): int(count) for lane, count in lanes}))

    def _refuse_another(self, other: Watermark) -> None:
        if self.log != other.log:
            raise LogsDiffer(f"{self.log} and {other.log} are different logs")
