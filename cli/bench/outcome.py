"""What came of asking: a value, its quantiles, and its way through JSON from the process that asked.

A request's latency counts from when it was due, not from when it was sent: where a cluster stands still, and with it
whoever waits for an answer before asking again, a driver that counts from sending leaves out just those requests that
would have waited (coordinated omission; G. Tene, "How NOT to Measure Latency"). Only an open loop knows when a request
was due; callers in a closed loop find the throughput, and their latency says so.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from cli.bench.judging import Judged

QUANTILES = (0.5, 0.9, 0.99, 0.999)
PER_1000 = 1000.0


@dataclass(frozen=True)
class Outcome:
    """What a stretch of requests came to; those of the warm-up are in no figure.

    Attributes:
        seconds: that the stretch took.
        rate: at which requests were due, per second; 0 where callers asked as soon as they were answered.
        callers: that asked so; 0 in an open loop.
        latencies_ms: of calls that were answered, from when they were due, ascending.
        due_s: when each of these calls was due, in seconds of the monotonic clock, which a machine's processes share.
        lags_ms: by how much calls were sent later than due, ascending; the driver's own fault.
        answered: slates that came, whatever they are worth; of a batch, each.
        failed: slates whose call ended with another status than OK, by its name; UNSENT where it was never sent.
        judged: what the answered ones are worth.
        reply_bytes: of a call, on average.
        cpu_s: processor seconds used meanwhile, by process.
        rss_bytes: resident memory at the end, by process.
    """

    seconds: float
    rate: float = 0.0
    callers: int = 0
    latencies_ms: Sequence[float] = ()
    due_s: Sequence[float] = ()
    lags_ms: Sequence[float] = ()
    answered: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    judged: Judged = field(default_factory=Judged)
    reply_bytes: float = 0.0
    cpu_s: Mapping[str, float] = field(default_factory=dict)
    rss_bytes: Mapping[str, int] = field(default_factory=dict)

    @property
    def throughput(self) -> float:
        """Slates per second that were answered."""
        return self.answered / self.seconds if self.seconds else 0.0

    @property
    def failures(self) -> int:
        """Slates that were not answered."""
        return sum(self.failed.values())

    @property
    def passed(self) -> bool:
        """Whether something came, and nothing failed or was wrong."""
        return self.answered > 0 and not self.failures and not self.judged.counts["wrong"]

    def quantile_ms(self, share: float) -> float:
        """The latency within which this share of the calls was answered; NaN where there are too few to say."""
        return quantile(self.latencies_ms, share)

    def latencies_between(self, begin: float, end: float) -> list[float]:
        """Of the calls that were due from one moment of the monotonic clock to another, ascending milliseconds."""
        return [ms for ms, due in zip(self.latencies_ms, self.due_s, strict=True) if begin <= due < end]

    def cpu_s_per_1000(self) -> dict[str, float]:
        """Processor seconds per 1,000 slates, by process."""
        return {name: used / max(self.answered, 1) * PER_1000 for name, used in self.cpu_s.items()}

    def figures(self) -> dict[str, Any]:
        """What there is to tell, without every single latency."""
        return {
            "rate": self.rate,
            "callers": self.callers,
            "seconds": self.seconds,
            "answered": self.answered,
            "requests_per_s": self.throughput,
            **{name_of(share): _or_none(self.quantile_ms(share)) for share in QUANTILES},
            "latency_from": "due" if self.rate else "sent",
            "sent_late_p99_ms": _or_none(quantile(self.lags_ms, 0.99)),
            "failed": dict(self.failed),
            "whole": self.judged.counts["whole"],
            "short": self.judged.counts["short"],
            "wrong": self.judged.counts["wrong"],
            "complaints": list(self.judged.complaints),
            "rungs": dict(self.judged.rungs),
            "stepped_down": self.judged.stepped_down,
            "kept": self.judged.kept,
            "reply_bytes": self.reply_bytes,
            "cpu_s_per_1000": self.cpu_s_per_1000(),
            "rss_bytes": dict(self.rss_bytes),
        }

    def to_json(self) -> dict[str, Any]:
        """As plain values, latencies and all."""
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        judged = {one.name: getattr(self.judged, one.name) for one in fields(self.judged)}
        return {**plain, "judged": judged}  # `asdict` would make a counter of pairs of every counter

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Outcome:
        """The outcome that `to_json` wrote."""
        told = raw["judged"]
        judged = Judged(Counter(told["counts"]), Counter(told["rungs"]), told["complaints"], told["kept"])
        return cls(**{**raw, "judged": judged})


def quantile(ascending: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed; NaN where fewer than one in them would lie beyond."""
    count = len(ascending)
    if not count or count * (1 - share) < 1 - 1e-9:
        return math.nan
    return float(ascending[min(count - 1, math.ceil(share * count) - 1)])


def name_of(share: float) -> str:
    """How a quantile of latencies is called: p50_ms, p99_9_ms."""
    return f"p{share * 100:g}_ms".replace(".", "_")


def histogram(latencies_ms: Sequence[float], rows: int = 18) -> list[tuple[float, float, int]]:
    """Lower edge, upper edge and count of at most so many bins of one ratio, from the least to the greatest."""
    if not latencies_ms:
        return []
    values = np.maximum(np.asarray(latencies_ms, np.float64), 1e-3)
    least, most = float(values.min()), float(values.max())
    edges = np.geomspace(least, most * (1 + 1e-9), rows + 1) if most > least * 1.01 else np.array([least, most * 1.01])
    counts, _ = np.histogram(values, edges)
    return [(float(low), float(high), int(n)) for low, high, n in zip(edges, edges[1:], counts, strict=False)]


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
