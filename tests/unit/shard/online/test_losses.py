"""What the log lost is in nobody's slates: then none of them says that it knows everything, until a snapshot has it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

import pytest
from followed_log import FollowedLog
from online_shard import USER, Shard, click, event, turns, unlike

from shard.online.losses import Loss, Losses
from shard.online.statistics import Heard
from trunkshow.eventlog.log import Read
from trunkshow.eventlog.reading import place_in
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.positions import Position, Since
from trunkshow.snapshot.partition import Partition
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import log_pb2
from trunkshow.v1 import recommendation_pb2 as pb

NOW_MS = 1_000_000


class Leaky(FollowedLog):
    """A log of which the first records were removed; who reads from before them is told, as every adapter does."""

    removed = 0

    async def read(self, after: Watermark | None, until: Watermark) -> AsyncGenerator[Read, None]:
        """What is left of it."""
        place = place_in(self.name, after)
        start = max(place.next_count(0), self.removed)
        async for read in super().read(self._mark(start), until):
            place, told = place.took(0, read.watermark.counts[0], read.record.SerializeToString(), 0)
            assert told is not None
            yield told


def since(number: int) -> Since:
    """A snapshot that has seen so much."""
    return Since(Watermark("log", {0: number}), 0)


async def test_a_snapshot_older_than_what_is_left_of_the_log_is_not_fresh(
    snapshot: Snapshot, partitions: dict[int, Partition], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is served, with what could be read; a snapshot that was built with what went is fresh."""
    log = Leaky()
    for item in ("item-0001", "item-0002", "item-0003", "item-0004"):
        await log.append([click(USER, item)], 1)
    log.removed = 2
    for seen, rung in ((1, pb.RUNG_SNAPSHOT), (2, pb.RUNG_FRESH)):
        built = replace(snapshot.manifest, log_watermark=f"log/0:{seen}")
        monkeypatch.setattr(snapshot, "manifest", built)
        async with Shard(snapshot, log, partitions).up() as up:
            await up.hold(*up.partitions)
            await turns(up.residents.is_fresh)
            receipt = (await up.slate(USER)).receipt
            assert (receipt.rung, receipt.events_folded, bool(receipt.watermark)) == (rung, 2, seen == 2)


@pytest.mark.parametrize(("received_s", "rung"), [(10.0, pb.RUNG_SNAPSHOT), (-10.0, pb.RUNG_FRESH)])
async def test_a_snapshot_without_a_watermark_is_not_fresh_where_the_log_begins_after_its_data(
    shard: Callable[..., Shard], received_s: float, rung: int
) -> None:
    """What came in between may be gone; where the log begins before that, or was always as short, nothing can be."""
    for removed, told in ((2, rung), (0, pb.RUNG_FRESH)):
        log = Leaky()
        log.received_ms = round((event.data_until_s + received_s) * 1000)  # type: ignore[attr-defined]
        for item in ("item-0001", "item-0002", "item-0003", "item-0004"):
            await log.append([click(USER, item)], 1)
        log.removed = removed
        async with shard(log).up() as up:
            await up.hold(*up.partitions)
            await turns(up.residents.is_fresh)
            receipt = (await up.slate(USER)).receipt
            assert (receipt.rung, receipt.events_folded) == (told, 4 - removed)
            assert up.residents.is_whole(USER, up.home(USER)) == (told == pb.RUNG_FRESH)


async def test_what_a_reading_does_not_come_to_is_lost(shard: Callable[..., Shard]) -> None:
    """All of the log was removed, and nothing came since: nobody says what it was."""
    log = Leaky()
    await log.append([click(USER, "item-0001")], 1)
    log.removed = 1
    async with shard(log).up() as up:
        await up.hold(*up.partitions)
        await turns(up.residents.is_fresh)
        assert (await up.slate(USER)).receipt.rung == pb.RUNG_SNAPSHOT


class Scripted(FollowedLog):
    """A log whose reads are given."""

    def __init__(self, *given: Read) -> None:
        super().__init__()
        self.given = given

    async def follow(self, after: Watermark | None) -> AsyncGenerator[Read, None]:
        """These."""
        for read in self.given:
            yield read


def read(counts: dict[int, int], lost: int = 0, log: str = "log") -> Read:
    """One that goes so far."""
    record = log_pb2.Record()
    record.received.FromMilliseconds(NOW_MS // 2)
    return Read(record, Watermark(log, counts), lost)


async def losses_of(*given: Read) -> tuple[Losses, list[Loss]]:
    """What is known once these were read."""
    told: list[Loss] = []
    losses = Losses(Scripted(*given), told.append, lambda: NOW_MS / 1000)
    assert [one async for one in losses.follow(None)] == list(given)
    return losses, told


async def test_of_each_lane_the_last_that_was_lost_counts() -> None:
    """Who was built with that lacks nothing; where several lanes went on, it may have been in any of them."""
    losses, told = await losses_of(read({0: 4}), read({0: 7}, lost=2), read({0: 8, 1: 1}, lost=1))
    assert [one.at for one in told] == [Position("log", lane, number) for lane, number in ((0, 6), (0, 8), (1, 1))]
    assert {one.time_ms for one in told} == {NOW_MS // 2}
    seen = [Since(Watermark("log", counts), 0) for counts in ({0: 7, 1: 1}, {0: 8}, {0: 8, 1: 1})]
    assert [losses.concern(one) for one in seen] == [True, True, False]


async def test_a_log_that_began_anew_has_lost_nothing() -> None:
    """Or whatever is built from it would never be fresh."""
    losses, _ = await losses_of(read({0: 3}), read({0: 5}, lost=1), read({0: 1}, log="another"))
    assert not losses.concern(Since(Watermark("another", {0: 1}), 0))


async def test_nothing_lost_is_nothing_told() -> None:
    """A reading that just goes on."""
    losses, told = await losses_of(read({0: 1}), read({0: 2}))
    assert (told, losses.concern(since(0))) == ([], False)


async def test_what_is_counted_is_known_from_after_what_was_lost(shard: Callable[..., Shard]) -> None:
    """Not where it had been heard before it went."""

    class Listener:
        """Hears."""

        name = "listener"

        def hear(self, heard: Heard) -> None:
            """Of it."""

        def forget(self, user_id: str) -> None:
            """Nothing."""

    log = FollowedLog()
    log.received_ms = round(event.data_until_s * 1000)  # type: ignore[attr-defined]
    up = shard(log)
    up.upkeep.statistics._listeners = (Listener(),)
    async with up.up():
        await up.hold(*up.partitions)
        await up.hears(click(USER, unlike(up, USER)[0]))
        statistics = up.upkeep.statistics
        await turns(lambda: statistics.known_from_ms is not None)
        known = statistics.known_from_ms or 0
        up.upkeep._lost(Loss(Position(log.name, 0, 1), known + 5))
        assert statistics.known_from_ms == known
        up.upkeep._lost(Loss(Position(log.name, 0, 2), known + 5))
        assert statistics.known_from_ms == known + 5


async def test_the_earliest_that_a_loss_can_have_come_counts() -> None:
    """By what was recorded after it; that it is missed again later says nothing new."""
    gone = read({0: 5})._replace(removed=4)
    losses, told = await losses_of(gone)
    assert told == [Loss(Position("log", 0, 4), NOW_MS // 2)]
    losses._keep(Loss(Position("log", 0, 4), NOW_MS))
    seen = [Since(None, until_ms) for until_ms in (NOW_MS // 2 - 1, NOW_MS // 2)]
    assert [losses.concern(one) for one in seen] == [True, False]
