"""Statistics hear every event of the log once, in its order, whatever happens to the log and to them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import pytest
from followed_log import FollowedLog

from shard.online import statistics
from shard.online.statistics import Heard, Statistics
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online import ids
from trunkshow.online.follower import Follower
from trunkshow.online.forgotten import Forgotten
from trunkshow.online.positions import Position
from trunkshow.v1 import events_pb2, log_pb2

NOW_MS = 1_700_000_000_000
HOUR_MS = 3_600_000


def event(name: str, user: str = "u", time_ms: int = NOW_MS) -> events_pb2.Event:
    """One of that id."""
    made = events_pb2.Event(event_id=name, user_id=user, item_id="i", interaction=events_pb2.INTERACTION_VIEW)
    made.timestamp.FromMilliseconds(time_ms)
    return made


class Names:
    """A statistic that keeps what it hears."""

    name = "names"

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.forgotten: list[str] = []

    def hear(self, heard: Heard) -> None:
        """Keep it."""
        self.heard.append(heard)

    def forget(self, user_id: str) -> None:
        """Keep that."""
        self.forgotten.append(user_id)

    @property
    def ids(self) -> list[str]:
        """Of the events, in the order in which they came."""
        return [one.event.event_id for one in self.heard]


class Broken(Names):
    """A statistic that cannot take in some events."""

    name = "broken"

    def hear(self, heard: Heard) -> None:
        """Raise at the second one of each pair."""
        super().hear(heard)
        if len(self.heard) % 2 == 0:
            raise ZeroDivisionError


class World:
    """A log, its follower, and statistics of it; its clocks stand still."""

    def __init__(self, *listeners: Names) -> None:
        self.log = FollowedLog()
        self.log.received_ms = NOW_MS
        self.names = Names()
        self.forgotten = Forgotten()
        self.follower = Follower(self.log, lambda event, at: None, overhear=self._overhear, sleep=self.sleep)
        self.statistics = self.made(self.names, *listeners)

    def made(self, *listeners: Names) -> Statistics:
        """Statistics, as a shard that starts makes them."""
        return Statistics(
            listeners, self.forgotten, clock=lambda: 0.0, wall=lambda: NOW_MS / 1000 + 3600, sleep=self.sleep
        )

    def _overhear(self, record: log_pb2.Record, at: Position) -> Iterator[None]:
        return self.statistics.follow(record, at, self.follower.progress.watermark)

    async def sleep(self, seconds: float) -> None:
        """Let others have a turn."""
        del seconds
        await asyncio.sleep(0)

    async def happens(self, *names: str) -> Watermark:
        """These are recorded, each in a record of its own."""
        for name in names:
            mark = await self.log.append([event(name)], 1)
        return mark

    async def hears(self, *names: str) -> None:
        """These are recorded, and followed."""
        mark = await self.happens(*names)
        await turns(lambda: self.follower.progress.covers(mark))

    @asynccontextmanager
    async def following(self) -> AsyncIterator[World]:
        """The log is followed."""
        running = asyncio.create_task(self.follower.run(from_end=True))
        try:
            await turns(lambda: self.follower.progress.watermark is not None)
            yield self
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    async def learned(self) -> None:
        """The past is heard."""
        await asyncio.wait_for(self.statistics.learn(self.follower), 60)


async def turns(until: Callable[[], bool]) -> None:
    """Give others turns until something is so."""
    for _ in range(10_000):
        if until():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to that")


async def test_the_past_is_heard_before_what_comes_live_and_each_event_once() -> None:
    """Also what came while nobody had heard the past yet."""
    world = World()
    await world.happens("e1", "e2")
    async with world.following():
        await world.hears("e3", "e4")
        assert world.names.ids == []
        await world.learned()
        await world.hears("e5")
    assert world.names.ids == ["e1", "e2", "e3", "e4", "e5"]


async def test_what_was_sent_again_counts_once() -> None:
    """Live and in the past, whatever record it is in."""
    world = World()
    await world.happens("e1", "e1", "e2")
    async with world.following():
        await world.learned()
        await world.hears("e2", "e3", "e3")
    assert world.names.ids == ["e1", "e2", "e3"]


async def test_within_a_record_of_many_events_others_have_their_turns() -> None:
    """And whoever is interrupted in the middle of one hears it again: what was heard of it is known."""
    world = World()
    record = log_pb2.Record(events=[event(f"e{number}") for number in range(500)])
    record.received.FromMilliseconds(NOW_MS)
    at = Position("log", 0, 1)
    async with world.following():
        await world.learned()
        halfway = world.statistics.follow(record, at, None)
        for _ in range(250):
            next(halfway)
        assert len(world.names.ids) == 250
        halfway.close()  # type: ignore[attr-defined]
        assert len(list(world.statistics.follow(record, at, None))) == 500
    assert world.names.ids == [f"e{number}" for number in range(500)]


async def test_ids_are_forgotten_at_last_and_nothing_is_counted_twice_for_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded; what happened so early that it may have been counted is left out, whether it was or not."""
    monkeypatch.setattr(ids, "IDS_MAX", 3)
    world = World()
    async with world.following():
        await world.learned()
        await world.hears(*(f"e{number}" for number in range(20)))
        world.names.heard.clear()
        await world.hears("e17", "e18", "e19", "e0", "never heard")
        later = [event("later", time_ms=NOW_MS + ids.AHEAD_MS + 1)]
        mark = await world.log.append(later, 1)
        await turns(lambda: world.follower.progress.covers(mark))
    assert world.names.ids == ["later"]
    assert len(world.statistics._ids) <= 6


async def test_what_waits_is_bounded_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no room is read again."""
    monkeypatch.setattr(statistics, "WAITING_MAX", 4)
    world = World()
    await world.happens("e0")
    async with world.following():
        names = [f"e{number}" for number in range(1, 12)]
        await world.hears(*names)
        assert len(world.statistics._waiting) <= 4
        learning = asyncio.create_task(world.learned())
        more = [f"e{number}" for number in range(12, 60)]
        for name in more:
            await world.hears(name)
        await learning
        await world.hears("e60")
    assert world.names.ids == ["e0", *names, *more, "e60"]


async def test_what_waits_is_bounded_in_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record may have five hundred."""
    monkeypatch.setattr(statistics, "WAITING_MAX", 10)
    world = World()
    async with world.following():
        for number in range(8):
            mark = await world.log.append([event(f"e{number}-{at}") for at in range(6)], 1)
            await turns(lambda mark=mark: world.follower.progress.covers(mark))  # type: ignore[misc]
            assert sum(len(record.events) for record, _ in world.statistics._waiting) < 10 + 6
        await world.learned()
    assert len(world.names.ids) == len(set(world.names.ids)) == 48
    assert world.statistics._waiting_events == 0


async def test_a_log_that_goes_while_the_past_is_read_is_read_on_later() -> None:
    """From where it was, and nothing twice."""
    world = World()
    await world.happens(*(f"e{number}" for number in range(6)))
    async with world.following():
        learning = asyncio.create_task(world.learned())
        await turns(lambda: len(world.names.heard) == 3)
        world.log.gone = True
        for _ in range(20):
            await asyncio.sleep(0)
        assert not learning.done()
        world.log.gone = False
        await learning
    assert world.names.ids == [f"e{number}" for number in range(6)]
    assert any(read is not None and read.counts[0] >= 3 for read in world.log.reads)


async def test_a_log_that_began_anew_meanwhile_is_heard_from_its_beginning() -> None:
    """Nobody waits for ever for the end of one that is gone."""
    world = World()
    await world.happens("e1", "e2")
    async with world.following():
        await world.hears("e3")
        world.log.records.clear()
        world.log.name = "another"
        world.log.turn()
        await world.hears("e4")
        await world.learned()
        await world.hears("e5")
    assert world.names.ids[-2:] == ["e4", "e5"]
    assert len(set(world.names.ids)) == len(world.names.ids)


async def test_a_long_past_is_heard_from_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is bounded, and it is said since when everything is known."""
    monkeypatch.setattr(statistics, "RECORDS_MAX", 2)
    world = World()
    await world.happens("e1", "e2")
    world.log.received_ms = NOW_MS + 5
    await world.happens("e3", "e4")
    async with world.following():
        await world.learned()
    assert (world.names.ids, world.statistics.known_from_ms) == (["e3", "e4"], NOW_MS + 5)


async def test_a_shard_that_starts_again_hears_the_same() -> None:
    """Of the whole log."""
    world = World()
    await world.happens("e1")
    async with world.following():
        await world.learned()
        await world.hears("e2")
    before, world.names.heard = world.names.heard, []
    world.follower.progress.__init__()  # type: ignore[misc]
    world.statistics = world.made(world.names)
    async with world.following():
        await world.learned()
    assert world.names.heard == before


async def test_known_from_is_when_the_first_event_was_recorded() -> None:
    """Before the past was heard nobody knows; of an empty log, everything from now on."""
    for names, expected in ((("e1", "e2"), NOW_MS), ((), NOW_MS + HOUR_MS)):
        world = World()
        if names:
            await world.happens(*names)
        async with world.following():
            assert world.statistics.known_from_ms is None
            await world.learned()
        assert world.statistics.known_from_ms == expected


async def test_the_moment_is_when_it_was_recorded_and_never_in_the_future() -> None:
    """A router's clock may be ahead."""
    world = World()
    await world.happens("e1")
    world.log.received_ms = NOW_MS + 5 * HOUR_MS
    await world.happens("e2")
    async with world.following():
        await world.learned()
    assert [(one.now_ms, one.time_ms) for one in world.names.heard] == [(NOW_MS, NOW_MS), (NOW_MS + HOUR_MS, NOW_MS)]


async def test_events_of_the_forgotten_do_not_count() -> None:
    """Those up to the tombstone, in the past and live; and every statistic drops what it has, at once."""
    world = World()
    await world.log.append([event("e1", "u"), event("e2", "v")], 1)
    forget = log_pb2.Forget(id="t", user_id="u", events_until="log/0:1")
    forget.timestamp.FromMilliseconds(NOW_MS)
    async with world.following():
        world.forgotten.hear(log_pb2.Record(forget=forget), Watermark("gone", {0: 1}))
        await world.learned()
        await world.log.append([event("e3", "u", NOW_MS - 1)], 1)
        mark = await world.log.append([event("e4", "u", NOW_MS + 1)], 1)
        await turns(lambda: world.follower.progress.covers(mark))
    assert world.names.ids == ["e2", "e4"]
    assert world.names.forgotten == ["u"]


async def test_a_statistic_that_raises_costs_nobody_else_anything() -> None:
    """Neither the others, nor itself but for that event, nor the follower."""
    broken = Broken()
    world = World(broken)
    await world.happens("e1", "e2", "e3")
    async with world.following():
        await world.learned()
        await world.hears("e4", "e5")
    assert world.names.ids == broken.ids == ["e1", "e2", "e3", "e4", "e5"]


async def test_nobody_reads_the_past_where_nobody_listens() -> None:
    """A shard without statistics costs the log nothing."""
    world = World()
    world.statistics = world.made()
    await world.happens(*map(str, itertools.repeat("e", 3)))
    async with world.following():
        await world.hears("e4")
        await world.learned()
    assert [read for read in world.log.reads if read is None] == []


async def test_an_event_of_no_moment_is_none_and_the_others_of_its_record_are_heard() -> None:
    """In the past, live, and of what waits until the past was heard: whoever wrote it was no router."""
    world, waiting, far = World(), World(), event("far")
    far.timestamp.seconds = 10**12
    await world.log.append([far, event("a")], 1)
    async with world.following():
        await world.learned()
        await world.log.append([event("b"), far, event("c")], 1)
        await turns(lambda: len(world.names.ids) >= 3)
        assert world.names.ids == ["a", "b", "c"]
    strange = log_pb2.Record(events=[far, event("d")])
    strange.received.seconds = 10**12
    for _ in waiting.statistics.follow(strange, Position("log", 0, 1), None):
        pass
    await waiting.statistics._hear_slice()
    assert waiting.names.ids == ["d"]


async def test_another_users_event_of_the_same_id_is_another_event() -> None:
    """Whoever guesses an id at an open pixel keeps nobody else's event from counting."""
    world = World()
    async with world.following():
        await world.learned()
        await world.log.append([event("mail-1", "mallory"), event("mail-1", "ada"), event("mail-1", "ada")], 1)
        await turns(lambda: len(world.names.heard) >= 2)
        await world.hears("last")
        assert [one.event.user_id for one in world.names.heard] == ["mallory", "ada", "u"]
