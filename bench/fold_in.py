"""What folding events in costs: per event heard, per event kept, per slate, and in memory per user.

Usage: python -m bench.fold_in [--store STORE]. Without a store, the serving benchmark's is made up and built. One
process, no log and no network: what is measured is what a shard's event loop does, in processor time, so that a busy
machine hardly shows. Drawn from fixed seeds.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench import synthetic, tables
from shard.online.upkeep import Upkeep
from shard.predict import Predictor
from shard.scene import Kind, Piece
from trunkshow.eventlog.opening import open_log
from trunkshow.eventlog.settings import READ_ONLY
from trunkshow.online.positions import Position
from trunkshow.snapshot.partition import Partition
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.records import UserRecord
from trunkshow.snapshot.store import open_store
from trunkshow.v1 import events_pb2, shard_pb2
from trunkshow.v1 import recommendation_pb2 as pb

USERS, EVENTS_PER_USER, SLATES = 1000, 5, 200
CAROUSELS = ("for-you", "because-you-liked", "people-like-you", "popular")


class Shard:
    """One that holds every partition, in this process."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.partitions: dict[int, Partition] = {n: snapshot.open_partition(n) for n in range(snapshot.partitions)}
        log = open_log("nats://127.0.0.1:4222/unasked", READ_ONLY)  # nothing runs: it is never connected to
        self.upkeep = Upkeep(log, events_max=1 << 30, impressions_max=1 << 30, within_s=0)
        self.upkeep.prepare(snapshot)
        self.residents = self.upkeep.admit(snapshot)
        self.upkeep.want(Piece(snapshot.version, Kind.HOME, number) for number in self.partitions)
        self.residents.homes.replayed(frozenset(self.partitions))

    def hear(self, events: Iterable[events_pb2.Event]) -> None:
        """As from the log, a record for each."""
        for number, event in enumerate(events, 1):
            self.upkeep.hearing.hear(event, Position("log", 0, number))

    def asked(self, user: str, home: int) -> shard_pb2.PredictRequest:
        """A prediction."""
        return shard_pb2.PredictRequest(
            request=pb.RecommendRequest(user_id=user).SerializeToString(),
            snapshot_version=self.snapshot.version,
            partitions=[home],
            carousels=CAROUSELS,
        )


def measure(snapshot: Snapshot) -> list[tuple[object, ...]]:
    """A row per cost: what, how much, the unit."""
    shard = Shard(snapshot)
    per_home = -(-USERS // len(shard.partitions))
    users = [(user, home) for home, one in shard.partitions.items() for user in one.sample_users(per_home)]
    clicks = _events(snapshot, [user for user, _ in users])
    shown = [_changed(event, interaction=events_pb2.INTERACTION_IMPRESSION) for event in clicks]
    strangers = [_changed(event, user_id=f"stranger-{event.user_id}") for event in clicks]
    idle = [shard.asked(*one) for one in users[:SLATES]]
    plain, online = Predictor(snapshot, shard.partitions), Predictor(snapshot, shard.partitions, {}, shard.residents)
    _slates(plain, idle)  # cold pages
    rows: list[tuple[object, ...]] = []
    before = min(_slates(plain, idle) for _ in range(5))
    nothing = min(_slates(online, idle) for _ in range(5))
    rows.append(("a slate without following a log", round(before, 1), "µs"))
    rows.append(("more, following one, for who did nothing", round(nothing - before, 1), "µs"))
    rows.append(("an impression heard", round(_each(lambda: shard.hear(shown), len(shown)), 2), "µs"))
    tracemalloc.start()
    shard.hear(clicks)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    rows.append((f"memory of a user with {EVENTS_PER_USER} events", round(kept / len(users)), "bytes"))
    for user in list(shard.upkeep.hearing.users):
        shard.upkeep.hearing.users.drop(user)
    rows.append(("an event heard and kept", round(_each(lambda: shard.hear(clicks), len(clicks)), 2), "µs"))
    rows.append(("the same event heard again", round(_each(lambda: shard.hear(clicks), len(clicks)), 2), "µs"))
    seats = [(user, shard.partitions[home].user(user)) for user, home in users[:SLATES]]
    of_first = f"folding in {EVENTS_PER_USER} events, for the first slate after one"
    rows.append((of_first, round(_folds(shard, seats), 1), "µs"))
    rows.append(("for the slates until the next event", round(_folds(shard, seats), 1), "µs"))
    rows.append(("an event of a newcomer", round(_each(lambda: shard.hear(strangers), len(strangers)), 2), "µs"))
    return rows


def _slates(predictor: Predictor, asked: list[shard_pb2.PredictRequest]) -> float:
    """Microseconds per slate."""

    async def all_of_them() -> None:
        for one in asked:
            await predictor.predict(one)

    return _each(lambda: asyncio.run(all_of_them()), len(asked))


def _folds(shard: Shard, users: list[tuple[str, UserRecord | None]]) -> float:
    """Microseconds per user."""

    def all_of_them() -> None:
        for user_id, record in users:
            shard.residents.folded(user_id, record)

    return _each(all_of_them, len(users))


def _each(work: Callable[[], None], count: int) -> float:
    began = time.process_time()
    work()
    return (time.process_time() - began) / count * 1e6


def _events(snapshot: Snapshot, users: list[str]) -> list[events_pb2.Event]:
    rng = np.random.default_rng(1)
    until_ms = round(datetime.fromisoformat(snapshot.manifest.data_until).timestamp() * 1000)
    made = []
    for number, user in enumerate(user for _ in range(EVENTS_PER_USER) for user in users):
        item = snapshot.catalogue.id(int(rng.integers(len(snapshot.catalogue))))
        kind = events_pb2.INTERACTION_CLICK
        event = events_pb2.Event(event_id=f"{number:032x}", user_id=user, item_id=item, interaction=kind)
        event.timestamp.FromMilliseconds(until_ms + 1000 + number)
        made.append(event)
    return made


def _changed(event: events_pb2.Event, **fields: Any) -> events_pb2.Event:
    other = events_pb2.Event()
    other.CopyFrom(event)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", help="a snapshot store of your own; else one is made up and built")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "trunkshow-bench")
    chosen = parser.parse_args()
    snapshot = Snapshot.open(open_store(chosen.store or synthetic.store_of(chosen.work)))
    tables.show(("what", "cost", ""), measure(snapshot))
    snapshot.close()


if __name__ == "__main__":
    main()
