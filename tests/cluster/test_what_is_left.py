"""Shards that hold the current snapshot die, the store goes away: who asks is answered by what is left."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from processes import DEADLINE_MS
from swapping import EVERYONE, own_taste_share, push, serving, until

from cli.addresses import free_address
from cli.main import run
from shard import placement
from trunkshow.client import Client, Reason, Rung
from trunkshow.cluster import ClusterStatus
from trunkshow.errors import PartialAborted
from trunkshow.snapshot.store import Store, who

# ---- replicas that die


def test_the_previous_snapshot_answers_when_nobody_holds_the_current_one(
    store: Store, second: Path, tmp_path: Path
) -> None:
    """A shard for each: the one that holds the current snapshot is killed."""
    first = store.pointer().current
    version = push(store, second)
    store.move(lambda pointer: pointer.promoted(version, who()))
    groups = [{"--snapshot": first}, {"--snapshot": version}]
    with (
        serving(store, tmp_path / "logs", groups) as cluster,
        Client(cluster.target, deadline_ms=DEADLINE_MS) as client,
    ):
        asked = EVERYONE[:40]  # partitions move one by one
        asyncio.run(until(lambda: all(client.recommend(one).receipt.snapshot_version == version for one in asked)))
        well = {client.recommend(user).receipt.rung for user in EVERYONE[:40]}
        list(cluster.shards.values())[1].kill()
        receipts = [client.recommend(user).receipt for user in EVERYONE[:40]]
        with pytest.raises(PartialAborted):
            client.recommend(EVERYONE[0], worst_rung=Rung.SNAPSHOT)
    assert well == {Rung.SNAPSHOT}
    assert {(receipt.rung, receipt.snapshot_version) for receipt in receipts} == {(Rung.PREVIOUS, first)}
    assert all({Reason.NO_REPLICA, Reason.SHARD_FAILED} & set(receipt.reasons) for receipt in receipts)


def test_a_compact_copy_elsewhere_answers_when_the_home_is_gone(store: Store, tmp_path: Path) -> None:
    """Three shards, every partition once: the users of the one that is killed still get a slate of their own."""
    addresses, logs = each_with_a_home(3, partitions=4), tmp_path / "logs"
    with (
        serving(store, logs, [{"--replicas": "1"}] * 3, addresses) as cluster,
        Client(cluster.target, deadline_ms=DEADLINE_MS) as client,
    ):
        asyncio.run(until(lambda: copied(client.status()) == set(range(4))))
        cluster.shards[addresses[0]].kill()
        slates = {user: client.recommend(user) for user in EVERYONE[::3]}
    rungs = Counter(slate.receipt.rung for slate in slates.values())
    assert set(rungs) == {Rung.SNAPSHOT, Rung.STAND_IN}
    shares = [own_taste_share(slate, user) for user, slate in slates.items() if slate.receipt.rung is Rung.STAND_IN]
    assert sum(shares) / len(shares) > 0.7


def copied(status: ClusterStatus) -> set[int]:
    """Partitions of whose users some shard has the compact copies open."""
    return {number for shard in status.shards for held in shard.generations for number in held.stand_ins}


def each_with_a_home(shards: int, partitions: int) -> list[str]:
    """Free addresses, each of which holds a partition where each is held once: a copy needs one beside it."""
    while True:
        addresses = [free_address() for _ in range(shards)]
        held = {placement.holders(number, addresses, 1) for number in range(partitions)}
        if len(held) == shards:
            return addresses


# ---- the store goes away


def test_a_router_without_store_and_shards_answers_from_its_own_disk(store: Store, tmp_path: Path) -> None:
    """It was there once, with the store."""
    cache = str(tmp_path / "cache")
    with serving(store, tmp_path / "before", groups=(), cache=cache):
        pass
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    with serving(store, tmp_path / "after", groups=(), cache=cache) as alone, Client(alone.target) as client:
        known, stranger = client.recommend(EVERYONE[3]), client.recommend("stranger")
        reachable = client.status().store_reachable
    assert (known.receipt.rung, stranger.receipt.rung, reachable) == (Rung.SEGMENT, Rung.POPULAR, False)
    for slate in (known, stranger):
        assert Reason.STORE_UNREACHABLE in slate.receipt.reasons
        assert all(carousel.items for carousel in slate.carousels)


def test_a_router_that_was_never_started_before_answers_without_store_and_shards(store: Store, tmp_path: Path) -> None:
    """As a new pod is: its cache is empty. With the store back it serves what is current there."""
    kept = tmp_path / "kept"
    assert run(["fallback", str(kept), "--store", store.url]) == 0
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    places = {"cache": str(tmp_path / "cache"), "fallback": str(kept)}
    with serving(store, tmp_path / "logs", groups=(), **places) as alone, Client(alone.target) as client:
        known, stranger = client.recommend(EVERYONE[3]), client.recommend("stranger")
        (tmp_path / "elsewhere").rename(tmp_path / "store")
        asyncio.run(until(lambda: client.status().store_reachable))
    assert (known.receipt.rung, stranger.receipt.rung) == (Rung.SEGMENT, Rung.POPULAR)
    for slate in (known, stranger):
        assert Reason.STORE_UNREACHABLE in slate.receipt.reasons
        assert all(carousel.items for carousel in slate.carousels)


def test_a_store_that_goes_away_while_serving_is_not_missed(store: Store, tmp_path: Path) -> None:
    """What is open stays open; it comes back unnoticed."""
    with serving(store, tmp_path / "logs", [{}]) as cluster, Client(cluster.target, deadline_ms=DEADLINE_MS) as client:
        (tmp_path / "store").rename(tmp_path / "elsewhere")
        asyncio.run(until(lambda: not client.status().store_reachable))
        receipts = [client.recommend(user).receipt for user in EVERYONE[:40]]
        (tmp_path / "elsewhere").rename(tmp_path / "store")
        asyncio.run(until(lambda: client.status().store_reachable))
    assert {receipt.rung for receipt in receipts} == {Rung.SNAPSHOT}
    assert not any(Reason.STORE_UNREACHABLE in receipt.reasons for receipt in receipts)
