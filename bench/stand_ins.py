"""What a stand-in's slate is worth: the share of home's items that it shows, and recall against the exact best.

Usage: python -m bench.stand_ins [--store STORE]. Without a store, the serving benchmark's is made up and built.
A shard holds a random share of the partitions, never the user's home. Everything is drawn from fixed seeds.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np

from bench import synthetic, tables
from shard import predict
from shard.predict import Predictor
from trunkshow.snapshot.partition import Partition
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.stand_ins import FILE_NAME, StandIns
from trunkshow.snapshot.store import open_store
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

USERS_PER_PARTITION = 15
ITEMS = 10
SHARES = (2 / 3, 1 / 3, 1 / 6, 1 / 16)
LOOKED_IN = (1, 2, 3, 4)
CAROUSELS = ("for-you", "because-you-liked", "people-like-you")


def measure(snapshot: Snapshot) -> list[tuple[object, ...]]:
    """A row per share of the partitions held and number of them looked in."""
    partitions = {number: snapshot.open_partition(number) for number in range(snapshot.partitions)}
    stand_ins = {number: snapshot.open_stand_ins(number) for number in partitions}
    users = [(user, home) for home, one in partitions.items() for user in one.sample_users(USERS_PER_PARTITION)]
    version, whole = snapshot.version, Predictor(snapshot, partitions)
    at_home = {user: _shown(version, whole, user, home, pb.RUNG_SNAPSHOT) for user, home in users}
    exact = {user: _exact(snapshot, partitions[home], user) for user, home in users}
    rows: list[tuple[object, ...]] = []
    for share in SHARES:
        for looked_in in LOOKED_IN:
            with mock.patch.object(predict, "STAND_IN_PARTITIONS", looked_in):
                made = {}
                for seed, (user, home) in enumerate(users):
                    other = _elsewhere(snapshot, partitions, stand_ins, home, share, seed)
                    made[user] = _shown(version, other, user, home, pb.RUNG_STAND_IN)
            shares = [np.mean([_share(at_home[user], made[user], one) for user, _ in users]) for one in CAROUSELS]
            recall = np.mean([len(exact[user] & made[user]["for-you"]) / ITEMS for user, _ in users])
            rows.append((f"{share:.2f}", looked_in, *(f"{one:.2f}" for one in shares), f"{recall:.2f}"))
    for number in partitions:
        partitions[number].close()
        stand_ins[number].close()
    return rows


def _elsewhere(
    snapshot: Snapshot,
    partitions: dict[int, Partition],
    stand_ins: dict[int, StandIns],
    home: int,
    share: float,
    seed: int,
) -> Predictor:
    others = [one for one in np.random.default_rng(seed).permutation(len(partitions)).tolist() if one != home]
    held = others[: max(1, round(share * len(partitions)))]
    return Predictor(snapshot, {number: partitions[number] for number in held}, stand_ins)


def _shown(version: str, predictor: Predictor, user: str, home: int, rung: pb.Rung) -> dict[str, set[str]]:
    """Items by carousel, each asked for alone, so that none takes another's."""
    shown = {}
    for carousel in CAROUSELS:
        asked = shard_pb2.PredictRequest(
            request=pb.RecommendRequest(user_id=user, items_per_carousel=ITEMS).SerializeToString(),
            snapshot_version=version,
            partitions=[home],
            carousels=[carousel],
            rung=rung,
        )
        slate = pb.RecommendResponse.FromString(asyncio.run(predictor.predict(asked)).slate)
        shown[carousel] = {item.item_id for one in slate.carousels for item in one.items}
    return shown


def _share(home: dict[str, set[str]], made: dict[str, set[str]], carousel: str) -> float:
    return len(home[carousel] & made[carousel]) / max(len(home[carousel]), 1)


def _exact(snapshot: Snapshot, home: Partition, user_id: str) -> set[str]:
    user = home.user(user_id)
    assert user is not None
    scores = snapshot.ials.vectors @ user.vector
    scores[user.items] = -np.inf
    return {snapshot.catalogue.id(row) for row in np.argsort(-scores)[:ITEMS].tolist()}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", help="a snapshot store of your own; else one is made up and built")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "trunkshow-bench")
    chosen = parser.parse_args()
    snapshot = Snapshot.open(open_store(chosen.store or synthetic.store_of(chosen.work)))
    tables.show(("partitions held", "looked in", *CAROUSELS, "for-you recall"), measure(snapshot))
    sizes = dict.fromkeys(("users.lmdb", FILE_NAME), 0)
    for path, file in snapshot.manifest.under("partitions").items():
        if (name := path.rsplit("/", 1)[1]) in sizes:
            sizes[name] += file.bytes
    print("\n" + ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.items()))
    snapshot.close()


if __name__ == "__main__":
    main()
