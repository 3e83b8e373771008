"""What a shard keeps of users is bounded, and so is what one bad event costs: FRESH is who has all of theirs in it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import datasets
import pytest
from followed_log import FollowedLog
from online_shard import USER, Shard, click, event, turns, unlike

from shard.online.state import EVENTS_MAX, Event
from shard.online.users import Users
from trunkshow.online.newcomers import Newcomers
from trunkshow.v1 import events_pb2
from trunkshow.v1 import recommendation_pb2 as pb


async def test_there_is_a_limit_to_what_is_kept(shard: Callable[..., Shard]) -> None:
    """Whose events had to go is served from the snapshot, and it says so."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        up.upkeep.hearing.users._events_max = 2
        others = [datasets.user_id(number) for number in (3, 4)]
        await up.hears(*(click(user, "item-0001") for user in (USER, *others)))
        receipt = (await up.slate(USER)).receipt
        assert (receipt.rung, receipt.watermark, up.upkeep.hearing.users.events) == (pb.RUNG_SNAPSHOT, "", 2)
        assert (await up.slate(others[0])).receipt.rung == pb.RUNG_FRESH


async def test_who_did_more_than_is_kept_of_one_user_is_served_by_what_is_left_and_it_says_so(
    shard: Callable[..., Shard],
) -> None:
    """Not FRESH, and not as fresh as it was asked to be; others are."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        seen = unlike(up, USER)
        await up.hears(*(click(USER, seen[number % len(seen)]) for number in range(EVENTS_MAX)))
        assert (await up.slate(USER)).receipt.rung == pb.RUNG_FRESH
        mark = await up.hears(click(USER, seen[0]))
        receipt = (await up.slate(USER, at_least_as_fresh=str(mark))).receipt
        assert (receipt.rung, receipt.watermark, receipt.events_folded) == (pb.RUNG_SNAPSHOT, "", EVENTS_MAX)
        assert list(receipt.reasons) == [pb.REASON_NOT_AS_FRESH]
        assert (await up.slate(datasets.user_id(3))).receipt.rung == pb.RUNG_FRESH


async def test_what_was_merely_shown_takes_no_room(shard: Callable[..., Shard]) -> None:
    """It is most of what is recorded."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        await up.hears(event(USER, "item-0001", events_pb2.INTERACTION_IMPRESSION))
        assert up.upkeep.hearing.users.events == 0


async def test_whom_there_is_no_room_for_is_not_said_to_be_known_and_the_others_stay_where_they_live(
    shard: Callable[..., Shard], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much comes, and on a shard that starts afterwards, too: FRESH is who has all of their events in it."""
    monkeypatch.setattr("shard.online.homes.Newcomers", partial(Newcomers, most=2))
    log, users = FollowedLog(), ("new-0", "new-1", "new-2")
    async with shard(log).up() as up:
        await up.hold(*up.partitions)
        liked = unlike(up, USER)
        await up.hears(*(click(user, liked[number]) for number, user in enumerate(users)))
        mark = await up.hears(*(click(user, liked[3]) for user in reversed(users)))
        await turns(up.residents.is_fresh)
        homes = [up.residents.homes.partition_of(user) for user in users]
        assert (homes[0] is None, homes[1] is None, homes[2]) == (False, False, None)
        live = [(await up.slate(user)).receipt for user in users[:2]]
    async with shard(log).up() as late:
        await late.hold(*late.partitions)
        await turns(late.residents.is_fresh)
        assert [late.residents.homes.partition_of(user) for user in users] == homes
        told = [(await late.slate(user)).receipt for user in users[:2]]
        for receipt in (*live, *told):
            assert (receipt.rung, receipt.events_folded) == (pb.RUNG_FRESH, 2)
        assert not late.upkeep.hearing.users.of("new-2")
        assert await late.residents.reached(mark, 1)
        assert not any(late.residents.is_whole("new-2", number) for number in late.partitions)
        assert late.residents.is_whole("new-0", homes[0] or 0)
        assert not late.residents.is_whole("new-0", int(homes[0] == 0))


async def test_events_that_are_no_good_cost_their_own_user_alone(
    shard: Callable[..., Shard], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others' events of the same record are in their slates; whoever lacks one has no slate that says FRESH."""
    other, add = datasets.user_id(3), Users.add

    def broken(users: Users, user_id: str, kept: Event) -> None:
        if user_id == other:
            raise ZeroDivisionError
        add(users, user_id, kept)

    monkeypatch.setattr(Users, "add", broken)
    log = FollowedLog()
    async with shard(log).up() as up:
        liked = unlike(up, USER)
        far, shown = click(USER, liked[2]), event(USER, liked[3], events_pb2.INTERACTION_IMPRESSION)
        far.timestamp.seconds, shown.timestamp.seconds = 10**12, -10_000_000
        await up.hold(*up.partitions)
        await up.hears(click(other, liked[0]), far, shown, click(USER, liked[1]))
        await turns(up.residents.is_fresh)
        live = [(await up.slate(user)).receipt for user in (USER, other)]
    async with shard(log).up() as late:
        await late.hold(*late.partitions)
        await turns(late.residents.is_fresh)
        for receipts in (live, [(await late.slate(user)).receipt for user in (USER, other)]):
            told = [(receipt.rung, receipt.events_folded) for receipt in receipts]
            assert told == [(pb.RUNG_FRESH, 1), (pb.RUNG_SNAPSHOT, 0)]
        assert len(late.upkeep.hearing.shown.to(USER) or ()) == 1
