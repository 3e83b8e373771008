"""What tests of a shard share: a snapshot that is all open, and a keeper on a store of two versions."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest
from keeper_stage import PARTITIONS, Stage, Store
from whole_shard import Shard

from builder.pipeline import BuildSettings, build
from trunkshow.snapshot.reader import Snapshot


@pytest.fixture(scope="module")
def shard(snapshot: Snapshot) -> Iterator[Shard]:
    """The built snapshot, all of it. Look, but do not touch."""
    opened = Shard(snapshot)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two versions, the second one current. Look, but do not touch."""
    folder = tmp_path_factory.mktemp("two")
    settings = BuildSettings(partitions=PARTITIONS, factors=8)
    for number in (1, 2):
        dataset = datasets.write(datasets.clustered(120, 80, 12, seed=number), folder / f"data-{number}")
        build(dataset, folder / "store", settings, lambda *_: None)
    return folder / "store"


@pytest.fixture
async def stage(two: Path, tmp_path: Path) -> Iterator[Stage]:  # type: ignore[misc]
    """A keeper on a copy of the two versions, to be broken."""
    Store.fault = None
    made = Stage(Path(shutil.copytree(two, tmp_path / "store")))
    yield made
    made.keeper.close()
