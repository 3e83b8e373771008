"""Between what is replayed and what is followed nothing is left out, whoever begins first and whatever is let go."""

from __future__ import annotations

import asyncio
import copy
import gc
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import datasets
import pytest
from online_shard import NEW, USER, Shard, click, event, turns, unlike

from shard.online.patience import MISSING_S
from shard.online.residents import Residents
from shard.scene import Kind, Piece
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.positions import Position
from trunkshow.snapshot.additions import Additions
from trunkshow.v1 import events_pb2 as pb


def homes(shard: Shard, *numbers: int) -> list[Piece]:
    """These partitions."""
    return [Piece(shard.snapshot.version, Kind.HOME, number) for number in numbers]


async def some_turns() -> None:
    """Whatever can go on without waiting for anything does."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_what_comes_before_following_begins_is_replayed(shard: Callable[..., Shard]) -> None:
    """A replay that could begin first waits: an event in between would be in nobody's slates, which say FRESH."""
    up = shard()
    up.upkeep.want(homes(up, *up.partitions))
    replay = asyncio.create_task(up.upkeep._replaying.replay(up.residents))
    await some_turns()
    assert not up.residents.homes.whole
    await up.log.append([click(USER, unlike(up, USER)[0])], 1)
    following = asyncio.create_task(up.upkeep.follower.run(from_end=True))
    assert await asyncio.wait_for(replay, 60)
    assert up.residents.homes.whole
    assert len(up.upkeep.hearing.users.of(USER)) == 1
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following


def test_a_replay_is_urgent_where_nobody_else_serves_and_nothing_is_served_here(shard: Callable[..., Shard]) -> None:
    """At a swap the version before is: its users do not wait."""
    up = shard()
    patience, version = up.upkeep._patience, up.snapshot.version
    held = homes(up, *up.partitions)
    up.upkeep.want(held)
    assert not patience.is_urgent(version)
    up.upkeep.want(held, sole=held[:1])
    assert patience.is_urgent(version)
    assert not patience.is_urgent("another version")
    up.residents.homes.replayed(frozenset({held[0].number}))
    assert not patience.is_urgent(version)


async def test_a_replay_that_ends_before_following_began_makes_nothing_whole(shard: Callable[..., Shard]) -> None:
    """A log that went back, or answered from an older copy."""
    up = shard()
    await up.log.append([click(USER, "item-0001")], 1)
    up.upkeep.follower.start = Watermark(up.log.name, {0: 2})
    up.upkeep.follower._began.set()
    up.upkeep.want(homes(up, *up.partitions))
    assert not await up.upkeep._replaying.replay(up.residents)
    assert not up.residents.homes.whole
    up.upkeep.follower.progress.read(Watermark(up.log.name, {0: 1}))  # the reader followed it there
    assert await up.upkeep._replaying.replay(up.residents)


def test_a_partition_that_was_let_go_during_its_replay_is_replayed_again(shard: Callable[..., Shard]) -> None:
    """Held again or not: what was followed meanwhile was of nobody held here."""
    homes = shard().residents.homes
    homes.hold(frozenset({0, 1}))
    replayed = homes.replaying()
    homes.hold(frozenset({1}))
    homes.hold(frozenset({0, 1}))
    homes.replayed(replayed)
    assert (homes.whole, homes.lacking) == ({1}, {0})
    homes.replayed(homes.replaying())
    assert homes.whole == {0, 1}


async def test_who_waits_for_a_partition_that_is_not_wanted_any_more_goes_on(shard: Callable[..., Shard]) -> None:
    """One thing is opened at a time: everything else would wait for it, too."""
    up = shard()
    up.upkeep.want(homes(up, 0))
    waiting = asyncio.create_task(up.upkeep.whole(homes(up, 0)[0]))
    await some_turns()
    assert not waiting.done()
    up.upkeep.want(homes(up, 1))
    await asyncio.wait_for(waiting, 60)
    await asyncio.wait_for(up.upkeep.whole(homes(up, 0)[0]), 60)


def test_who_lived_in_a_snapshot_that_is_closed_is_let_go_of_at_once(shard: Callable[..., Shard]) -> None:
    """What is held in a circle keeps its files mapped, until a collector looks for it and holds everybody up."""
    up = shard()
    residents = weakref.ref(up.residents)
    gc.disable()
    try:
        up.upkeep.dismiss(up.snapshot.version)
        del up.residents, up.predictor
        assert residents() is None
    finally:
        gc.enable()


async def test_of_new_items_one_value_is_kept_however_many_users_have_events(
    shard: Callable[..., Shard], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was folded in with other items is let go of; a value has every new item's vector."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        users = [USER, datasets.user_id(3), datasets.user_id(4)]
        for user in users:
            await up.hears(click(user, unlike(up, USER)[0]))
            up.residents.folded(user, None)
        assert len(up.residents._folded) == len(users)
        grown = Additions(up.snapshot.catalogue.additions.built)
        monkeypatch.setattr(up.snapshot.catalogue, "additions", grown)
        up.residents.folded(USER, None)
        assert list(up.residents._folded) == [USER]
        assert not any(isinstance(part, Additions) for part in up.residents._folded[USER])


async def test_a_replay_that_goes_on_is_waited_for_where_others_serve(shard: Callable[..., Shard]) -> None:
    """As long as it gets on, within a limit; a partition that nobody else has is served in time, fresh or not."""
    up = shard()
    first, sole = homes(up, 0, 1)
    up.upkeep._patience._within_s = 0.01
    up.upkeep.want([first, sole], [sole])
    until = {piece: up.upkeep._patience._until(piece) - up.now for piece in (first, sole)}
    assert until == {first: pytest.approx(0.01), sole: pytest.approx(0.01)}
    up.now += 0.009
    up.upkeep._replaying._hear(up.residents, frozenset({0}), pb.Event(), Position("log", 0, 1))
    up.now += 0.005
    waiting = asyncio.create_task(up.upkeep.whole(first))
    await asyncio.wait_for(up.upkeep.whole(sole), 60)
    assert not waiting.done()
    up.now += 0.006
    await asyncio.wait_for(waiting, 60)
    up.now += 10
    up.upkeep._replaying._hear(up.residents, frozenset({0}), pb.Event(), Position("log", 0, 2))
    await asyncio.wait_for(up.upkeep.whole(first), 60)


async def test_what_nobody_has_is_served_after_a_second_whatever_was_replayed(shard: Callable[..., Shard]) -> None:
    """Of its snapshot alone; until then its users get what is popular, and no replay is worth that."""
    up = shard()
    sole, missing = homes(up, 0, 1)
    up.upkeep.want([sole, missing], [sole, missing], [missing])
    up.now += MISSING_S
    up.upkeep._replaying._hear(up.residents, frozenset({1}), pb.Event(), Position("log", 0, 1))
    waiting = asyncio.create_task(up.upkeep.whole(sole))
    await asyncio.wait_for(up.upkeep.whole(missing), 60)
    assert not waiting.done()
    waiting.cancel()
    assert not up.residents.is_whole(USER, 1)


async def test_who_waits_hears_that_nobody_else_has_it_any_more(shard: Callable[..., Shard]) -> None:
    """Then it is served at once where it has waited long enough for that."""
    up = shard()
    (piece,) = homes(up, 0)
    up.upkeep.want([piece])
    up.now += 29
    up.upkeep._replaying._hear(up.residents, frozenset({0}), pb.Event(), Position("log", 0, 1))
    up.now += 2
    waiting = asyncio.create_task(up.upkeep.whole(piece))
    await some_turns()
    assert not waiting.done()
    up.upkeep.want([piece], [piece])
    await asyncio.wait_for(waiting, 60)


def another_version(up: Shard) -> Residents:
    """The same snapshot under another name, opened beside it."""
    twin = copy.copy(up.snapshot)
    twin.version = f"{up.snapshot.version}.again"
    return up.upkeep.admit(twin)


def of_both(up: Shard, other: Residents) -> list[Piece]:
    """All partitions of both versions."""
    return [*homes(up, *up.partitions), *(Piece(other.version, Kind.HOME, number) for number in up.partitions)]


async def test_a_version_that_comes_keeps_again_only_what_nobody_here_had_heard(
    shard: Callable[..., Shard], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most of what is replayed for it was heard for the one before; a newcomer's home in it is its own."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        item = unlike(up, USER)[0]
        await up.hears(click(USER, item), click(NEW, item), event(USER, item, pb.INTERACTION_IMPRESSION))
        before = up.upkeep.hearing.users.of(USER)
        added, shown = [], []
        monkeypatch.setattr(up.upkeep.hearing.users, "add", lambda user, one: added.append((user, one.item)))
        monkeypatch.setattr(up.upkeep.hearing, "show", lambda one, at: shown.append(one.user_id))
        other = another_version(up)
        up.upkeep.want(of_both(up, other))
        await turns(lambda: not other.homes.lacking)
        assert (added, shown) == ([(NEW, item)], [])
        assert other.homes.partition_of(NEW) == up.residents.homes.partition_of(NEW)
        assert before
        assert up.upkeep.hearing.users.of(USER) is before
        assert other.is_whole(USER, up.home(USER))


async def test_a_version_that_comes_hears_of_users_whose_partition_was_not_held(shard: Callable[..., Shard]) -> None:
    """What was followed while nobody here held them is in the log alone."""
    async with shard().up() as up:
        others = [number for number in up.partitions if number != up.home(USER)]
        await up.hold(*others)
        await up.hears(click(USER, "item-0001"))
        assert not up.upkeep.hearing.users.of(USER)
        other = another_version(up)
        held = [*homes(up, *others), Piece(other.version, Kind.HOME, up.home(USER))]
        up.upkeep.want(held)
        await turns(lambda: not other.homes.lacking)
        assert len(up.upkeep.hearing.users.of(USER)) == 1


def test_what_a_version_was_built_with_is_not_said_to_be_kept_for_it(shard: Callable[..., Shard]) -> None:
    """It may have been freed, and a version from before, which comes again, lacks it."""
    up = shard()
    kept, home = up.residents.homes, up.home(USER)
    time_ms = kept.since.data_until_ms + 1
    one, two = Position(up.log.name, 0, 1), Position(up.log.name, 0, 2)
    kept.hold(frozenset({home}))
    assert not kept.has_all(USER, two, time_ms)
    kept.replayed(kept.replaying())
    assert kept.has_all(USER, two, time_ms)
    assert not kept.has_all(USER, two, time_ms - 1)
    kept.since = replace(kept.since, watermark=Watermark(up.log.name, {0: 1}))
    assert [kept.has_all(USER, at, time_ms) for at in (one, two)] == [False, True]
    assert not kept.has_all(NEW, two, time_ms)
    kept.replay_anew()
    assert not kept.has_all(USER, two, time_ms)
