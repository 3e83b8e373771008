"""What users do is in their next slate, whatever happens to the shard, to what it holds and to the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import datasets
import pytest
from followed_log import FollowedLog
from online_shard import NEW, USER, Shard, click, event, items, nearness, turns, unlike

from shard.predict import Predictor
from trunkshow.online.progress import FRESH_WITHIN_S
from trunkshow.v1 import events_pb2, shard_pb2
from trunkshow.v1 import recommendation_pb2 as pb


async def test_what_was_liked_is_in_the_next_slate(shard: Callable[..., Shard]) -> None:
    """It moves towards that, at the rung FRESH, and its receipt says how much it knows."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        before = await up.slate(USER)
        liked = unlike(up, USER)
        mark = await up.hears(*(event(USER, item, events_pb2.INTERACTION_LIKE) for item in liked))
        after = await up.slate(USER)
        assert nearness(up, after, liked) > nearness(up, before, liked)
        assert {one.rung for one in after.carousels} == {pb.RUNG_FRESH}
        receipt = after.receipt
        assert (receipt.rung, receipt.watermark, receipt.events_folded) == (pb.RUNG_FRESH, str(mark), len(liked))


async def test_a_receipt_says_how_old_its_knowledge_is_at_most(shard: Callable[..., Shard]) -> None:
    """So long ago the log was asked for its end, all of which was read; where it never said one, nothing is claimed."""
    log = FollowedLog()
    async with shard(log).up() as up:
        await up.hold(*up.partitions)
        await up.hears(click(USER, unlike(up, USER)[0]))
        await turns(up.residents.is_fresh)
        log.gone = True
        asked_s = up.now
        up.now += 1.5
        assert (await up.slate(USER)).receipt.watermark_age_ms == pytest.approx((up.now - asked_s) * 1000)
    log.held = True
    async with shard(log).up() as late:
        late.residents.homes.hold(frozenset(late.partitions))
        late.residents.homes.replayed(frozenset(late.partitions))
        assert not (await late.slate(USER)).receipt.HasField("watermark_age_ms")


async def test_one_click_is_enough_for_a_carousel_about_it(shard: Callable[..., Shard]) -> None:
    """The history has it first."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        liked = unlike(up, USER)[0]
        await up.hears(click(USER, liked))
        slate = await up.slate(USER, wanted=("because-you-liked",))
        assert up.snapshot.catalogue.title(up.snapshot.catalogue.row(liked)) in slate.carousels[0].title


async def test_who_did_nothing_is_served_as_before(shard: Callable[..., Shard]) -> None:
    """Fresh, since that is known."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        slate = await up.slate(USER)
        plain = Predictor(up.snapshot, up.partitions, clock=lambda: up.now)
        up.predictor = plain
        assert items(slate) == items(await up.slate(USER))
        assert (slate.receipt.rung, slate.receipt.events_folded) == (pb.RUNG_FRESH, 0)
        assert (await up.slate(USER)).receipt.rung == pb.RUNG_SNAPSHOT


async def test_a_shard_that_starts_again_knows_what_the_one_before_knew(shard: Callable[..., Shard]) -> None:
    """Before it says that it is warm; nothing is lost, and nothing counts twice."""
    log, users = FollowedLog(), [datasets.user_id(number) for number in range(20)]
    async with shard(log).up() as first:
        await first.hold(*first.partitions)
        for user in users:
            await first.hears(click(user, unlike(first, user)[0]), click(user, unlike(first, user)[1]))
        known = {user: items(await first.slate(user)) for user in users}
    log.twice = True
    async with shard(log).up() as second:
        await second.hold(*second.partitions)
        assert {user: items(await second.slate(user)) for user in users} == known
        assert {(await second.slate(user)).receipt.events_folded for user in users} == {2}


async def test_a_partition_that_is_taken_over_is_whole_before_it_is_warm(shard: Callable[..., Shard]) -> None:
    """What its users did while it was elsewhere is replayed, of nobody else."""
    async with shard().up() as up:
        home = up.home(USER)
        stranger = next(user for user in map(datasets.user_id, range(400)) if up.home(user) != home)
        await up.hold(up.home(stranger))
        await up.hears(click(USER, unlike(up, USER)[0]), click(stranger, unlike(up, stranger)[0]))
        assert list(up.upkeep.hearing.users) == [stranger]
        await up.hold(up.home(stranger), home)
        receipt = (await up.slate(USER)).receipt
        assert (receipt.rung, receipt.events_folded) == (pb.RUNG_FRESH, 1)
        await up.hold(home)
        await turns(lambda: list(up.upkeep.hearing.users) == [USER])


async def test_a_log_that_is_gone_keeps_nothing_from_being_served(shard: Callable[..., Shard]) -> None:
    """From the snapshot, until it is back."""
    log = FollowedLog()
    await log.append([click(USER, "item-0001")], 1)
    log.gone = True
    async with shard(log).up() as up:
        await up.hold(*up.partitions)
        receipt = (await up.slate(USER)).receipt
        assert (receipt.rung, receipt.watermark, receipt.events_folded) == (pb.RUNG_SNAPSHOT, "", 0)
        log.gone = False
        await turns(lambda: not up.residents.homes.lacking)
        await turns(lambda: up.residents.is_fresh())
        assert (await up.slate(USER)).receipt.rung == pb.RUNG_FRESH


async def test_what_was_folded_in_stays_when_the_log_goes(shard: Callable[..., Shard]) -> None:
    """But nobody can say any more that it is fresh."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        mark = await up.hears(click(USER, unlike(up, USER)[0]))
        fresh = await up.slate(USER)
        up.log.gone = True
        up.now += FRESH_WITHIN_S + 2
        slate = await up.slate(USER)
        receipt = slate.receipt
        assert items(slate) == items(fresh)
        assert (receipt.rung, receipt.watermark, receipt.events_folded) == (pb.RUNG_SNAPSHOT, str(mark), 1)


async def test_a_router_is_told_what_must_not_stand_in_for_an_empty_carousel(shard: Callable[..., Shard]) -> None:
    """A newcomer who did nothing but to hide items has no taste: the router's list would begin with what they hid."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        await up.hears(*(event(NEW, f"item-000{number}", events_pb2.INTERACTION_HIDE) for number in (3, 5)))
        request = pb.RecommendRequest(user_id=NEW).SerializeToString()
        asked = {"snapshot_version": up.snapshot.version, "partitions": [0], "request": request}
        empty = await up.predictor.predict(shard_pb2.PredictRequest(**asked, carousels=["for-you"]))
        assert [one.reason for one in empty.missing] == [pb.REASON_CAROUSEL_EMPTY]
        assert (sorted(empty.hidden), list(empty.had)) == (["item-0003", "item-0005"], [])
        whole = await up.predictor.predict(shard_pb2.PredictRequest(**asked, carousels=["popular"]))
        assert not (whole.missing or whole.hidden)


async def test_what_is_hidden_is_not_shown_again(shard: Callable[..., Shard]) -> None:
    """Nor what was ordered, where an item does not come back; though a click alone hides nothing."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        first, second, third, *_ = items(await up.slate(USER))
        hidden, ordered = events_pb2.INTERACTION_HIDE, events_pb2.INTERACTION_ORDER
        await up.hears(event(USER, first, hidden), event(USER, second, ordered))
        assert first not in items(await up.slate(USER))
        assert (second in items(await up.slate(USER))) == up.snapshot.repeat
        await up.hears(click(USER, third))
        assert third in items(await up.slate(USER))


async def test_what_is_to_be_in_the_slate_is_waited_for(shard: Callable[..., Shard]) -> None:
    """And where it does not come in time, the receipt says so."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        up.log.held = True
        mark = str(await up.log.append([click(USER, unlike(up, USER)[0])], 1))
        late = (await up.slate(USER, at_least_as_fresh=mark)).receipt
        waiting = asyncio.create_task(up.slate(USER, at_least_as_fresh=mark))
        await asyncio.sleep(0)
        up.log.held = False
        up.log.turn()
        there = (await waiting).receipt
        assert (list(late.reasons), late.events_folded) == ([pb.REASON_NOT_AS_FRESH], 0)
        assert (list(there.reasons), there.events_folded, there.watermark) == ([], 1, mark)
        another = (await up.slate(USER, at_least_as_fresh="another/0:1")).receipt
        assert list(another.reasons) == [pb.REASON_NOT_AS_FRESH]


async def test_a_stranger_is_served_where_their_first_click_leads(shard: Callable[..., Shard]) -> None:
    """After two clicks, as anybody who lives there; and after a restart too."""
    log = FollowedLog()
    async with shard(log).up() as up:
        await up.hold(*up.partitions)
        liked, *more = unlike(up, USER)
        await up.hears(click(NEW, "of-nobody"), event(NEW, more[2], events_pb2.INTERACTION_HIDE))
        assert up.residents.homes.partition_of(NEW) is None
        await up.hears(click(NEW, liked), click(NEW, more[0]))
        slate = await up.slate(NEW)
        assert (slate.receipt.rung, slate.receipt.events_folded) == (pb.RUNG_FRESH, 3)
        assert set(more[1:]) & set(items(slate)) - {more[2]}
        assert more[2] not in items(slate)
        home = up.home(NEW)
    async with shard(log).up() as elsewhere:
        await elsewhere.hold(*(number for number in elsewhere.partitions if number != home))
        await turns(lambda: not list(elsewhere.upkeep.hearing.users))
        await elsewhere.hold(*elsewhere.partitions)
        assert items(await elsewhere.slate(NEW)) == items(slate)
