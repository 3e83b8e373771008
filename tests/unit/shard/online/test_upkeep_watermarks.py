"""What a snapshot was built with is told from what came since, also where the logs were restored from older copies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from followed_log import FollowedLog
from online_shard import USER, Shard, click, event, turns

from trunkshow.online import lineage
from trunkshow.snapshot.partition import Partition
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import events_pb2
from trunkshow.v1 import recommendation_pb2 as pb


async def test_a_snapshot_is_told_from_the_log_by_its_watermark(
    snapshot: Snapshot, partitions: dict[int, Partition], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was built with is not folded in again, also where it is sent again later."""
    log = FollowedLog()
    built_with = event(USER, "item-0001", events_pb2.INTERACTION_CLICK, after_s=-1)
    mark = await log.append([built_with], 1)
    await log.append([click(USER, "item-0002")], 1)
    monkeypatch.setattr(snapshot, "manifest", replace(snapshot.manifest, log_watermark=str(mark)))
    async with Shard(snapshot, log, partitions).up() as up:
        await up.hold(*partitions)
        await up.hears(built_with)
        assert (await up.slate(USER)).receipt.events_folded == 1


LONGER = {"log_watermark": "log/0:9", "forgotten_watermark": "gone/0:9"}
"""Of a snapshot that was built with more of its logs than is in them now."""


async def test_a_snapshot_of_a_log_that_was_restored_from_an_older_copy_is_served_with_what_came_since(
    snapshot: Snapshot, partitions: dict[int, Partition], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came has the numbers of what the snapshot was built with; a shard that starts reads all of it."""
    monkeypatch.setattr(lineage, "LOOKS_MIN", 1)
    monkeypatch.setattr(snapshot, "manifest", replace(snapshot.manifest, **LONGER))
    log = FollowedLog()
    await log.append([event(USER, "item-0001", events_pb2.INTERACTION_CLICK, after_s=-1)], 1)
    await log.append([click(USER, "item-0002")], 1)
    async with Shard(snapshot, log, partitions).up() as up:
        await up.hold(*partitions)
        await up.hears(click(USER, "item-0003"))
        receipt = (await up.slate(USER)).receipt
        assert (receipt.rung, receipt.events_folded) == (pb.RUNG_FRESH, 2)


async def test_a_tombstone_of_after_the_logs_were_restored_is_honoured(
    snapshot: Snapshot, partitions: dict[int, Partition], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the number of one that the snapshot was built with, and the snapshot was built without it."""
    monkeypatch.setattr(snapshot, "manifest", replace(snapshot.manifest, **LONGER))
    async with Shard(snapshot, FollowedLog(), partitions).up() as up:
        await up.hold(*partitions)
        assert not await up.unknown(USER)
        await up.forgets(USER, after_s=100)
        assert await up.unknown(USER)


async def test_what_came_while_the_log_of_a_shard_was_restored_is_replayed(
    shard: Callable[..., Shard], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would read on behind what it knows; it sees that the log ends before that, and reads all of it again."""
    monkeypatch.setattr(lineage, "LOOKS_MIN", 1)
    async with shard().up() as up:
        await up.hold(*up.partitions)
        await up.hears(click(USER, "item-0001"))
        await up.hears(click(USER, "item-0002"))
        await up.hears(click(USER, "item-0003"))
        up.log.records = up.log.records[:1]
        await up.log.append([click(USER, "item-0004")], 1)
        await turns(lambda: up.upkeep.follower.progress.text == "log/0:2")
        await turns(lambda: len(up.upkeep.hearing.users.of(USER)) == 4)
        await turns(lambda: len(up.residents.homes.whole) == len(up.partitions))
        assert (await up.slate(USER)).receipt.events_folded == 4


async def test_what_was_shown_before_the_snapshot_is_known_after_a_restart_too(
    shard: Callable[..., Shard], snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or it would come back with every shard that starts, and replicas would differ; so far as the log has it."""
    log, stranger = FollowedLog(), "nobody-who-lives-here"
    async with shard(log).up() as up:
        await up.hold(*up.partitions)
        for user in (USER, stranger):
            shown = [event(user, "item-0001", events_pb2.INTERACTION_IMPRESSION, 60.0 * at) for at in range(1, 5)]
            await up.hears(*shown)
        before = up.upkeep.hearing.shown.to(USER)
        assert before is not None
        mark = await log.end(1)
    monkeypatch.setattr("trunkshow.online.positions.OVERLAP_RECORDS", 0)
    monkeypatch.setattr(snapshot, "manifest", replace(snapshot.manifest, log_watermark=str(mark)))
    async with shard(log).up() as late:
        await late.hold(*late.partitions)
        await turns(lambda: len(late.upkeep.hearing.shown.to(USER) or ()) == len(before))
        after = late.upkeep.hearing.shown.to(USER)
        assert after is not None
        assert dict(after.repeated(2)) == dict(before.repeated(2))
        assert stranger not in late.upkeep.hearing.shown
