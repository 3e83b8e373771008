"""A log is followed from its end, and again from anywhere; how fresh that makes the reader is known."""

from __future__ import annotations

import asyncio

import pytest
from followed_log import FollowedLog
from watched_follower import Watched, event, filled, turns

from trunkshow.eventlog.log import LogUnavailable
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.follower import Follower
from trunkshow.online.positions import Position
from trunkshow.online.progress import FRESH_WITHIN_S
from trunkshow.serving import metrics
from trunkshow.v1 import events_pb2 as pb


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
        async with asyncio.timeout(60):
            assert not await watched.follower.reached(await log.end(1), 1000)


async def test_an_event_that_breaks_the_listener_does_not_keep_it_from_the_others_of_its_record() -> None:
    """They are other callers'; that it broke is told once for the record."""
    log = FollowedLog()
    await log.append([event(number) for number in range(1, 6)], 1)
    heard = []

    def hear(event: pb.Event, at: Position) -> None:
        if event.event_id in ("e1", "e3"):
            raise ZeroDivisionError
        heard.append(event.event_id)

    before = unreadable()
    await Watched(log).follower.replay(None, hear)
    assert (heard, unreadable() - before) == (["e2", "e4", "e5"], 1)


def unreadable() -> float:
    """Records that made no sense, as exported."""
    return metrics.REGISTRY.get_sample_value("trunkshow_log_records_unreadable_total") or 0.0
