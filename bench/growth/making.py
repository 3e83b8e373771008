"""One point's snapshot, in a process of its own, whose peak memory is thus the build's alone.

    python -m bench.growth.making < ORDERS        prints what it took, as JSON

`given`: events lie in memory, and the factor model starts from the made-up factors and makes no sweep; everything
else is a build's: other models are fitted, users folded in, placed, partitions written, checksummed and pushed.
Reading, the evaluation and the training are left out. `trained`: events are written to a file first, and
`builder.pipeline` does all of it. Processor seconds are told beside seconds: on a busy machine they are the steadier
figure.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import made_up
from bench.growth import people
from builder.crew.choice import CrewSettings
from builder.crew.port import Alone
from builder.dataset import load_dataset
from builder.evaluating import Evaluated
from builder.making import Sources, make_snapshot
from builder.pipeline import BuildSettings, build
from builder.stages import Stages
from builder.training import number
from builder.warm_start import Start
from trunkshow.models.protocol import Settings
from trunkshow.snapshot.manifest import Manifest
from trunkshow.snapshot.promotion import Publishing, serve_built
from trunkshow.snapshot.store import open_store, who


@dataclass(frozen=True)
class Orders:
    """What is to be built.

    Attributes:
        folder: of the store, and of what is written for it.
        users: how many.
        items: how many.
        partitions: how many.
        factors: dimensions of a taste vector.
        longer: histories than Gowalla's, so many times.
        trained: whether training is done, too.
    """

    folder: Path
    users: int
    items: int
    partitions: int
    factors: int
    longer: float
    trained: bool

    @property
    def store(self) -> Path:
        """Where the snapshot is."""
        return self.folder / "store"

    @property
    def shop(self) -> people.Shop:
        """Who shops there."""
        return people.Shop(self.users, self.items, self.longer)


class Spent:
    """Processor seconds by stage, beside the seconds that `Stages` has."""

    def __init__(self) -> None:
        self.cpu: dict[str, float] = {}
        self._began: dict[str, float] = {}

    def __call__(self, what: str, done: int, of: int) -> None:
        """Told of progress: a stage tells its beginning, and its end."""
        del of
        if done == 0:
            self._began[what] = time.process_time()
        elif what in self._began:
            self.cpu[what] = round(time.process_time() - self._began[what], 3)


def _untrained(factors: int) -> Settings:
    return Settings(factors=factors, epochs=0)


def make(orders: Orders) -> dict[str, Any]:
    """Make the data up, and build."""
    manifest, seconds, cpu = (_trained if orders.trained else _given)(orders)
    return {
        "counts": _counts(manifest),
        "parameters": {name: manifest.parameters[name] for name in ("factors", "partitions", "taste_hash")},
        "partitioning": manifest.partitioning,
        "index": manifest.index,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_rss_bytes": _peak_bytes(),
        "bytes": sizes(manifest),
    }


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _counts(manifest: Manifest) -> dict[str, Any]:
    """With the mean instead of lists that grow with the partitions."""
    counts = dict(manifest.counts)
    users, items = counts.pop("users_per_partition"), counts.pop("items_per_partition")
    return {
        **counts,
        "users_per_partition_max": max(users),
        "items_per_partition_mean": float(np.mean(items)),
        "items_per_partition_max": max(items),
    }


def sizes(manifest: Manifest) -> dict[str, int]:
    """Bytes of the snapshot's files, by what they are of; a partition's files by their names, over all partitions."""
    found: dict[str, int] = {}
    for path, file in manifest.files.items():
        pieces = path.split("/")
        name = (
            f"partitions/{pieces[2]}"
            if pieces[0] == "partitions"
            else "/".join(pieces[:2] if pieces[0] == "models" else pieces[:1])
        )
        found[name] = found.get(name, 0) + file.bytes
    return {**found, "all": sum(found.values())}


def _given(orders: Orders) -> tuple[Manifest, dict[str, float], dict[str, float]]:
    spent = Spent()
    stages = Stages(spent)
    with stages.stage("make up"):
        events = people.events(orders.shop)
    dataset = load_dataset(made_up.dataset_file(orders.folder, "growth"))
    names = events.item_ids.to_list()
    start = Start(
        "made up",
        dict(zip(names, range(len(names)), strict=True)),
        orders.shop.item_vectors(orders.factors),
        _NOBODY,
        0,
        {},
    )
    nothing = Evaluated(
        {"model": {}, "popularity": {}, "users": 0, "cut": "1970-01-01T00:00:00+00:00"},
        [],
        _NOBODY.reshape(0, orders.factors),
    )
    store = open_store(orders.store)
    with store.building() as folder:
        made = folder / "snapshot"
        made.mkdir()
        sources = Sources(dataset, number(dataset, events, None, None, _untrained(orders.factors)), len(events))
        del events
        crew = Alone(folder / "work")
        manifest = make_snapshot(
            made, sources, _untrained(orders.factors), orders.partitions, nothing, stages, crew, start
        )
        with stages.stage("publish"):
            store.push(made, manifest, who("built"))
            serve_built(store, manifest.version, Publishing(), who("built"), "")
    return manifest, stages.seconds, spent.cpu


_NOBODY: people.Floats = np.empty(0, np.float32)


def _trained(orders: Orders) -> tuple[Manifest, dict[str, float], dict[str, float]]:
    spent = Spent()
    with _timed(spent, "make up"):
        dataset = made_up.write(orders.folder, "growth", made_up.frame_of(people.events(orders.shop)))
    settings = BuildSettings(orders.partitions, orders.factors, crew=CrewSettings(workers=0))
    report = build(dataset, orders.store, settings, spent)
    (orders.folder / "events.parquet").unlink()
    return report.manifest, report.seconds, spent.cpu


@contextmanager
def _timed(told: Callable[[str, int, int], None], what: str) -> Iterator[None]:
    told(what, 0, 1)
    yield
    told(what, 1, 1)


def encoded(orders: Orders) -> str:
    """Orders, for a process to read."""
    return json.dumps(asdict(orders), default=str)


def decoded(text: str) -> Orders:
    """The reverse."""
    values: Mapping[str, Any] = json.loads(text)
    return Orders(**{**values, "folder": Path(values["folder"])})


def main() -> None:
    """Build one."""
    json.dump(make(decoded(sys.stdin.read())), sys.stdout)


if __name__ == "__main__":
    main()
