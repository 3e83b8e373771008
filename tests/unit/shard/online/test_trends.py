"""What surges is listed within seconds, of everybody and of a segment; what one user does over and over is not."""

from __future__ import annotations

import asyncio
import itertools
import random
from dataclasses import replace

import pytest
from followed_log import FollowedLog

from shard.online import trends
from shard.online.statistics import Heard, Statistics
from shard.online.trends import Trendspotting
from trunkshow.online.follower import Follower
from trunkshow.online.forgotten import Forgotten
from trunkshow.online.positions import Position
from trunkshow.online.trends import EVERYBODY, LISTED_MAX, NO_TRENDS, Latest, Listed, Trends, TrendWindow, chosen
from trunkshow.stream.trend import RULES, TrendingRules
from trunkshow.v1 import events_pb2

BEGAN_S = 1_700_000_000 // 86_400 * 86_400.0
DAY_S = 86_400.0
AT = Position("log", 0, 1)


def heard(user: str, item: str, at_s: float, kind: int = events_pb2.INTERACTION_CLICK) -> Heard:
    """An event."""
    event = events_pb2.Event(user_id=user, item_id=item, interaction=kind)
    return Heard(event, AT, round(at_s * 1000), round(at_s * 1000))


class Shop:
    """Forty items, each clicked twice an hour; users whose name begins with a letter are of that segment."""

    def __init__(self, rules: TrendingRules = RULES) -> None:
        self.now_s = BEGAN_S
        self.draw = random.Random(0)
        self.users = 0
        self.spotting = Trendspotting(
            lambda user: user[0] if user[0].isalpha() else "", None, rules, wall=lambda: self.now_s
        )

    def clicks(self, item: str, user: str = "") -> None:
        """Somebody clicks on an item; a new user each time, but for those who are named."""
        self.users += 1
        self.spotting.hear(heard(user or f"{self.users}", item, self.now_s))

    def passes(self, hours: float, surging: str = "", segment: str = "", times: int = 15) -> None:
        """Time does, with what usually happens, and so many times as much of one item."""
        until = self.now_s + hours * 3600
        while self.now_s < until:
            self.now_s += 60
            for item in range(40):
                if self.draw.random() < 2 / 60:
                    self.clicks(f"i{item}", f"{segment}{self.users + 1}" if segment and item % 2 else "")
            for _ in range(times):
                if surging and self.draw.random() < 2 / 60:
                    self.clicks(surging, f"{segment}{self.users + 1}")

    async def lists(self) -> Trends:
        """What trends now."""
        await self.spotting.renew(1, is_caught_up=True)
        return self.spotting.now


async def test_an_item_that_surges_is_listed_with_how_much() -> None:
    """At least so many times as much as was expected; nothing else is."""
    shop = Shop()
    shop.passes(48)
    assert (await shop.lists()).lists == {}
    shop.passes(1, surging="i7")
    found = await shop.lists()
    assert [one.item_id for one in found.of(EVERYBODY)] == ["i7"]
    assert 2 <= found.of(EVERYBODY)[0].surge <= 16
    assert (found.known_from_ms, found.known_to_ms) == (1, round(shop.now_s * 1000))


async def test_what_surges_in_a_segment_is_listed_there() -> None:
    """By the segment's name."""
    shop = Shop()
    shop.passes(48, segment="g")
    shop.passes(1, surging="i7", segment="g")
    assert [one.item_id for one in (await shop.lists()).of("g")] == ["i7"]


async def test_what_one_user_does_over_and_over_does_not_trend() -> None:
    """Nor what is merely shown, nor what has no item."""
    shop = Shop()
    shop.passes(48)
    for _ in range(200):
        shop.clicks("i7", "same")
        shop.spotting.hear(heard("same", "", shop.now_s))
        shop.spotting.hear(heard(f"{shop.draw.random()}", "i8", shop.now_s, events_pb2.INTERACTION_IMPRESSION))
    assert (await shop.lists()).lists == {}


def test_who_did_what_is_kept_for_a_while_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are."""
    monkeypatch.setattr(trends, "ONCE_MAX", 10)
    shop = Shop()
    for number in range(100):
        shop.clicks(f"i{number}")
    assert sum(map(len, shop.spotting._once)) <= 20
    shop.now_s += 2 * trends.ONCE_WITHIN_S
    shop.clicks("i1")
    shop.now_s += 2 * trends.ONCE_WITHIN_S
    shop.clicks("i1")
    assert sum(map(len, shop.spotting._once)) == 2


async def test_lists_are_renewed_every_second_once_the_past_was_heard() -> None:
    """A list that cannot be made leaves the one before."""

    class Heardsome:
        known_from_ms: int | None = None

    shop, statistics, slept = Shop(), Heardsome(), list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            assert shop.spotting.now is NO_TRENDS
            statistics.known_from_ms = 5
        if len(slept) == 6:
            shop.now_s = float("nan")
        if len(slept) == 9:
            raise asyncio.CancelledError

    shop.spotting._sleep = sleep
    with pytest.raises(asyncio.CancelledError):
        await shop.spotting.run(statistics, lambda: True)  # type: ignore[arg-type]
    assert (shop.spotting.now.known_from_ms, shop.spotting.now.known_to_ms) == (5, round(BEGAN_S * 1000))
    assert {seconds for seconds in slept if seconds} == {trends.RENEWED_EVERY_S}


async def test_a_list_is_as_new_as_the_log_was_heard() -> None:
    """A shard that is behind says until when it knows."""
    shop = Shop()
    await shop.spotting.renew(1, is_caught_up=True)
    shop.now_s += 100
    await shop.spotting.renew(1, is_caught_up=False)
    assert shop.spotting.now.known_to_ms == round(BEGAN_S * 1000)


def test_trends_survive_the_way_to_the_router() -> None:
    """With everything that stands in them."""
    listed = tuple(Listed(f"i{number}", 4.0, 8.0, 1.5) for number in range(LISTED_MAX))
    window = TrendWindow(600.0, (4.0,), (8.0,), (float("inf"),), {events_pb2.INTERACTION_CLICK: (9.5,)})
    sent = Trends(1, 2, {EVERYBODY: listed, "g": listed[:1]}, {"g": (window, window)})
    assert Trends.from_message(sent.to_message()) == sent
    assert Trends.from_message(sent.to_message(windows=False)) == replace(sent, windows={})


async def test_what_was_done_with_an_item_is_told_by_window_and_interaction() -> None:
    """Each event counts one, decayed, whatever it is worth; by the window with the largest surge the item is listed."""
    shop = Shop()
    shop.passes(48)
    for number in range(40):
        shop.clicks("i7")
        shop.spotting.hear(heard(f"b{number}", "i7", shop.now_s, events_pb2.INTERACTION_ORDER))
    found = await shop.lists()
    short, long = found.windows[EVERYBODY]
    (listed,) = found.of(EVERYBODY)
    assert (short.half_life_s, long.half_life_s) == RULES.half_lives_s
    for window in (short, long):
        assert window.counts.keys() == {events_pb2.INTERACTION_CLICK, events_pb2.INTERACTION_ORDER}
        assert window.counts[events_pb2.INTERACTION_ORDER] == (pytest.approx(40),)
        assert 40 <= window.counts[events_pb2.INTERACTION_CLICK][0] < 45
    best = max(short, long, key=lambda one: one.surges)
    assert listed == Listed("i7", best.surges[0], best.observed[0], best.expected[0])
    shop.now_s += 600
    later = (await shop.lists()).windows[EVERYBODY]
    assert [one.counts[events_pb2.INTERACTION_ORDER][0] for one in later] == pytest.approx([20, 40 * 0.5 ** (1 / 3)])


def test_routers_use_what_is_new_of_who_knows_most() -> None:
    """And keep to it, though others' lists are a moment newer."""
    young, old, behind = Trends(500, 100_005), Trends(5, 100_000), Trends(1, 50_000)
    assert chosen([NO_TRENDS, young, old, behind]) is old
    assert chosen([NO_TRENDS]) is chosen([]) is Latest().now is NO_TRENDS


async def test_a_shard_that_starts_knows_what_trends_from_the_logs_past() -> None:
    """More than a day of it: there is nothing to wait for, and it finds what it found before."""
    log, draw, found = FollowedLog(), random.Random(1), []
    ids = itertools.count()
    for minute in range(30 * 60):
        log.received_ms = round((BEGAN_S + minute * 60) * 1000)
        surging = minute >= 30 * 60 - 40
        items = [item for item in range(40) for _ in range(16 if surging and item == 7 else 1)]
        clicked = [item for item in items if draw.random() < 2 / 60]
        events = [heard(f"{next(ids)}", f"i{item}", log.received_ms / 1000).event for item in clicked]
        for event in events:
            event.event_id = event.user_id
            event.timestamp.FromMilliseconds(log.received_ms)
        if events:
            await log.append(events, 1)
    for _ in range(2):
        spotting = Trendspotting(lambda user: "", wall=lambda: BEGAN_S + 30 * 3600)
        follower = Follower(log, lambda event, at: None)
        follower.progress.began(await log.end(1))
        statistics = Statistics([spotting], Forgotten(), wall=lambda: BEGAN_S + 30 * 3600)
        await statistics.learn(follower)
        await spotting.renew(statistics.known_from_ms or 0, is_caught_up=True)
        found.append(spotting.now)
    assert [one.item_id for one in found[0].of(EVERYBODY)] == ["i7"]
    assert found[0] == found[1]
    assert found[0].known_from_ms == round(BEGAN_S * 1000)


async def test_a_surge_of_the_first_hour_is_found_by_what_was_usual() -> None:
    """Where nobody knows what was, nothing is said in the first day."""
    for known in (True, False):
        shop = Shop()
        usual = (lambda item: 1 / 40) if known else (lambda item: None)
        shop.spotting = Trendspotting(lambda user: "", usual, wall=lambda shop=shop: shop.now_s)  # type: ignore[misc]
        shop.passes(0.75)
        assert (await shop.lists()).lists == {}
        shop.passes(0.75, surging="i7", times=90)
        assert [one.item_id for one in (await shop.lists()).of(EVERYBODY)] == ["i7"] * known
