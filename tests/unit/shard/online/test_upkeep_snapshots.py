"""What upkeep needs a snapshot for: categories of items, new ones among them, and where newcomers settle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest
from followed_log import FollowedLog
from online_shard import NEW, USER, Shard, click, event, turns, unlike

from shard.online.opened import Opened
from shard.online.statistics import Heard
from shard.online.upkeep import Upkeep
from trunkshow.online.newcomers import home_of
from trunkshow.snapshot.additions import Addition, Additions
from trunkshow.snapshot.likeness import Description
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import events_pb2

pytestmark = pytest.mark.usefixtures("partitions")  # from them it is known where the data of the snapshot ends


class Listening:
    """Hears of categories, as the snapshot has them that is open then."""

    name = "listening"

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.opened: Opened | None = None

    def hear(self, heard: Heard) -> None:
        """The category of its item."""
        assert self.opened is not None
        self.heard.append(self.opened.category_of(heard.event.item_id))

    def forget(self, user_id: str) -> None:
        """Nothing is kept of anybody."""


async def test_what_is_counted_over_everybody_waits_for_a_snapshot_however_late_it_comes(snapshot: Snapshot) -> None:
    """Without one no category is known, nor a segment, and the past is heard once."""
    log, listening = FollowedLog(), Listening()
    mark = await log.append([click(USER, snapshot.catalogue.id(1))], 1)
    upkeep = Upkeep(log, None, (listening,), events_max=10, impressions_max=10, within_s=0.0)
    listening.opened = upkeep.opened
    upkeep.prepare(snapshot)
    running = asyncio.create_task(upkeep.run())
    await turns(lambda: upkeep.follower.progress.covers(mark))
    for _ in range(50):
        await asyncio.sleep(0)
    assert (listening.heard, upkeep.statistics.known_from_ms) == ([], None)
    upkeep.admit(snapshot)
    await turns(lambda: upkeep.statistics.known_from_ms is not None)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert listening.heard == [snapshot.catalogue.category(1)]
    assert listening.heard[0]


def test_an_item_that_comes_since_has_its_category_although_it_was_asked_for_before(
    shard: Callable[..., Shard], snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept of categories is of items that were built, which never change."""
    monkeypatch.setattr(snapshot.catalogue, "additions", Additions(len(snapshot.catalogue)))
    residents, built = shard().residents, snapshot.catalogue.id(1)
    assert [residents.category_of(item) for item in ("brand-new", built) * 2] == [
        "",
        snapshot.catalogue.category(1),
    ] * 2
    snapshot.add([Addition("brand-new", Description("Oat milk", "taste 1"))])
    assert residents.category_of("brand-new") == "taste 1"


async def test_who_is_unsettled_is_kept_by_every_shard_until_they_settle(
    shard: Callable[..., Shard], snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever their first event with an item that was built leads: all that they did before is there."""
    log, others = FollowedLog(), FollowedLog()
    monkeypatch.setattr(snapshot.catalogue, "additions", Additions(len(snapshot.catalogue)))
    snapshot.add([Addition("brand-new", Description("Oat milk", "taste 1"))])
    async with shard(log).up() as here, shard(others).up() as there:
        liked = unlike(here, USER)[0]
        row = snapshot.catalogue.built_row(liked)
        assert row is not None
        home = home_of(snapshot.ials.equations, snapshot.codebook, row)
        await here.hold(home)
        await there.hold(*(number for number in there.partitions if number != home))
        first, hidden = click(NEW, "brand-new"), event(NEW, "item-0003", events_pb2.INTERACTION_HIDE)
        for one in (here, there):
            await one.hears(first, hidden)
            assert len(one.upkeep.hearing.users.of(NEW)) == 2
            one.upkeep._replaying.tidy_up()
            await turns(lambda one=one: not one.upkeep._replaying._untidy)  # type: ignore[misc]
            assert len(one.upkeep.hearing.users.of(NEW)) == 2
        settles = click(NEW, liked)
        await here.hears(settles)
        await there.hears(settles)
        assert (await here.slate(NEW)).receipt.events_folded == 3
        there.upkeep._replaying.tidy_up()
        await turns(lambda: not list(there.upkeep.hearing.users))
        assert len(here.upkeep.hearing.users.of(NEW)) == 3
