"""Recall@20 and NDCG@20 of what a shard answers on the Gowalla split, and what an answer costs, by share of neighbours.

Usage: python -m bench.served --data GOWALLA.parquet [--factors 256] [--shares 0 0.3] [--work FOLDER]. For each share a
snapshot is built from the training events by the builder's own steps, without an evaluation: the test is here. Every
test user is then asked for, through `shard.predict`: their carousel for-you with twenty items, from their home
partition, training items left out. The cost is of for-you and because-you-liked with ten items each, in processor time
of this process, in rounds that take turns; the least of them counts.

The split has no times: its events are taken as being in the order of the file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.sparse import csr_matrix

from bench import gowalla, tables
from builder import evaluate
from builder.crew.port import Alone
from builder.dataset import load_dataset
from builder.evaluating import Evaluated
from builder.events import read_events
from builder.making import Sources, make_snapshot
from builder.stages import Stages
from builder.training import number
from shard.predict import Predictor
from trunkshow.models.protocol import Floats, Rows, Settings
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import Store, open_store, who
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

PARTITIONS = 64
ROUNDS, SLATES = 7, 500
DATASET = """name = "gowalla"
[[events]]
path = "events.parquet"
user = "user_id"
item = "item_id"
interaction_type = "visit"
timestamp = "at"
[interactions]
visit = 1.0
[serving]
repeat = false
"""


@dataclass(frozen=True)
class Shop:
    """A snapshot with all of its partitions open.

    Attributes:
        snapshot: opened.
        predictor: over all partitions.
    """

    snapshot: Snapshot
    predictor: Predictor

    @classmethod
    def open(cls, store: Store, version: str) -> Shop:
        """Open all of a version."""
        snapshot = Snapshot.open(store, version)
        partitions = {number: snapshot.open_partition(number) for number in range(snapshot.partitions)}
        return cls(snapshot, Predictor(snapshot, partitions))

    def asked(self, user_id: str, carousels: Sequence[str], items: int) -> shard_pb2.PredictRequest:
        """What a router asks for a user."""
        home, _ = self.snapshot.directory.find(user_id) or (0, -1)
        return shard_pb2.PredictRequest(
            request=pb.RecommendRequest(user_id=user_id, items_per_carousel=items).SerializeToString(),
            snapshot_version=self.snapshot.version,
            partitions=[home],
            carousels=carousels,
        )


def build(data: Path, store: Store, work: Path, settings: Settings) -> tuple[str, dict[str, float]]:
    """Build a snapshot of the training events, and push it; its version, and the seconds of every stage."""
    events = pl.read_parquet(data, columns=list(gowalla.COLUMNS)).filter(pl.col("split") == "train")
    at = pl.Series("at", np.arange(len(events), dtype=np.int64) + 1_500_000_000)
    ids = (events[name].cast(pl.String).str.zfill(6) for name in gowalla.COLUMNS[:2])
    pl.DataFrame([*ids, at]).write_parquet(work / "events.parquet")
    (work / "dataset.toml").write_text(DATASET, encoding="utf-8")
    dataset = load_dataset(work / "dataset.toml")
    read, _ = read_events(dataset, lambda what, done, of: None)
    stages = Stages(lambda what, done, of: None)
    nothing = Evaluated({}, [], np.zeros((0, settings.factors), np.float32))
    with store.building() as folder:
        crew = Alone(folder / "work")
        (folder / "snapshot").mkdir()
        sources = Sources(dataset, number(dataset, read, None, None, settings), len(read))
        manifest = make_snapshot(folder / "snapshot", sources, settings, PARTITIONS, nothing, stages, crew)
        store.push(folder / "snapshot", manifest, who("built"))
    return manifest.version, stages.seconds


def accuracy(shop: Shop, test: evaluate.Test) -> dict[str, float]:
    """Of what every test user is shown: recall@20, NDCG@20, and the share of users with fewer than twenty items."""
    shown = np.full((len(test.users), evaluate.K), -1, np.int64)

    async def ask() -> None:
        for at, user in enumerate(test.users.tolist()):
            answer = await shop.predictor.predict(shop.asked(f"{user:06d}", ["for-you"], evaluate.K))
            slate = pb.RecommendResponse.FromString(answer.slate)
            items = [int(item.item_id) for one in slate.carousels for item in one.items]
            shown[at, : len(items)] = items

    asyncio.run(ask())
    measured = evaluate.measure(test, _as_scores(test.users, shown, test.wanted.shape[1]))
    return {**measured, "short": float((shown < 0).any(axis=1).mean())}


def _as_scores(users: Rows, shown: np.ndarray[Any, Any], items: int) -> evaluate.Scores:
    """Scores whose order is what was shown."""
    place = {user: at for at, user in enumerate(users.tolist())}

    def scores(asked: Rows) -> Floats:
        at = [place[user] for user in asked.tolist()]
        rows, columns = np.nonzero(shown[at] >= 0)
        worth = np.arange(evaluate.K, 0, -1, dtype=np.float32)[columns]
        found: Floats = csr_matrix((worth, (rows, shown[at][rows, columns])), shape=(len(at), items)).toarray()
        return found

    return scores


def costs_us(shops: Mapping[float, Shop], users: Sequence[str]) -> dict[float, float]:
    """Processor microseconds of a slate of two carousels of ten."""
    least = dict.fromkeys(shops, float("inf"))
    for _ in range(ROUNDS):
        for share, shop in shops.items():
            asked = [shop.asked(user, ["for-you", "because-you-liked"], 10) for user in users]

            async def ask(shop: Shop = shop, asked: list[shard_pb2.PredictRequest] = asked) -> None:
                for one in asked:
                    await shop.predictor.predict(one)

            began = time.process_time()
            asyncio.run(ask())
            least[share] = min(least[share], (time.process_time() - began) / len(asked) * 1e6)
    return least


def _bytes(snapshot: Snapshot) -> float:
    """Of the neighbours that for-you is blended with, per item."""
    files = snapshot.manifest.under("models/ials")
    return sum(file.bytes for path, file in files.items() if "/near_" in path) / len(snapshot.catalogue)


def main() -> None:
    """Build, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("GOWALLA"))
    parser.add_argument("--factors", type=int, default=256)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.0, 0.3])
    parser.add_argument("--work", type=Path, help="where to build; a folder that is removed afterwards if left out")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    if chosen.data is None or not Path(chosen.data).is_file():
        parser.error("the Gowalla split is not part of the repository; say where it is with --data or GOWALLA")
    with tempfile.TemporaryDirectory() as spare:
        rows = run(Path(chosen.data), chosen.work or Path(spare), chosen.factors, chosen.shares)
    if chosen.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{tables.machine()}\n")
    tables.show(list(rows[0]), [[f"{value:.4g}" for value in row.values()] for row in rows])


def run(data: Path, work: Path, factors: int, shares: Sequence[float]) -> list[dict[str, float]]:
    """A row per share."""
    work.mkdir(parents=True, exist_ok=True)
    _, test = gowalla.read(data)
    store, shops, rows = open_store(work / "store"), {}, {}
    for share in shares:
        version, seconds = build(data, store, work, Settings(factors=factors, neighbour_share=share))
        shops[share] = Shop.open(store, version)
        rows[share] = {"share": share, **accuracy(shops[share], test), "fit s": seconds["fit"]}
    drawn = np.random.default_rng(0).choice(test.users, SLATES, replace=False)
    costs = costs_us(shops, [f"{user:06d}" for user in drawn.tolist()])
    for share, shop in shops.items():
        rows[share] |= {"µs": costs[share], "bytes per item": _bytes(shop.snapshot)}
    return list(rows.values())


if __name__ == "__main__":
    main()
