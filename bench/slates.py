"""What a shard's own work costs per slate, in processor time: from a prediction's bytes to the answer's, without gRPC.

Usage: python -m bench.slates [--store STORE] [--seed N]. Without a store, the serving benchmark's is made up and built.
One process, no log and no network. Subjects:

    two carousels   for-you and because-you-liked, as in `bench.ladder`, of users who did nothing since the snapshot
    the same, first the same by a shard that keeps slates, and has none of these yet
    the same, again the same, kept and sent again
    home            all carousels of the home page, of the same users
    home, active    the same of users who clicked, and were shown something, within the hour
    visitors        as the visitors of `cli.chaos` ask: surfaces, filters, items in hand and others to exclude

Slates are made ten at a time, and of each ten the least of several rounds counts: what disturbs one, caches that other
work has emptied among it, only ever adds to it. The first round, which reads cold pages, is one of them.
"""

from __future__ import annotations

import argparse
import asyncio
import enum
import itertools
import json
import os
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported, as `trunkshow shard` does

import numpy as np

from bench import synthetic, tables
from cli.chaos.model import Facts
from cli.chaos.visitors import Visitors
from shard.config import ShardConfig
from shard.keeper import Keeper
from shard.kept import KeptSlates
from shard.online.upkeep import Upkeep
from shard.predict import Predictor
from shard.scene import Kind, Piece
from shard.service import ShardService
from shard.uses import Uses
from trunkshow import carousels
from trunkshow.eventlog.opening import open_log
from trunkshow.eventlog.settings import READ_ONLY
from trunkshow.online.positions import Position
from trunkshow.serving.call import CallView
from trunkshow.serving.deadline import Deadline, monotonic
from trunkshow.snapshot.partition import Partition
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store
from trunkshow.v1 import events_pb2, shard_pb2
from trunkshow.v1 import recommendation_pb2 as pb

SLATES, ROUNDS, BLOCK = 200, 15, 10
CLICKS, SHOWN = 4, 40
"""Of an active user, within the hour."""

ACTIVE_WITHIN_S = 3600.0
LEFT_MS = 10_000.0
"""Of a request: so much that a busy machine takes no effort away."""

TWO = ("for-you", "because-you-liked")
HOME = carousels.resolve((), "home", impersonal=False)


class Call:
    """A caller with some time left."""

    arrived, request_id, peer = 0.0, "bench", "bench"

    def deadline(self, default_ms: float) -> Deadline:
        """So much."""
        del default_ms
        return Deadline.after(LEFT_MS, monotonic())


class Kept(enum.Enum):
    """Whether slates are."""

    NEVER = enum.auto()
    FIRST = enum.auto()
    AGAIN = enum.auto()


class Asked(NamedTuple):
    """What is asked, and of which of two shards.

    Attributes:
        requests: serialised.
        kept: by that shard.
    """

    requests: list[bytes]
    kept: Kept = Kept.NEVER


class Shard:
    """One that holds every partition and follows a log, in this process; half of its users are active."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._runner = asyncio.Runner()  # one loop: to make another for ten slates takes as long as one of them
        self.partitions: dict[int, Partition] = {n: snapshot.open_partition(n) for n in range(snapshot.partitions)}
        until = datetime.fromisoformat(snapshot.manifest.data_until).timestamp()
        log = open_log("nats://127.0.0.1:4222/unasked", READ_ONLY)  # nothing runs: it is never connected to
        upkeep = Upkeep(
            log, events_max=1 << 30, impressions_max=1 << 30, within_s=0, wall=lambda: until + ACTIVE_WITHIN_S
        )
        upkeep.prepare(snapshot)
        residents = upkeep.admit(snapshot)
        upkeep.want(Piece(snapshot.version, Kind.HOME, number) for number in self.partitions)
        residents.homes.replayed(frozenset(self.partitions))
        self.homes = self._homes()
        self.idle, self.active = list(self.homes)[::2], list(self.homes)[1::2]
        for number, event in enumerate(_events(snapshot, self.active, round(until * 1000)), 1):
            upkeep.hearing.hear(event, Position("log", 0, number))
        generation = SimpleNamespace(predictor=Predictor(snapshot, self.partitions, {}, residents), uses=Uses())
        keeper = SimpleNamespace(generations={snapshot.version: generation}, recent=deque(maxlen=64), watchers=0)
        self.service = ShardService(ShardConfig(store="", kept_slates_mib=0), "bench")
        self.keeping = ShardService(ShardConfig(store=""), "bench")
        self.service._keeper = self.keeping._keeper = cast("Keeper", keeper)

    def _homes(self) -> dict[str, int]:
        each = -(-2 * SLATES // len(self.partitions))
        sampled = [[(user, home) for user in one.sample_users(each)] for home, one in self.partitions.items()]
        in_turn = itertools.chain.from_iterable(itertools.zip_longest(*sampled))
        return dict([one for one in in_turn if one is not None][: 2 * SLATES])

    def asked(self, request: pb.RecommendRequest, wanted: Sequence[str]) -> bytes:
        """A prediction at home."""
        return shard_pb2.PredictRequest(
            request=request.SerializeToString(),
            snapshot_version=self.snapshot.version,
            partitions=[self.homes[request.user_id]],
            carousels=wanted,
        ).SerializeToString()

    def plain(self, users: Iterable[str], wanted: Sequence[str]) -> list[bytes]:
        """A prediction for each user."""
        return [self.asked(pb.RecommendRequest(user_id=user), wanted) for user in itertools.islice(users, SLATES)]

    def visitors(self, facts: Facts, seed: int) -> list[bytes]:
        """What visitors ask, in the name of users whose home is known here."""
        users = itertools.cycle(self.homes)
        found = []
        for ask in Visitors(facts, seed, 2 * SLATES).pool:
            if isinstance(ask.request, pb.RecommendRequest):
                ask.request.user_id = next(users)
                wanted = carousels.resolve(ask.request.carousels, ask.request.surface, impersonal=False)
                found.append(self.asked(ask.request, wanted))
        return found[:SLATES]

    def answers(self, asked: Sequence[bytes], kept: Kept = Kept.NEVER) -> list[bytes]:
        """To each."""
        service = self.service if kept is Kept.NEVER else self.keeping

        async def all_of_them() -> list[bytes]:
            call = cast("CallView", Call())
            return [await service.predict(one, call) for one in asked]

        return self._runner.run(all_of_them())

    def let_go(self) -> None:
        """Of all slates that are kept."""
        self.keeping.kept = KeptSlates(self.keeping._config.kept_slates_mib << 20)


def measure(shard: Shard, subjects: dict[str, Asked], rounds: int = ROUNDS) -> dict[str, float]:
    """Microseconds of processor time per slate, by subject."""
    blocks = [
        (name, asked._replace(requests=asked.requests[at : at + BLOCK]))
        for name, asked in subjects.items()
        for at in range(0, len(asked.requests), BLOCK)
    ]
    least = [float("inf")] * len(blocks)
    for _ in range(rounds):
        for number, (_, asked) in enumerate(blocks):
            if asked.kept is Kept.FIRST:
                shard.let_go()
            elif asked.kept is Kept.AGAIN:
                shard.answers(*asked)
            began = time.process_time()
            shard.answers(*asked)
            least[number] = min(least[number], time.process_time() - began)
    spent = dict.fromkeys(subjects, 0.0)
    for (name, _), s in zip(blocks, least, strict=True):
        spent[name] += s
    return {name: s / len(subjects[name].requests) * 1e6 for name, s in spent.items()}


def _events(snapshot: Snapshot, users: Sequence[str], until_ms: int) -> Iterable[events_pb2.Event]:
    """Clicks and impressions, of the first items that a user has more often: fatigue has something to do."""
    rng = np.random.default_rng(1)
    numbers = itertools.count()
    for user in users:
        items = [snapshot.catalogue.id(int(row)) for row in rng.integers(len(snapshot.catalogue), size=SHOWN // 4)]
        kinds = [events_pb2.INTERACTION_CLICK] * CLICKS + [events_pb2.INTERACTION_IMPRESSION] * SHOWN
        for place, kind in enumerate(kinds):
            event = events_pb2.Event(
                event_id=f"{next(numbers):032x}", user_id=user, item_id=items[place % len(items)], interaction=kind
            )
            event.timestamp.FromMilliseconds(until_ms + 60_000 * (place + 1))
            yield event


def subjects_of(shard: Shard, facts: Facts, seed: int) -> dict[str, Asked]:
    """What is measured, by name."""
    two = shard.plain(shard.idle, TWO)
    return {
        "two carousels": Asked(two),
        "the same, first": Asked(two, Kept.FIRST),
        "the same, again": Asked(two, Kept.AGAIN),
        "home": Asked(shard.plain(shard.idle, HOME)),
        "home, active": Asked(shard.plain(shard.active, HOME)),
        "visitors": Asked(shard.visitors(facts, seed)),
    }


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, help="a folder with snapshots; else one is made up and built")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "trunkshow-bench")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    store = chosen.store or synthetic.store_of(chosen.work)
    snapshot = Snapshot.open(open_store(store))
    shard = Shard(snapshot)
    facts = Facts(store / "snapshots" / snapshot.version)
    found: dict[str, Any] = measure(shard, subjects_of(shard, facts, chosen.seed))
    if chosen.json:
        json.dump(found, sys.stdout)
        print()
    else:
        tables.show(("subject", "µs per slate"), [(name, round(us, 1)) for name, us in found.items()])


if __name__ == "__main__":
    main()
