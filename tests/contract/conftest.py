"""A shard under test: each suite runs on the fake one and on the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from subjects import HOURS_S, Starting, Subject, fake, real

from trunkshow.snapshot.reader import Snapshot


@pytest.fixture(params=[fake, real])
def start(request: pytest.FixtureRequest, snapshot: Snapshot) -> Starting:
    """Starts a shard that gives a sign of life so often, in seconds."""
    return lambda period_s: request.param(snapshot, period_s)


@pytest.fixture
async def shard(start: Starting) -> AsyncIterator[Subject]:
    """A shard that answers."""
    async with start(HOURS_S) as subject:
        yield subject
