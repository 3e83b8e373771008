"""A log under test: each claim is made of every adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from worlds import KafkaWorld, NatsWorld, World, opened

from trunkshow.eventlog.log import EventLog


@pytest.fixture(params=[NatsWorld, KafkaWorld])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """Where it lives."""
    made: World = request.param(tmp_path / "log")
    yield made
    await made.close()


@pytest.fixture
async def nats_world(tmp_path: Path) -> AsyncIterator[NatsWorld]:
    """A NATS server, for what no other can show."""
    made = NatsWorld(tmp_path / "log")
    yield made
    await made.close()


@pytest.fixture
async def log(world: World) -> AsyncIterator[EventLog]:
    """The log."""
    made = opened(world)
    yield made
    await made.close()
