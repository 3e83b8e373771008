"""A log is followed from its end, and again from anywhere; how fresh that makes the reader is known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from followed_log import FollowedLog

from trunkshow.eventlog.log import LogUnavailable
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.follower import Follower, each
from trunkshow.online.positions import Position
from trunkshow.online.progress import FRESH_WITHIN_S, Progress
from trunkshow.v1 import events_pb2 as pb

Heard = list[tuple[str, int]]


def event(number: int) -> pb.Event:
    """One of many."""
    return pb.Event(event_id=f"e{number}", user_id="u", item_id="i", interaction=pb.INTERACTION_CLICK)


class Watched:
    """A follower on a log in memory; what it heard, and its sleeps, which take no time unless they are told to."""

    def __init__(self, log: FollowedLog, *, busy: bool = False) -> None:
        self.log = log
        self.heard: Heard = []
        self.slept: list[float] = []
        self.sleeping_takes_time = False
        self.now = 100.0
        self.follower = Follower(log, self.hear, busy=lambda: busy, clock=lambda: self.now, sleep=self.sleep)

    def hear(self, event: pb.Event, at: Position) -> None:
        """Remember."""
        self.heard.append((event.event_id, at.number))

    async def sleep(self, seconds: float) -> None:
        """Let others have a turn."""
        self.slept.append(seconds)
        if self.sleeping_takes_time:
            self.now += seconds
        await asyncio.sleep(0)

    @asynccontextmanager
    async def following(self, after: Watermark | None = None, *, from_end: bool = False) -> AsyncIterator[Watched]:
        """It runs."""
        running = asyncio.create_task(self.follower.run(after, from_end=from_end))
        try:
            yield self
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


async def turns(until: Callable[[], bool]) -> None:
    """Give others turns until something is so."""
    for _ in range(10_000):
        if until():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to that")


async def filled(count: int) -> FollowedLog:
    """A log with so many records of one event."""
    log = FollowedLog()
    for number in range(1, count + 1):
        await log.append([event(number)], 1)
    return log


async def test_from_the_end_only_what_comes_is_heard() -> None:
    """Each with its place."""
    log = await filled(3)
    async with Watched(log).following(from_end=True) as watched:
        await turns(lambda: watched.follower.progress.watermark is not None)
        await log.append([event(4), event(5)], 1)
        await turns(lambda: len(watched.heard) == 2)
        assert watched.heard == [("e4", 4), ("e5", 4)]


async def test_from_the_beginning_everything_is() -> None:
    """In order."""
    async with Watched(await filled(3)).following() as watched:
        await turns(lambda: len(watched.heard) == 3)
        assert watched.heard == [("e1", 1), ("e2", 2), ("e3", 3)]


async def test_a_record_that_comes_twice_in_a_row_is_heard_once() -> None:
    """As after a connection that broke."""
    log = await filled(3)
    log.twice = True
    async with Watched(log).following() as watched:
        await turns(lambda: len(watched.heard) == 3)
        assert watched.heard == [("e1", 1), ("e2", 2), ("e3", 3)]


async def test_a_log_that_began_anew_is_read_from_its_beginning() -> None:
    """Its places are its own."""
    log = await filled(2)
    async with Watched(log).following() as watched:
        await turns(lambda: len(watched.heard) == 2)
        log.name, log.records = "another", []
        await log.append([event(9)], 1)
        await turns(lambda: len(watched.heard) == 3)
        assert watched.heard[-1] == ("e9", 1)
        assert watched.follower.progress.text == "another/0:1"


async def test_a_replay_ends_where_the_log_ended() -> None:
    """And tells only who asked for it."""
    watched, again = Watched(await filled(5)), list[str]()
    await watched.follower.replay(Watermark("log", {0: 2}), lambda event, at: again.append(event.event_id))
    assert (again, watched.heard) == (["e3", "e4", "e5"], [])


async def test_a_replay_of_a_log_that_is_gone_fails() -> None:
    """So that it is tried again."""
    log = await filled(5)
    log.gone = True
    with pytest.raises(LogUnavailable):
        await Watched(log).follower.replay(None, lambda event, at: None)


async def test_an_event_that_breaks_the_listener_does_not_end_the_reading() -> None:
    """What comes after it is heard."""
    log = await filled(3)
    heard = []

    def hear(event: pb.Event, at: Position) -> None:
        if event.event_id == "e2":
            raise ZeroDivisionError
        heard.append(event.event_id)

    await Follower(log, hear).replay(None, hear)
    assert heard == ["e1", "e3"]


async def test_what_is_waited_for_is_there_when_it_was_heard() -> None:
    """Not before, and not for ever."""
    log = await filled(1)
    async with Watched(log).following() as watched:
        await turns(lambda: watched.follower.progress.is_caught_up(watched.now))
        log.held = True
        mark = await log.append([event(2)], 1)
        waiting = asyncio.create_task(watched.follower.reached(mark, 1000))
        await turns(lambda: watched.slept != [])
        assert not waiting.done()
        log.held = False
        log.turn()
        assert await waiting
        assert not await watched.follower.reached(Watermark("log", {0: 3}), 0)
        assert not await watched.follower.reached(Watermark("another", {0: 1}), 1000)


async def test_a_reader_knows_at_once_that_its_log_is_back() -> None:
    """Half a second later, however long the log was gone: slates are fresh, and what is asked for is waited for."""
    log = await filled(1)
    watched = Watched(log)
    watched.sleeping_takes_time = True
    async with watched.following():
        await turns(lambda: watched.follower.progress.is_caught_up(watched.now))
        log.gone = True
        gone_at = watched.now
        await turns(lambda: watched.now > gone_at + 10 * FRESH_WITHIN_S)
        assert not watched.follower.progress.is_caught_up(watched.now)
        log.gone = False
        back_at = watched.now
        await turns(lambda: watched.follower.progress.is_caught_up(watched.now))
        assert watched.now - watched.follower.progress.lag_s(watched.now) <= back_at + 0.5


async def test_a_reader_that_is_far_behind_is_not_waited_for() -> None:
    """What it has not heard it will not hear in time."""
    log = await filled(1)
    log.held = True
    async with Watched(log).following() as watched:
        watched.now += FRESH_WITHIN_S + 1
        async with asyncio.timeout(5):
            assert not await watched.follower.reached(await log.end(1), 1000)


async def test_far_behind_and_busy_it_rests() -> None:
    """As background work does; a reader that keeps up, or has nobody to give way to, does not."""
    rests = []
    for busy, behind in ((True, True), (False, True), (True, False)):
        log = await filled(3)
        watched = Watched(log, busy=busy)

        def hear(event: pb.Event, at: Position, watched: Watched = watched) -> None:
            watched.now += 0.01

        follower = Follower(log, hear, busy=lambda b=busy: b, clock=lambda w=watched: w.now, sleep=watched.sleep)  # type: ignore[misc]
        if not behind:
            follower.progress.ended(Watermark("empty"), watched.now)
        reads = log.read(None, await log.end(1))
        await follower._told(reads, (each(hear),), None, behind=follower._is_behind)
        rests.append(any(seconds > 0.05 for seconds in watched.slept))
    assert rests == [True, False, False]


def test_a_reader_is_as_fresh_as_the_last_end_that_it_reached() -> None:
    """It lags by the time since it asked for that."""
    progress = Progress()
    assert not progress.is_caught_up(1000.0)
    progress.began(Watermark("log", {0: 5}))
    progress.ended(Watermark("log", {0: 7}), 10.0)
    assert not progress.is_caught_up(10.0)
    progress.read(Watermark("log", {0: 7}))
    assert progress.lag_s(12.0) == 2.0
    assert (progress.is_caught_up(10 + FRESH_WITHIN_S), progress.is_caught_up(10.1 + FRESH_WITHIN_S)) == (True, False)


def test_a_log_that_began_anew_and_is_empty_is_known_at_once() -> None:
    """There is nothing in it to be read."""
    progress = Progress()
    progress.began(Watermark("log", {0: 5}))
    progress.ended(Watermark("log", {0: 9}), 10.0)
    progress.ended(Watermark("another"), 20.0)
    assert (progress.lag_s(21.0), progress.text) == (1.0, "another/")
