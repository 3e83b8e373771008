"""A person is forgotten on a running cluster: by what serves now, by what a rollback brings back, and provably."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import datasets
import nats_servers
import pytest
from datasets import Built
from nats_servers import NatsServer
from processes import DEADLINE_MS, Cluster, running
from swapping import push

from cli.main import run
from trunkshow.client import Client, Event, Reason, Rung
from trunkshow.snapshot.store import open_store, who

USER = datasets.user_id(17)
WITHIN_S = 60.0


@pytest.fixture
def store(built: Built, second: Path, tmp_path: Path) -> Path:
    """With two versions that both know the user."""
    copied = tmp_path / "store"
    shutil.copytree(built.store, copied)
    store = open_store(copied)
    version = push(store, second)
    store.move(lambda pointer: pointer.promoted(version, who()))
    return copied


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """The event log's."""
    with nats_servers.running(tmp_path / "nats") as started:
        yield started


@pytest.fixture
def cluster(store: Path, server: NatsServer, tmp_path: Path) -> Iterator[Cluster]:
    """Two shards that each hold everything, and a router."""
    with running(store, tmp_path / "logs", shards=2, replicas=2, log=server.url) as started:
        yield started


def until(met: Callable[[], bool]) -> None:
    """Ask again and again until something is so."""
    ends = time.monotonic() + WITHIN_S
    while not met():
        assert time.monotonic() < ends, "it never came to that"
        time.sleep(0.05)


def test_nobody_knows_who_was_forgotten(
    cluster: Cluster, store: Path, server: NatsServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """What they did, and what either snapshot knows of them, is in no slate; `trunkshow forgotten` proves it."""
    with Client(cluster.target, deadline_ms=DEADLINE_MS) as client:

        def is_known() -> bool:
            mark = client.record(Event(USER, datasets.item_id(4), "click", event_id="once")).watermark
            receipt = client.recommend(USER, at_least_as_fresh=mark).receipt
            return (receipt.rung, receipt.events_folded) == (Rung.FRESH, 1)

        def is_a_stranger() -> bool:
            receipts = [client.recommend(USER).receipt for _ in range(6)]  # whichever shard is asked
            return all(Reason.USER_UNKNOWN in one.reasons and not one.events_folded for one in receipts)

        until(is_known)
        assert client.forget(USER).id
        until(is_a_stranger)
        served = client.recommend("anybody").receipt.snapshot_version
        assert run(["rollback", "--store", str(store)]) == 0
        until(lambda: client.recommend("anybody").receipt.snapshot_version != served)
        until(is_a_stranger)
        other = next(user for user in map(datasets.user_id, range(400)) if user != USER)
        until(lambda: client.recommend(other).receipt.rung is Rung.FRESH)

    looked = ["forgotten", USER, "--log", server.url, "--store", str(store), "--target", cluster.target, "--json"]
    expected = {
        "event log",  # until it is too old to be kept
        *(f"snapshot {version}" for version in open_store(store).versions()),  # files cannot change
    }

    def places() -> list[dict[str, str]]:  # by whoever answers the command within its 2 s, on a busy machine too
        capsys.readouterr()
        assert run(looked) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["forgotten"]
        return list(told["places"])

    def is_proven(told: list[dict[str, str]]) -> bool:
        gone = {one["place"].split()[0] for one in told if one["done"]}
        left = {one["place"] for one in told if not one["done"]}
        return left == expected and gone == {"tombstone", "router", "shard", "slate"}

    ends = time.monotonic() + WITHIN_S
    while not is_proven(told := places()):
        assert time.monotonic() < ends, told
