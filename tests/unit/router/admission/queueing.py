"""A cluster as a queue: an open loop of requests, a limiter before it, servers behind, a network between.

    arrivals ── limiter ── network (however few there are) ── queue ── servers (so many at a time) ── answer
        └────── shed                       who has waited too long is given up, and is work all the same

A call for users of a batch is work as well, some of them at a time; one that the limiter does not let in is shed.

Time is the simulation's own; everything drawn comes from a seed.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from router.admission.limiter import Limiter

CHUNK = 32
"""Users of a batch that are asked for in one call."""

TURN = 4
"""Of these, that are worked on before others have their turn."""

GIVEN_UP_MS = 185.0
"""What shards get of 200 ms."""


@dataclass(frozen=True)
class Cluster:
    """What requests meet.

    Attributes:
        network_ms: of every answer, whatever the load; by the second.
        servers: that work at a time; 0 for as many as there are requests.
        work_ms: of a server, for each request.
        spread: of the work: 0 for the same each time, 1 for exponential.
    """

    network_ms: Callable[[float], float] = lambda now: 0.0
    servers: int = 0
    work_ms: float = 0.0
    spread: float = 1.0

    @property
    def capacity(self) -> float:
        """Requests a second."""
        return self.servers * 1000 / self.work_ms if self.servers else float("inf")


@dataclass
class Seen:
    """What became of requests, by when they came.

    Attributes:
        came: when each did, in seconds.
        took_ms: of each: what its answer took; None where it was shed, infinite where it was given up.
        waiting: the longest queue.
        of_batches: users of batches that were answered.
    """

    came: list[float] = field(default_factory=list)
    took_ms: list[float | None] = field(default_factory=list)
    waiting: int = 0
    of_batches: int = 0

    def between(self, begin: float, end: float) -> Seen:
        """Those who came then."""
        kept = [(at, ms) for at, ms in zip(self.came, self.took_ms, strict=True) if begin <= at < end]
        return Seen([at for at, _ in kept], [ms for _, ms in kept], self.waiting)

    @property
    def admitted(self) -> float:
        """Share of them."""
        return sum(ms is not None for ms in self.took_ms) / len(self.took_ms)

    @property
    def answered_ms(self) -> list[float]:
        """Of those who were admitted, what they took, the shortest first."""
        return sorted(ms for ms in self.took_ms if ms is not None)

    @property
    def good(self) -> int:
        """Answered in time."""
        return sum(ms is not None and ms <= GIVEN_UP_MS for ms in self.took_ms)

    @property
    def median_ms(self) -> float:
        """Of the answers."""
        return median(self.answered_ms)


def asked(
    limiter: Limiter,
    cluster: Cluster,
    rate: Callable[[float], float],
    seconds: float,
    seed: int = 1,
    batched: float = 0.0,
) -> Seen:
    """Everybody who came in so many seconds, at a rate by the second (Poisson), and what became of them.

    Args:
        limiter: that lets them in.
        cluster: that answers.
        rate: of pages, by the second.
        seconds: of the simulation.
        seed: of what is drawn.
        batched: users of batches for each page, in chunks of `CHUNK`.
    """
    chance = random.Random(seed)
    seen = Seen()
    leaving: list[tuple[float, float, bool]] = []
    chunks: list[tuple[float, int]] = []
    free_at = [0.0] * cluster.servers
    now = 0.0
    while (now := now + chance.expovariate(rate(now))) < seconds:
        while leaving and leaving[0][0] <= now:
            _, ms, answered = heapq.heappop(leaving)
            limiter.leave()
            limiter.observe(ms, answered=answered)
        if batched and chance.random() < batched / CHUNK and limiter.admit_of_batch(TURN, always=not chunks):
            heapq.heappush(chunks, (now, CHUNK))
        while chunks and chunks[0][0] <= now:
            at, left = heapq.heappop(chunks)
            if not left:
                limiter.leave_of_batch(TURN)
                seen.of_batches += CHUNK
                continue
            turn = max(_done(cluster, free_at, at, chance) for _ in range(min(TURN, left)))
            heapq.heappush(chunks, (turn, max(left - TURN, 0)))
        seen.came.append(now)
        if not limiter.admit():
            seen.took_ms.append(None)
            continue
        ms = (_done(cluster, free_at, now, chance) - now) * 1000
        seen.waiting = max(seen.waiting, sum(at > now for at in free_at))
        answered = ms <= GIVEN_UP_MS
        seen.took_ms.append(ms if answered else float("inf"))
        ms = min(ms, GIVEN_UP_MS)
        heapq.heappush(leaving, (now + ms / 1000, ms, answered))
    return seen


def _done(cluster: Cluster, free_at: list[float], now: float, chance: random.Random) -> float:
    """When an answer is there, first come, first served."""
    there = now + cluster.network_ms(now) / 1000
    if not free_at:
        return there
    begins = max(heapq.heappop(free_at), there)
    work_ms = cluster.work_ms * (1 - cluster.spread + cluster.spread * chance.expovariate(1))
    heapq.heappush(free_at, begins + work_ms / 1000)
    return begins + work_ms / 1000
