"""Shards of the built snapshot, whose partitions are opened once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from followed_log import FollowedLog
from online_shard import Shard, event

from trunkshow.snapshot.partition import Partition
from trunkshow.snapshot.reader import Snapshot


@pytest.fixture(scope="module")
def partitions(snapshot: Snapshot) -> Iterator[dict[int, Partition]]:
    """All of them, open."""
    event.data_until_s = datetime.fromisoformat(snapshot.manifest.data_until).timestamp()  # type: ignore[attr-defined]
    opened = {number: snapshot.open_partition(number) for number in range(snapshot.partitions)}
    yield opened
    for one in opened.values():
        one.close()


@pytest.fixture
def shard(snapshot: Snapshot, partitions: dict[int, Partition]) -> Callable[..., Shard]:
    """Makes shards of the built snapshot."""
    return lambda log=None, cache=None, **chosen: Shard(snapshot, log or FollowedLog(), partitions, cache, **chosen)
