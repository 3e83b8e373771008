"""A shard process, as far as it can be had without another process."""

from __future__ import annotations

import asyncio
from typing import Never

import pytest
from datasets import Built
from structlog.testing import capture_logs

from shard import main
from shard.config import ShardConfig
from shard.keeper import Keeper
from trunkshow.serving.tasks import TaskEnded
from trunkshow.snapshot.store import open_store


async def test_a_shard_whose_keeper_dies_after_it_was_ready_ends(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would serve what it has for ever, and follow no pointer."""
    run = Keeper.run

    async def dies(keeper: Keeper) -> Never:
        running = asyncio.ensure_future(run(keeper))
        await keeper.ready()
        running.cancel()
        raise ZeroDivisionError

    monkeypatch.setattr(Keeper, "run", dies)
    config = ShardConfig(str(built.store), listen="127.0.0.1:0", drain_s=0)
    with capture_logs() as logs, pytest.raises(TaskEnded, match="keeper"):
        await asyncio.wait_for(main._serve(config, open_store(config.store)), 60)
    assert "task.ended" in [one["event"] for one in logs]
