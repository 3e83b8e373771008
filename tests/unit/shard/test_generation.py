"""A generation brings its partitions up one by one; one that fails its checks is refused, the others serve."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from datasets import Built

from shard.generation import Generation
from trunkshow.snapshot import partition
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store
from trunkshow.v1 import shard_pb2


@pytest.fixture
def own(built: Built, tmp_path: Path) -> Iterator[Snapshot]:
    """The built snapshot in a store of its own, to be broken."""
    yield Snapshot.open(open_store(Path(shutil.copytree(built.store, tmp_path / "store"))))


def nothing() -> None:
    """Nobody watches."""


def states(generation: Generation) -> tuple[list[int], list[int], list[int]]:
    """What is warm, loading and refused."""
    status = generation.status()
    return list(status.warm), list(status.loading), list(status.refused)


def test_partitions_come_up_in_order(own: Snapshot) -> None:
    """From loading to warm, one per step."""
    generation = Generation(own, [0, 2, 3], 2, nothing)
    seen = [states(generation)]
    while generation.load_next():
        seen.append(states(generation))
    assert seen == [([], [0, 2, 3], []), ([0], [2, 3], []), ([0, 2], [3], []), ([0, 2, 3], [], [])]
    generation.close()


def test_a_spoilt_partition_is_refused_and_the_others_serve(own: Snapshot, built: Built, tmp_path: Path) -> None:
    """One bad file costs one partition."""
    (folder,) = (tmp_path / "store").glob("snapshots/*")
    (folder / partition.name(1) / "items.npy").write_bytes(b"")
    generation = Generation(own, [0, 1, 2], 2, nothing)
    while generation.load_next():
        pass
    assert states(generation) == ([0, 2], [], [1])
    generation.close()


def test_a_generation_is_ready_once_everything_is_warm(own: Snapshot) -> None:
    """And not before."""
    generation = Generation(own, [0], 1, nothing)
    before = generation.state
    generation.load_next()
    assert (before, generation.state) == (shard_pb2.SHARD_STATE_LOADING, shard_pb2.SHARD_STATE_READY)
    generation.close()


def test_a_generation_that_lacks_a_partition_is_not_ready(own: Snapshot) -> None:
    """What was refused is not held: the shard says so instead of claiming its whole share."""
    generation = Generation(own, [0, 99], 1, nothing)
    while generation.load_next():
        pass
    assert generation.state == shard_pb2.SHARD_STATE_DEGRADED
    generation.close()


def test_every_step_is_reported(own: Snapshot) -> None:
    """Watchers hear of each partition, with its new state in place."""
    heard = []
    generation = Generation(own, [0, 1], 1, lambda: heard.append(states(generation)))
    while generation.load_next():
        pass
    assert heard == [([0], [1], []), ([0, 1], [], [])]
    generation.close()


def test_a_partition_that_does_not_exist_is_refused(own: Snapshot) -> None:
    """A membership that is too large for the snapshot harms nobody."""
    generation = Generation(own, [99], 1, nothing)
    generation.load_next()
    assert states(generation) == ([], [], [99])
    generation.close()
