"""Four times as many partitions as by default: built, opened by one process, and everybody served from home."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest
from datasets import Built
from processes import DEADLINE_MS, Cluster, running

from builder.pipeline import BuildSettings, build
from trunkshow.client import Client, Rung

PARTITIONS = 256
FILES_OF_ONE_PARTITION = 2
SPARE = 64
"""Of this process's own, to start others and to ask them."""


@pytest.fixture(scope="module")
def few_descriptors() -> Iterator[int]:
    """Who is started gets about one open file for each partition, unless they ask for more; how many that are.

    The limit is on the highest number, and holds for this process too, which has some from the tests before.
    """
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(one.name) for one in Path("/proc/self/fd").iterdir())
    few = max(PARTITIONS, highest + SPARE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, before[1]))
    yield few
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(scope="module")
def store(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop in so many partitions."""
    folder = tmp_path_factory.mktemp("many") / "store"
    report = build(built.dataset, folder, BuildSettings(partitions=PARTITIONS, factors=8))
    assert report.manifest.counts["partitions"] == PARTITIONS
    return folder


@pytest.fixture(scope="module")
def cluster(store: Path, few_descriptors: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One shard that holds them all, and a router."""
    with running(store, tmp_path_factory.mktemp("logs"), shards=1, replicas=1) as started:
        yield started


def test_one_shard_holds_more_partitions_than_it_is_given_descriptors_for(
    cluster: Cluster, few_descriptors: int
) -> None:
    """All are warm: the cluster would not be ready otherwise; and the shard has more files open than it was given."""
    shard = next(iter(cluster.shards.values()))
    opened = len(list(Path(f"/proc/{shard.pid}/fd").iterdir()))
    assert opened > max(few_descriptors, FILES_OF_ONE_PARTITION * PARTITIONS)


def test_everybody_is_served_from_their_own_partition(cluster: Cluster) -> None:
    """From the snapshot, complete, whichever of the partitions that is."""
    with Client(cluster.target, deadline_ms=DEADLINE_MS) as client:
        slates = [client.recommend(datasets.user_id(number)) for number in range(0, 400, 4)]
    assert {slate.receipt.rung for slate in slates} == {Rung.SNAPSHOT}


def test_a_stranger_with_items_in_hand_is_served_from_the_nearest_of_them(cluster: Cluster) -> None:
    """Probing knows all directions."""
    with Client(cluster.target, deadline_ms=DEADLINE_MS) as client:
        slate = client.recommend("nobody", items=[datasets.item_id(3), datasets.item_id(7)])
    assert slate.receipt.rung is Rung.SNAPSHOT
