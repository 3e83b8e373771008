"""What tests of a shard look at and none changes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from whole_shard import Shard

from trunkshow.snapshot.reader import Snapshot


@pytest.fixture(scope="module")
def shard(snapshot: Snapshot) -> Iterator[Shard]:
    """The built snapshot, all of it. Look, but do not touch."""
    opened = Shard(snapshot)
    yield opened
    opened.close()
