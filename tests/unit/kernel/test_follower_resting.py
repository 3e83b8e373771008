"""Who reads a log gives way to requests, the more so the less anybody waits for what is read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from heapq import heappop, heappush
from itertools import count

import pytest
from followed_log import FollowedLog
from watched_follower import Watched, event, filled

from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.follower import Follower
from trunkshow.online.positions import Position
from trunkshow.online.telling import tell
from trunkshow.online.turns import AGAIN, BEFORE_IT_SERVES, FOLLOWING, IN_A_HURRY, each
from trunkshow.v1 import events_pb2 as pb
from trunkshow.v1 import log_pb2


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
        await tell(reads, (each(hear),), None, follower._turns(AGAIN, follower._is_behind))
        rests.append(any(seconds > 0.05 for seconds in watched.slept))
    assert rests == [True, False, False]


async def test_the_reading_of_a_record_counts_as_work() -> None:
    """Not only what is done with it; but a step that waited for the log did not work all that time."""
    for step_s, rest_s in ((0.003, 0.003), (7.0, 0.01)):
        watched = Watched(await filled(1), busy=True)
        turns = watched.follower._turns(FOLLOWING, lambda: True)
        watched.now += step_s
        turns.stepped()
        assert turns.is_over()
        await turns.give()
        assert watched.slept == [pytest.approx(rest_s)]


async def test_who_reads_for_what_is_not_served_yet_rests_more_until_it_has_caught_up() -> None:
    """A long log is caught up with beside requests; from then on to be fresh comes first."""
    watched = Watched(FollowedLog(), busy=True)
    behind = iter((True, False, True))
    turns = watched.follower._turns(BEFORE_IT_SERVES, lambda: next(behind), then=FOLLOWING)
    for _ in range(3):
        watched.now += 0.003
        turns.stepped()
        await turns.give()
    assert watched.slept == [pytest.approx(0.027), 0.0, pytest.approx(0.003)]


class Day:
    """A busy process whose clock goes on with its work and its sleeps, and shoppers who do something ever and again."""

    def __init__(self, every_s: float, hearing_s: float) -> None:
        self.now = 0.0
        self.log = FollowedLog()
        self._every_s, self._hearing_s = every_s, hearing_s
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._slept = count()
        self.follower = Follower(self.log, self.hear, busy=lambda: True, clock=lambda: self.now, sleep=self.sleep)

    def hear(self, event: pb.Event, at: Position) -> None:
        """It takes its time."""
        del event, at
        self.now += self._hearing_s

    async def sleep(self, seconds: float) -> None:
        """Until the clock is there."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._sleepers, (self.now + seconds, next(self._slept), woken))
        await woken

    async def goes_on(self, until: Callable[[], bool]) -> None:
        """Whoever sleeps is woken when it is time, until something is so."""
        while not until():
            while len(self.log.records) * self._every_s < self.now:
                self.log.records.append(log_pb2.Record(events=[event(len(self.log.records))]))
            self.log.turn()
            for _ in range(8):
                await asyncio.sleep(0)
            if self._sleepers:
                at, _, woken = heappop(self._sleepers)
                self.now = max(self.now, at)
                if not woken.done():
                    woken.set_result(None)


async def test_a_busy_reader_that_is_behind_catches_up_with_a_steady_stream() -> None:
    """Also where what comes takes more than half of the time to hear: it rests the less, the longer it is behind."""
    day = Day(every_s=0.1, hearing_s=0.07)
    day.log.held = True
    running = asyncio.create_task(day.follower.run())
    await day.goes_on(lambda: day.now > 20)
    assert not day.follower.progress.is_caught_up(day.now)
    day.log.held = False
    await day.goes_on(lambda: day.follower.progress.is_caught_up(day.now) or day.now > 600)
    assert day.follower.progress.is_caught_up(day.now)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_what_all_that_is_served_lacks_is_replayed_in_half_of_the_time() -> None:
    """Requests have the other half; what nobody waits for rests nine tenths of the time."""
    log = FollowedLog()
    await log.append([event(number) for number in range(10)], 1)
    polite, hurried = Watched(log, busy=True), Watched(log, busy=True)
    for watched, ramp in ((polite, AGAIN), (hurried, IN_A_HURRY)):

        def hear(event: pb.Event, at: Position, watched: Watched = watched) -> None:
            watched.hear(event, at)
            watched.now += 0.001

        await watched.follower.replay(None, hear, ramp)
        assert len(watched.heard) == 10
    assert len(hurried.slept) == len(polite.slept)
    assert sum(hurried.slept) == pytest.approx(0.01, rel=0.05)
    assert sum(polite.slept) == pytest.approx(0.09, rel=0.05)


async def test_others_have_their_turn_within_a_record_of_many_events() -> None:
    """A record has half a megabyte: hearing all of it at once would keep requests waiting."""
    log = FollowedLog()
    await log.append([event(number) for number in range(10)], 1)
    watched = Watched(log)
    turns_at: list[int] = []

    def hear(event: pb.Event, at: Position) -> None:
        watched.hear(event, at)
        watched.now += 0.001
        turns_at.append(len(watched.slept))

    await watched.follower.replay(None, hear)
    assert turns_at == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
