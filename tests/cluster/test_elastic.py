"""Shards and snapshots come and go while shoppers ask, and no shopper notices."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest
from elastic import Elastic, settled, shopping
from processes import is_up

from builder.pipeline import BuildSettings, build
from cli.addresses import free_address
from trunkshow.client import Rung
from trunkshow.cluster import ClusterStatus
from trunkshow.snapshot.store import open_store, who

USERS = 160
SHARDS = 3
SETTINGS = BuildSettings(partitions=8, factors=8)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set, and a store that serves it."""
    folder = tmp_path_factory.mktemp("served")
    datasets.write(datasets.clustered(USERS, 120, 12), folder / "data")
    build(folder / "data" / "shop.toml", folder / "store", SETTINGS, lambda *_: None)
    return folder


@pytest.fixture
def shop(served: Path) -> Iterator[Path]:
    """The same, to be built into; the store is where it was for whom comes next."""
    yield served
    if (served / "gone").exists():
        (served / "gone").rename(served / "store")


@pytest.fixture(scope="module")
def started(served: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elastic]:
    """A cluster; shards of it may have left since."""
    cluster = Elastic(served / "store", tmp_path_factory.mktemp("elastic") / "cluster")
    try:
        asyncio.run(cluster.start(SHARDS))
        yield cluster
    finally:
        cluster.end()


@pytest.fixture
async def cluster(started: Elastic) -> Elastic:
    """Three shards and a router, to be harmed; those that are not there are joined by others."""
    started.join(SHARDS - len(started.shards))
    await started.until(lambda status: settled(status, SHARDS))
    return started


async def publish(shop: Path) -> str:
    """Build and promote once more; return the version."""
    await asyncio.to_thread(build, shop / "data" / "shop.toml", shop / "store", SETTINGS, lambda *_: None)
    return open_store(shop / "store").pointer().current


async def test_from_three_shards_to_five_to_two_nobody_gets_less(cluster: Elastic) -> None:
    """Every answer is of the snapshot, and each shard ends up holding less with five than with three."""
    async with shopping(cluster.target, USERS) as shoppers:
        await shoppers.answered(50)
        cluster.join(2)
        # Each partition on two of five: nobody keeps what moved.
        await cluster.until(lambda status: settled(status, 5) and status is not None and copies(status) == 16)
        await shoppers.answered(50)
        await cluster.leave(3)
        await cluster.until(lambda status: settled(status, 2) and status is not None and copies(status) == 16)
        await shoppers.answered(50)
    assert shoppers.failed == []
    assert set(shoppers.rungs) == {Rung.SNAPSHOT}


async def test_a_swap_and_a_rollback_are_not_noticed(cluster: Elastic, shop: Path) -> None:
    """Both versions answer, at no lower rung, and the way back is quick."""
    store = open_store(shop / "store")
    first = store.pointer().current
    async with shopping(cluster.target, USERS) as shoppers:
        await shoppers.answered(50)
        second = await publish(shop)
        while shoppers.versions[second] < 50:
            await shoppers.answered(1)
        await cluster.until(lambda status: settled(status, 3, second))
        store.move(lambda pointer: pointer.rolled_back(who("test")))
        before = shoppers.versions[first]
        while shoppers.versions[first] < before + 50:
            await shoppers.answered(1)
    assert shoppers.failed == []
    assert set(shoppers.rungs) == {Rung.SNAPSHOT}


async def test_a_killed_shard_that_returns_with_old_copies_catches_up(cluster: Elastic, shop: Path) -> None:
    """What it kept is of the version before; it is ready with the current one."""
    address = next(iter(cluster.shards))
    cluster.shards[address].signal(signal.SIGKILL)
    cluster.shards[address].wait()
    second = await publish(shop)
    await cluster.until(lambda status: status is not None and status.snapshot_version == second and status.covered)
    cluster.shards[address] = cluster.shard(address)
    await cluster.until(lambda status: settled(status, 3, second))


async def test_a_shard_starts_from_its_copies_when_the_store_is_gone(cluster: Elastic, shop: Path) -> None:
    """And serves what it served."""
    address = next(iter(cluster.shards))
    cluster.shards[address].signal(signal.SIGKILL)
    cluster.shards[address].wait()
    (shop / "store").rename(shop / "gone")
    cluster.shards[address] = cluster.shard(address)
    await cluster.until(lambda status: settled(status, 3))


async def test_a_shard_that_goes_by_another_name_says_so_and_is_ready_once_it_is_named(
    shop: Path, tmp_path: Path
) -> None:
    """Whoever looks at the cluster's status reads what to do; how its name is spelt is all the same."""
    cluster = Elastic(shop / "store", tmp_path / "cluster")
    address = free_address()
    host, _, port = address.rpartition(":")
    try:
        cluster.name(f"localhost:{port}")
        cluster.shards[address] = cluster.shard(address)
        cluster.route()

        def told(status: ClusterStatus | None) -> bool:
            return status is not None and any("--name" in shard.last_error for shard in status.shards)

        await cluster.until(lambda status: told(status) and status is not None and status.covered)
        assert cluster.said("server.serving") == 0
        cluster.name(f"{host}:0{port}")
        await cluster.until(lambda status: status is not None and is_up(status, address))
        assert (cluster.said("member.unknown"), cluster.said("member.known")) == (1, 1)
    finally:
        cluster.end()


def copies(status: object) -> int:
    """Partitions of the current version, as often as they are held."""
    return sum(
        len(generation.warm)
        for shard in status.shards  # type: ignore[attr-defined]
        for generation in shard.generations
        if generation.snapshot_version == status.snapshot_version  # type: ignore[attr-defined]
    )
