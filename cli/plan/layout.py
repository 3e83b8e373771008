"""How a size is divided among shards and routers, and what each of them then has. Pure; no file, no clock.

What is planned with, beside the measured costs:

- A process is given half of the work that it can do, which is where the p99 was measured.
- Two snapshots are open: one takes over from the other, and stays, so that rolling back takes no time.
- Every shard holds the whole catalogue and its models; users and partitions' lists are divided among the shards, each
  held so many times as there are replicas. Every router has the whole directory, and the whole catalogue, too.
- Files that requests read should stay in the page cache: those of the snapshot that is served count as memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cli.plan.costs import Costs

LOADED = 0.5
"""Share of a processor that a process is planned to need."""

SNAPSHOTS = 2
"""Open at a time."""

ROUTERS_MIN = 2
"""So that one may go."""

USERS_PER_PARTITION = 50_000
"""At most: so many are to be opened within a second."""

PARTITIONS_MIN = 64
"""As the builder chooses for all but the smallest data."""

PARTITIONS_PER_SHARD = 4
"""Of each shard's own, at least, so that none has much more than another."""

PARTITIONS_MAX = 32_768
"""The largest power of two that the directory's two bytes hold."""

ONLINE_BYTES = 2_000_000 * 300 + 4_000_000 * 8 + (100_000 + 100_000) * 2048
"""What is kept of events since the snapshot, at the limits that a shard's configuration has by default."""

RECORDS, INDEXES, CATALOGUE = "records", "indexes", "catalogue"
SNAPSHOT = (RECORDS, INDEXES, CATALOGUE, "directory", "start")
"""Whose files make a snapshot."""


class DoesNotFit(ValueError):
    """A size that this release cannot be made to serve; the message says why."""


@dataclass(frozen=True)
class Size:
    """What is planned for.

    Attributes:
        users: whom the snapshot knows.
        items: of the catalogue.
        requests_per_s: at the peak of a day; slates of two carousels of ten.
        replicas: shards that hold each partition.
        factors: dimensions of a taste vector.
        history: items in a user's history, in the mean.
        pod_bytes: of memory that a shard's pod has, unless the catalogue alone needs more.
    """

    users: int
    items: int
    requests_per_s: float
    replicas: int
    factors: int
    history: float
    pod_bytes: int


@dataclass(frozen=True)
class Layout:
    """A size, and how it is divided."""

    size: Size
    costs: Costs
    partitions: int
    shards: int

    @property
    def terms(self) -> dict[str, float]:
        """What costs are sums over. Of what shards hold: of one of them."""
        size, held = self.size, self.size.replicas / self.shards
        by_count = {
            "users": float(size.users),
            "items": float(size.items),
            "partitions": float(self.partitions),
        }
        # A partition cannot list more than there is.
        listed = min(self.costs["listed per partition"].of(by_count), size.items)
        return {
            **by_count,
            "users x factors": float(size.users * size.factors),
            "events": size.users * size.history,
            "items x factors": float(size.items * size.factors),
            "listed per partition": listed,
            "listed": listed * self.partitions,
            "listed x factors": listed * self.partitions * size.factors,
            "listed held x factors": listed * self.partitions * size.factors * held,
            "users held": size.users * held,
            "users held x factors": size.users * size.factors * held,
            "partitions held": self.partitions * held,
        }

    def of(self, name: str) -> float:
        """One cost."""
        return self.costs[name].of(self.terms)

    @property
    def mapped_bytes(self) -> float:
        """Files of one snapshot that a shard has mapped; indexes are read into its own memory."""
        return self.of(CATALOGUE) + self.of(RECORDS) * self.size.replicas / self.shards

    @property
    def disk_bytes(self) -> float:
        """Files of one snapshot that a shard has."""
        return self.mapped_bytes + self.of(INDEXES) * self.size.replicas / self.shards

    @property
    def store_bytes(self) -> float:
        """Of a whole snapshot."""
        return sum(self.of(name) for name in SNAPSHOT)

    @property
    def shard_bytes(self) -> float:
        """Memory of one shard."""
        return SNAPSHOTS * self.of("shard memory") + self.mapped_bytes + ONLINE_BYTES

    @property
    def router_mapped_bytes(self) -> float:
        """Files of one snapshot that a router has, all of them mapped."""
        return self.of("directory") + self.of(CATALOGUE)

    @property
    def router_bytes(self) -> float:
        """Memory of one router."""
        return SNAPSHOTS * self.of("router memory") + self.router_mapped_bytes

    @property
    def shard_cores(self) -> float:
        """Of all shards."""
        return self.size.requests_per_s * (self.of("shard request") + self.of("search")) / 1000

    @property
    def router_cores(self) -> float:
        """Of all routers."""
        return self.size.requests_per_s * self.of("router request") / 1000

    @property
    def routers(self) -> int:
        """How many."""
        return max(ROUTERS_MIN, math.ceil(self.router_cores / LOADED))


def laid_out(size: Size, costs: Costs) -> Layout:
    """The fewest shards that have the processors and the memory, and partitions enough for them."""
    partitions = _power_of_two(max(PARTITIONS_MIN, size.users / USERS_PER_PARTITION))
    shards = size.replicas
    while True:
        at = Layout(size, costs, partitions, shards)
        wanted = max(size.replicas, math.ceil(at.shard_cores / LOADED), _for_memory(at))
        partitions = max(partitions, _power_of_two(PARTITIONS_PER_SHARD * wanted / size.replicas))
        if partitions > PARTITIONS_MAX:
            raise DoesNotFit(
                f"{wanted:,} shards would need {partitions:,} partitions, and a snapshot numbers {PARTITIONS_MAX:,}; "
                "give pods more memory, or divide the users among several clusters"
            )
        if wanted <= shards and partitions == at.partitions:
            return at
        shards = max(wanted, shards)


def _for_memory(at: Layout) -> int:
    """How many shards have the memory for what is divided among them."""
    alone = Layout(at.size, at.costs, at.partitions, at.size.replicas)
    everywhere = whole_catalogue(alone)
    divided = (alone.shard_bytes - everywhere) * at.size.replicas
    # Where the catalogue takes more than half of a pod, pods are made twice as large as it.
    room = max(at.size.pod_bytes - everywhere, everywhere)
    return math.ceil(divided / room)


def whole_catalogue(at: Layout) -> float:
    """Bytes that a shard needs that holds no user."""
    memory = at.costs["shard memory"]
    nobody = {term: 0.0 if " held" in term else value for term, value in at.terms.items()}
    return SNAPSHOTS * memory.of(nobody) + at.of(CATALOGUE) + ONLINE_BYTES


def _power_of_two(least: float) -> int:
    return 1 << max(0, math.ceil(math.log2(least)))
