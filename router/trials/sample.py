"""A few of the requests that were served lately, so that a new snapshot can be tried on what shoppers really ask.

Rules:

1. At most one request per `period_ms` is looked at; between, an offer is one comparison. What is kept is so a sample
   of time, not of load: a burst of one caller does not fill it.
2. A request that is kept fills a free place, with the chance that the share of full places is replaces a random one,
   and otherwise is added. So the age of what is kept falls off exponentially, and nothing has to be sorted or walked
   (Aggarwal, "On Biased Reservoir Sampling in the Presence of Stream Evolution", VLDB 2006, algorithm 2.1).
3. There are limits on the count, on the bytes of one and of all together, and on the age.
4. What is kept holds user ids: it stays in this process's memory, is never logged or written, and has no `repr`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

Chance = Callable[[], float]
"""A port: drawn from [0, 1)."""


@dataclass(frozen=True)
class SampleLimits:
    """How much is kept.

    Attributes:
        requests_max: that are kept.
        bytes_max: of all of them.
        request_bytes_max: a larger request is not kept.
        period_ms: of the requests that arrive within it, one is kept at most.
        age_s_max: older ones are forgotten.
    """

    requests_max: int = 1000
    bytes_max: int = 4 << 20
    request_bytes_max: int = 64 << 10
    period_ms: float = 50
    age_s_max: float = 3600


class Kept(NamedTuple):
    """A request, and when it came."""

    at: float
    data: bytes

    def __repr__(self) -> str:
        return f"Kept(at={self.at}, {len(self.data)} bytes)"


class Sample:
    """A bounded, recency-weighted reservoir of valid requests.

    Args:
        limits: of what is kept.
        chance: random numbers.
    """

    def __init__(self, chance: Chance, limits: SampleLimits = SampleLimits()) -> None:
        self._limits = limits
        self._chance = chance
        self._period_s = limits.period_ms / 1000
        self._next = float("-inf")
        self._kept: list[Kept] = []
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def __repr__(self) -> str:
        return f"Sample({len(self._kept)} requests, {self._bytes} bytes)"

    def offer(self, data: bytes, now: float) -> None:
        """Keep a request, or not.

        Args:
            data: a serialised, valid RecommendRequest.
            now: seconds on the monotonic clock; the request's arrival will do.
        """
        if now < self._next:
            return
        self._next = now + self._period_s
        if len(data) <= self._limits.request_bytes_max:
            self._keep(Kept(now, data))

    def recent(self, count: int, now: float) -> list[bytes]:
        """At most `count` of the requests that are kept, drawn at random; what is too old is forgotten."""
        oldest = now - self._limits.age_s_max
        self._kept = [one for one in self._kept if one.at >= oldest]
        self._bytes = sum(len(one.data) for one in self._kept)
        drawn = sorted((self._chance(), number) for number in range(len(self._kept)))[:count]
        return [self._kept[number].data for _, number in drawn]

    def _keep(self, new: Kept) -> None:
        full = len(self._kept) / self._limits.requests_max
        if self._chance() < full:
            self._drop_one()
        self._kept.append(new)
        self._bytes += len(new.data)
        while self._bytes > self._limits.bytes_max:
            self._drop_one()

    def _drop_one(self) -> None:
        """Drop a random one; the last takes its place, so that nothing is moved."""
        place = int(self._chance() * len(self._kept))
        self._bytes -= len(self._kept[place].data)
        self._kept[place] = self._kept[-1]
        self._kept.pop()
