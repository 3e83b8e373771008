"""A cluster of one shard and a router: measured by `trunkshow bench`, without its shard, and told to stop."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from datasets import Built
from processes import Cluster, asking, running
from swapping import EVERYONE

from trunkshow.client import Reason, Rung

COMMAND = [sys.executable, "-m", "cli.main", "bench"]


@pytest.fixture(scope="module")
def frugal_once(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of one shard and a router; the shard may have ended since."""
    with running(built.store, tmp_path_factory.mktemp("frugal"), shards=1, replicas=1) as started:
        yield started


@pytest.fixture
def frugal(frugal_once: Cluster) -> Cluster:
    """The same, whole."""
    frugal_once.mend()
    return frugal_once


def test_a_real_cluster_is_measured_and_weighed(frugal: Cluster, built: Built) -> None:
    """One shard, one router: a second in an open loop, every slate whole or short, and none of anybody's making."""
    asked = ["--target", frugal.target, "--store", str(built.store), "--rate", "30", "--seconds", "1", "--json"]
    done = subprocess.run([*COMMAND, *asked], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    loop = told["stretches"]["open loop"]
    assert told["weighed"] == ["router", "shard 0"]
    assert told["snapshot_version"] == built.report.manifest.version
    assert loop["answered"] > 0 and loop["answered"] == loop["whole"] + loop["short"]
    assert set(loop["rungs"]) <= {"FRESH", "SNAPSHOT"}
    assert min(loop["cpu_s_per_1000"].values()) >= 0 and min(loop["rss_bytes"].values()) > 10 << 20

    batch = [*asked, "--batch", "5"]
    told = json.loads(subprocess.run([*COMMAND, *batch], capture_output=True, check=True, timeout=60).stdout)
    assert told["batch"] == 5 and told["stretches"]["open loop"]["answered"] % 5 == 0


def test_without_any_shard_everyone_gets_what_is_popular(frugal: Cluster) -> None:
    """With their segment where they are known, and the receipt says why."""
    for shard in frugal.shards.values():
        shard.kill()
    with asking(frugal) as client:
        known = client.recommend(EVERYONE[3]).receipt
        stranger = client.recommend("stranger", items=["item-0002"]).receipt
        everyone = [client.recommend(user) for user in EVERYONE[:50]]
    assert (known.rung, stranger.rung) == (Rung.SEGMENT, Rung.POPULAR)
    for receipt in (known, stranger):
        assert {Reason.NO_REPLICA, Reason.SHARD_FAILED} & set(receipt.reasons)
    assert all(slate.carousels[0].items for slate in everyone)


def test_a_router_that_is_told_to_stop_exits_with_0(frugal: Cluster) -> None:
    """And so does its shard. Stands last: it ends both."""
    processes = [frugal.router, *frugal.shards.values()]
    for process in processes:
        process.signal(signal.SIGTERM)
    assert [process.wait() for process in processes] == [0, 0]
