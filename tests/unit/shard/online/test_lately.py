"""What a user is doing right now is in the response and in the order; what was shown in vain sinks, and comes back."""

from __future__ import annotations

from collections.abc import Callable

import datasets
import pytest
from followed_log import FollowedLog
from online_shard import NEW, USER, Shard, click, event, items, turns

from trunkshow import carousels
from trunkshow.v1 import events_pb2
from trunkshow.v1 import recommendation_pb2 as pb

HOUR_S = 3600.0
OWN = datasets.taste_of_user(USER)
OTHER = (OWN + 1) % datasets.TASTES
PERSONAL = (carousels.FOR_YOU, carousels.BECAUSE_YOU_LIKED, carousels.PEOPLE_LIKE_YOU)


def of_taste(taste: int, *numbers: int) -> list[str]:
    """Items of one category."""
    return [datasets.item_id(datasets.TASTES * number + taste) for number in numbers]


def shown(user: str, item: str, hours_ago: float) -> events_pb2.Event:
    """An item was shown."""
    return event(user, item, events_pb2.INTERACTION_IMPRESSION, after_s=-hours_ago * HOUR_S)


async def shows(up: Shard, user: str, item: str, times: int = 18) -> None:
    """An item is shown again and again, an hour apart."""
    await up.hears(*(shown(user, item, hours) for hours in range(times)))


def without(up: Shard) -> None:
    """From now on nothing that was done or shown lately changes the order."""
    up.residents.lately = lambda *_: None  # type: ignore[method-assign]


def share(slate: pb.RecommendResponse, taste: int) -> float:
    """Of the items shown."""
    return sum(datasets.taste_of_item(item) == taste for item in items(slate)) / len(items(slate))


def name(taste: int) -> str:
    """Of the category."""
    return f"taste {taste}"


async def test_the_response_says_what_the_user_is_doing(shard: Callable[..., Shard]) -> None:
    """Which categories, by how much more than usually, since when, and how surely; but only after an event."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        assert not (await up.slate(USER)).HasField("intent")
        await up.hears(*(click(USER, item) for item in of_taste(OTHER, 40, 41, 42)))
        intent = (await up.slate(USER)).intent
        first = intent.interests[0]
        assert (first.category, first.share_5m, first.share_1d) == (name(OTHER), 1, 1)
        assert first.lift > 2
        assert 0.5 < first.share < 1
        assert (intent.window, intent.changed) == ("5m", False)
        assert intent.newest_event == click(USER, "any").timestamp
        assert 0.9 < intent.strength < 1


async def test_a_turn_is_told_with_its_time(shard: Callable[..., Shard]) -> None:
    """What came before it counts less."""
    third = (OWN + 2) % datasets.TASTES
    async with shard().up() as up:
        await up.hold(*up.partitions)
        kind, turned_s = events_pb2.INTERACTION_CLICK, 50.0
        before = [event(USER, item, kind, after_s=10.0) for item in of_taste(third, *range(20, 26))]
        after = [event(USER, item, kind, after_s=turned_s) for item in of_taste(OTHER, *range(20, 25))]
        await up.hears(*before, *after)
        intent = (await up.slate(USER)).intent
        assert intent.changed
        assert intent.changed_at == after[0].timestamp
        assert intent.interests[0].category == name(OTHER)


async def test_candidates_of_the_intent_come_first_and_fade(shard: Callable[..., Shard]) -> None:
    """More of them are in the slate than by the vector alone; after half a day it is as if there were none."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        await up.hears(*(click(USER, item) for item in of_taste(OTHER, 60, 61, 62)))
        now = await up.slate(USER)
        up.since_data_s += 12 * HOUR_S
        later = await up.slate(USER)
        without(up)
        plain = await up.slate(USER)
        assert share(now, OTHER) > share(plain, OTHER)
        assert items(later) == items(plain)
        assert later.intent.strength < 0.01


async def test_scores_still_order_the_items(shard: Callable[..., Shard]) -> None:
    """In every carousel, with an intent and with what was shown in vain."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        await shows(up, USER, items(await up.slate(USER))[0])
        await up.hears(*(click(USER, item) for item in of_taste(OTHER, 60, 61, 62)))
        for carousel in (await up.slate(USER, wanted=PERSONAL)).carousels:
            scores = [item.score for item in carousel.items]
            assert scores == sorted(scores, reverse=True)


async def test_what_is_shown_to_everybody_keeps_its_order(shard: Callable[..., Shard]) -> None:
    """The popular list is the shop's."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        before = await up.slate(USER, wanted=("popular",))
        await shows(up, USER, items(before)[0])
        await up.hears(*(click(USER, item) for item in of_taste(OTHER, 60, 61, 62)))
        assert items(await up.slate(USER, wanted=("popular",))) == items(before)


@pytest.mark.parametrize("carousel", PERSONAL)
async def test_what_was_shown_in_vain_sinks_and_comes_back(shard: Callable[..., Shard], carousel: str) -> None:
    """In each personal carousel, by the rule; in a month, as if nothing had been."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        before = items(await up.slate(USER, wanted=(carousel,)))
        tired = before[0]
        await shows(up, USER, tired)
        after = items(await up.slate(USER, wanted=(carousel,)))
        assert after[:7] == [*before[1:7], tired]
        up.since_data_s += 30 * 24 * HOUR_S
        assert items(await up.slate(USER, wanted=(carousel,))) == before


async def test_an_action_brings_it_back(shard: Callable[..., Shard]) -> None:
    """It stands where it would stand had it never been shown; what was ordered before counts as acted on, too."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        tired = items(await up.slate(USER))[0]
        await shows(up, USER, tired)
        assert items(await up.slate(USER))[0] != tired
        await up.hears(click(USER, tired))
        after = await up.slate(USER)
        up.upkeep.hearing.shown.drop(USER)
        assert items(after) == items(await up.slate(USER))


async def test_a_shard_that_starts_again_knows_what_was_shown(shard: Callable[..., Shard]) -> None:
    """From the log; however often it is read, each impression counts once."""
    log = FollowedLog()
    async with shard(log).up() as first:
        await first.hold(*first.partitions)
        await shows(first, USER, items(await first.slate(USER))[0], times=5)
        known = items(await first.slate(USER))
    log.twice = True
    async with shard(log).up() as second:
        await second.hold(*second.partitions)
        assert items(await second.slate(USER)) == known
        assert second.upkeep.hearing.shown.impressions == 5


async def test_who_is_forgotten_was_shown_nothing(shard: Callable[..., Shard]) -> None:
    """At once, and where the log tells of it again."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        await shows(up, USER, "item-0001")
        await up.forgets(USER, after_s=100)
        assert (len(up.upkeep.hearing.shown), up.upkeep.hearing.shown.impressions) == (0, 0)
        await shows(up, USER, "item-0001")
        assert USER not in up.upkeep.hearing.shown


async def test_what_others_users_were_shown_is_not_kept(shard: Callable[..., Shard]) -> None:
    """Nobody moves in by being shown something; who moves out takes it along."""
    async with shard().up() as up:
        home = up.home(USER)
        stranger = next(user for user in map(datasets.user_id, range(400)) if up.home(user) != home)
        await up.hold(home)
        for user in (USER, stranger, NEW):
            await shows(up, user, "item-0001", times=2)
        assert list(up.upkeep.hearing.shown) == [USER]
        await up.hold(up.home(stranger))
        await turns(lambda: list(up.upkeep.hearing.shown) == [stranger])
