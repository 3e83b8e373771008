"""What the fuzzers share: a small cluster of real processes, and strategies for messages of any kind."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from datasets import Built

sys.path.insert(0, str(Path(__file__).parents[1] / "cluster"))

from processes import Cluster, running


@pytest.fixture(scope="module")
def cluster(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One shard and a router that tells direct clients of it, to be sent anything."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TRUNKSHOW_ROUTER_DIRECT", "true")
        with running(built.store, tmp_path_factory.mktemp("logs"), shards=1, replicas=1) as started:
            yield started
