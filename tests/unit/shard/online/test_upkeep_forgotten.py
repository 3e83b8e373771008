"""Whoever asked to be forgotten is a stranger: at once, after a restart, and beside a log that is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest
from online_shard import USER, Shard, click, event, turns, unlike

from shard.scene import Kind, Piece
from trunkshow.online.forgotten_file import FILE_NAME
from trunkshow.v1 import events_pb2


async def test_a_forgotten_user_is_a_stranger_at_once(shard: Callable[..., Shard]) -> None:
    """Their events go, and what the snapshot knows of them is not used; another user's is."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        await up.hears(click(USER, unlike(up, USER)[0]))
        await up.forgets(USER, after_s=100)
        assert await up.unknown(USER)
        assert up.upkeep.hearing.users.of(USER) == ()
        assert not await up.unknown(datasets.user_id(18))


async def test_a_forgotten_user_is_a_stranger_after_a_restart(shard: Callable[..., Shard]) -> None:
    """Before the first answer, and whatever the log still has of them."""
    before = shard()
    async with before.up():
        await before.hold(*before.partitions)
        await before.hears(click(USER, unlike(before, USER)[0]))
        await before.forgets(USER, after_s=100)
    after = shard(before.log)
    after.tombstones.records = before.tombstones.records
    async with after.up():
        await after.hold(*after.partitions)
        assert await after.unknown(USER)


async def test_a_forgotten_user_is_a_stranger_after_a_restart_beside_a_log_that_is_gone(
    shard: Callable[..., Shard], tmp_path: Path
) -> None:
    """What was heard of them lies where the copies of the snapshots lie; the log has not said a word yet."""
    before = shard(cache=tmp_path)
    async with before.up():
        await before.forgets(USER, after_s=100)
        await turns(lambda: (tmp_path / FILE_NAME).exists())
    after = shard(cache=tmp_path)  # nothing of it runs
    assert await after.unknown(USER)
    assert after.upkeep.forgotten.watermark is None


@pytest.mark.parametrize("kind", [Kind.HOME, Kind.STAND_IN])
async def test_where_the_forgotten_come_first_nothing_is_served_before_they_are_known(
    shard: Callable[..., Shard], kind: Kind
) -> None:
    """However long the log does not answer; otherwise a partition is served after a while, and a stand-in at once."""
    for first in (False, True):
        made = shard(forgotten_first=first)
        made.tombstones.gone = True
        async with made.up():
            piece = Piece(made.snapshot.version, kind, made.home(USER))
            made.upkeep.want([piece])
            made.now += 3600
            served = asyncio.create_task(made.upkeep.whole(piece))
            for _ in range(50):
                await asyncio.sleep(0)
            assert served.done() is not first
            made.tombstones.gone = False
            await made.forgets(USER, after_s=100)
            await turns(served.done)
            assert await made.unknown(USER)


async def test_who_comes_back_is_somebody_new(shard: Callable[..., Shard]) -> None:
    """Known by what they did since, and by nothing else; what was done before and comes late is forgotten, too."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        old, new = unlike(up, USER)[:2]
        await up.forgets(USER, after_s=100)
        await up.hears(
            event(USER, old, events_pb2.INTERACTION_LIKE, after_s=50),
            event(USER, new, events_pb2.INTERACTION_LIKE, after_s=150),
        )
        folded = up.residents.folded(USER, None)
        assert folded is not None
        assert [up.snapshot.catalogue.id(row) for row in folded.record.items.tolist()] == [new]
        assert up.residents.homes.has(USER)
        assert (await up.slate(USER)).receipt.events_folded == 1
