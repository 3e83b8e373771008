"""What a stretch of traffic came to: counts that can be added up, and that travel as JSON from drivers to the run.

A tally knows nothing of faults; `cli.chaos.judging` reads a series of them.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cli.chaos.latecomers import Latecomer

SLICE_S = 0.1
"""A series holds one tally for every so many seconds, by the time at which requests were sent."""

COMPLAINTS_MAX = 20
"""Complaints kept in words, of all that are counted."""

LATECOMERS_MAX = 20
"""Late answers kept with what their receipts say, of all that are counted: the slowest."""

BECAUSE = "because_"
"""Begins the counts of reasons."""

MANNERS = ("hurried", "missed", "stood_still", "choosy", "aborted", "up_to_date", "not_as_fresh", "hung_up")
"""Counts of callers who are not patient, and of what became of their calls: see `cli.chaos.counting`."""

_STEP = math.log(1.1)


@dataclass
class Tally:
    """Counts of requests that were sent in one stretch of time.

    Attributes:
        counts: by what is counted: see the properties.
        rungs: slates by the name of their receipt's rung.
        versions: slates by the snapshot that their receipt names.
        statuses: failed requests by the name of their gRPC status.
        latencies: answered single requests by `bin_of` their milliseconds.
        complaints: the first wrong answers and failures, in words.
        latecomers: the slowest of the late answers.
    """

    counts: Counter[str] = field(default_factory=Counter)
    rungs: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    latencies: Counter[int] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)
    latecomers: list[Latecomer] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """Requests sent and done with; every request of a batch is one."""
        return self.counts["requests"]

    @property
    def batched(self) -> int:
        """Of these, those that came in a batch."""
        return self.counts["batched"]

    @property
    def failed(self) -> int:
        """Requests that got no answer: another status than OK, or none in time."""
        return self.counts["failed"]

    @property
    def wrong(self) -> int:
        """Answers that the model says are wrong."""
        return self.counts["wrong"]

    @property
    def late(self) -> int:
        """Answers that came later than promised, but for those that only waited for the caller itself."""
        return self.counts["late"]

    @property
    def good(self) -> int:
        """Answers of SNAPSHOT or better that were not late."""
        return self.counts["good"]

    @property
    def held_up(self) -> int:
        """Answers that came in time, and late to hand, because the caller's own process stood still meanwhile."""
        return self.counts["held_up"]

    @property
    def late_in_router(self) -> int:
        """Of the late ones, those whose own receipt says so too; others were held up on the way."""
        return self.counts["late_in_router"]

    @property
    def personal(self) -> int:
        """Answers to requests that a whole cluster answers from the current snapshot."""
        return self.counts["personal"]

    @property
    def stepped_down(self) -> int:
        """Of the personal ones, those from a rung below SNAPSHOT."""
        return self.counts["stepped_down"]

    @property
    def because(self) -> dict[str, int]:
        """Of those that stepped down, the reasons in their receipts."""
        return {key.removeprefix(BECAUSE): count for key, count in self.counts.items() if key.startswith(BECAUSE)}

    @property
    def hurried(self) -> int:
        """Requests with a deadline of their own that is shorter than what is promised."""
        return self.counts["hurried"]

    @property
    def missed(self) -> int:
        """Of these, those that had no answer by then, although their caller did not stand still."""
        return self.counts["missed"]

    @property
    def unsent(self) -> int:
        """Requests that the driver itself could not send in time; no verdict counts them as answered."""
        return self.counts["unsent"]

    def quantile_ms(self, share: float) -> float:
        """The latency within which this share of the single requests was answered; 0 where there were none."""
        wanted = share * self.latencies.total()
        for index, count in sorted(self.latencies.items()):
            wanted -= count
            if wanted <= 0:
                return edge_of(index)
        return 0.0

    def complain(self, text: str) -> None:
        """Keep the words, while there is room."""
        if len(self.complaints) < COMPLAINTS_MAX:
            self.complaints.append(text)

    def note(self, *late: Latecomer) -> None:
        """Keep those late answers that are among the slowest, in the order in which they were sent."""
        slowest = heapq.nlargest(LATECOMERS_MAX, (*self.latecomers, *late), key=lambda one: one.took_ms)
        self.latecomers = sorted(slowest, key=lambda one: one.sent_at)

    def add(self, other: Tally) -> None:
        """Take another one in."""
        self.counts.update(other.counts)
        self.rungs.update(other.rungs)
        self.versions.update(other.versions)
        self.statuses.update(other.statuses)
        self.latencies.update(other.latencies)
        self.complaints.extend(other.complaints[: COMPLAINTS_MAX - len(self.complaints)])
        if other.latecomers:
            self.note(*other.latecomers)

    @classmethod
    def sum(cls, parts: Iterable[Tally]) -> Tally:
        """All of them as one."""
        whole = cls()
        for part in parts:
            whole.add(part)
        return whole

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "counts": dict(self.counts),
            "rungs": dict(self.rungs),
            "versions": dict(self.versions),
            "statuses": dict(self.statuses),
            "latencies": {str(index): count for index, count in self.latencies.items()},
            "complaints": self.complaints,
            "latecomers": [one.to_json() for one in self.latecomers],
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Tally:
        """The tally that `to_json` wrote."""
        latencies = Counter({int(index): count for index, count in raw["latencies"].items()})
        return cls(
            Counter(raw["counts"]),
            Counter(raw["rungs"]),
            Counter(raw["versions"]),
            Counter(raw["statuses"]),
            latencies,
            list(raw["complaints"]),
            [Latecomer.from_json(one) for one in raw["latecomers"]],
        )


class Series:
    """Tallies by slice of time; slices are numbered by the monotonic clock, which all processes of a machine share."""

    def __init__(self) -> None:
        self._slices: dict[int, Tally] = {}

    def at(self, sent: float) -> Tally:
        """The tally of the slice in which something was sent."""
        return self._slices.setdefault(int(sent / SLICE_S), Tally())

    def add(self, number: int, tally: Tally) -> None:
        """Take in what a driver told of a slice."""
        self._slices.setdefault(number, Tally()).add(tally)

    def take(self) -> dict[int, Tally]:
        """Everything since the last taking; it is forgotten here."""
        taken, self._slices = self._slices, {}
        return taken

    def forget(self, before: float) -> None:
        """Keep nothing of what was sent before a moment: a run of hours would hold millions of counts."""
        self._slices = {number: tally for number, tally in self._slices.items() if number >= int(before / SLICE_S)}

    def late(self, begin: float, end: float) -> Iterator[tuple[float, int]]:
        """When answers were asked for that came late, to within half a slice, and how many."""
        return ((at + SLICE_S / 2, tally.late) for at, tally in self.slices(begin, end))

    def slices(self, begin: float, end: float) -> list[tuple[float, Tally]]:
        """When slices began, and what they hold, from one moment to another, in order; empty ones are left out."""
        numbers = range(math.ceil(begin / SLICE_S), math.ceil(end / SLICE_S))
        return [(number * SLICE_S, self._slices[number]) for number in numbers if number in self._slices]

    def between(self, begin: float, end: float) -> Tally:
        """Everything sent from one moment to another."""
        return Tally.sum(tally for _, tally in self.slices(begin, end))


def bin_of(ms: float) -> int:
    """The bin of a latency; bins grow by a tenth."""
    return max(0, math.ceil(math.log(max(ms, 1e-3)) / _STEP))


def edge_of(index: int) -> float:
    """The upper edge of a bin, in milliseconds."""
    return math.exp(index * _STEP)
