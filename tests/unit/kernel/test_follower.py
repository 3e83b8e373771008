"""A log is followed from its end, and again from anywhere; how fresh that makes the reader is known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from heapq import heappop, heappush
from itertools import count

import pytest
from followed_log import FollowedLog

from trunkshow.eventlog.log import LogUnavailable
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.follower import Follower
from trunkshow.online.lineage import digest_of
from trunkshow.online.positions import Position, Since
from trunkshow.online.progress import ENDS_MAX, FRESH_WITHIN_S, Progress
from trunkshow.online.telling import tell
from trunkshow.online.turns import AGAIN, BEFORE_IT_SERVES, FOLLOWING, IN_A_HURRY, each
from trunkshow.serving import metrics
from trunkshow.v1 import events_pb2 as pb
from trunkshow.v1 import log_pb2

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
        self.went_back = 0
        self.follower = Follower(
            log, self.hear, went_back=self.back, busy=lambda: busy, clock=lambda: self.now, sleep=self.sleep
        )

    def hear(self, event: pb.Event, at: Position) -> None:
        """Remember."""
        self.heard.append((event.event_id, at.number))

    def back(self) -> None:
        """The log went back."""
        self.went_back += 1

    async def sleep(self, seconds: float) -> None:
        """Let others have a turn."""
        self.slept.append(seconds)
        if self.sleeping_takes_time:
            self.now += seconds
        await asyncio.sleep(0)

    @asynccontextmanager
    async def following(self, since: Since | None = None, *, from_end: bool = False) -> AsyncIterator[Watched]:
        """It runs."""
        running = asyncio.create_task(self.follower.run(since, from_end=from_end))
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


async def test_a_snapshot_of_a_longer_log_is_read_for_from_the_beginning() -> None:
    """The log was restored from an older copy; or it has grown since, and has another record where that ends."""
    watched = Watched(await filled(5))
    last = (3, digest_of(watched.log.records[2]))
    for until, record, same in ((3, last, True), (6, last, False), (3, (3, "another"), False)):
        since = Since(Watermark("log", {0: until}), 0, {0: record})
        assert await watched.follower.start_of(since) == (since.start if same else None)
    assert await watched.follower.start_of(Since(None, 0)) is None
    assert await watched.follower.start_of(Since(Watermark("another", {0: 9}), 0)) == Watermark("another", {0: 0})


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


async def test_a_log_that_went_back_is_heard_on_from_there() -> None:
    """One restored from an older copy has the same name, and what comes next is new, the first record as well."""
    log = await filled(5)
    async with Watched(log).following() as watched:
        await turns(lambda: len(watched.heard) == 5)
        log.records = log.records[:2]
        log.begin_at = 2
        await log.append([event(9)], 1)
        await turns(lambda: len(watched.heard) == 6)
        assert watched.heard[-1] == ("e9", 3)
        await turns(lambda: len(watched.heard) == 9)  # from its beginning: what came since may be anywhere
        assert watched.heard[6:] == [("e1", 1), ("e2", 2), ("e9", 3)]
        assert watched.follower.progress.text == "log/0:3"
        await turns(lambda: watched.follower.progress.is_caught_up(watched.now))
        assert watched.went_back == 1


async def test_who_follows_a_log_from_its_end_goes_on_where_it_ends_once_it_went_back() -> None:
    """Its end tells, before anything is read; who replays is told that there is something to replay."""
    log = await filled(5)
    async with Watched(log).following(from_end=True) as watched:
        await turns(lambda: watched.follower.progress.watermark is not None)
        log.records = log.records[:2]
        log.turn()
        await turns(lambda: watched.went_back == 1)
        assert watched.follower.progress.text == "log/0:2"
        for number in (6, 7, 8, 9):
            await log.append([event(number)], 1)
        await turns(lambda: len(watched.heard) == 4)
        assert watched.heard == [("e6", 3), ("e7", 4), ("e8", 5), ("e9", 6)]
        assert watched.went_back == 1


async def test_a_log_that_seems_to_end_early_for_a_moment_is_the_same() -> None:
    """As a topic may after a change of its leader."""
    log = await filled(5)
    async with Watched(log).following() as watched:
        await turns(lambda: len(watched.heard) == 5)
        whole, log.records = log.records, log.records[:2]
        looked = len(watched.slept)
        await turns(lambda: len(watched.slept) > looked + 4)
        log.records = whole
        await log.append([event(6)], 1)
        await turns(lambda: len(watched.heard) == 6)
        looked = len(watched.slept)
        await turns(lambda: len(watched.slept) > looked + 30)
        assert (watched.went_back, len(watched.heard)) == (0, 6)


@pytest.mark.parametrize(("kept", "back"), [(3, 0), (1, 1)], ids=["as it was", "restored, and longer than it was"])
async def test_a_log_that_was_gone_is_known_by_the_last_record_that_was_read(kept: int, back: int) -> None:
    """Its end would not tell: as many records came as had been lost, and more."""
    log = await filled(3)
    async with Watched(log).following() as watched:
        await turns(lambda: watched.follower.progress.is_caught_up(watched.now))
        await turns(lambda: len(watched.slept) > 3)  # in which the log was looked at
        log.gone = True
        await turns(lambda: watched.follower._gone)
        log.gone = False
        log.records = log.records[:kept]
        for number in range(6, 10):
            await log.append([event(number)], 1)
        await turns(lambda: not watched.follower._gone)
        came = {(f"e{number}", kept - 5 + number) for number in range(6, 10)}
        await turns(lambda: came <= set(watched.heard))
        assert watched.went_back == back


async def test_the_lag_told_is_that_of_the_reader_that_is_most_behind() -> None:
    """A process may have several; one that ended has none, and is not kept."""
    log, held = await filled(1), await filled(1)
    held.held = True
    async with Watched(log).following() as watched:
        await turns(lambda: watched.follower.progress.is_caught_up(watched.now))
        watched.now += 3
        assert lag_told() == watched.follower.lag_s
        async with Watched(held).following() as behind:
            await turns(lambda: held.reads != [])
            assert lag_told() == behind.follower.lag_s == float("inf")
        assert lag_told() == watched.follower.lag_s
    assert lag_told() == 0.0


def lag_told() -> float | None:
    """As Prometheus reads it."""
    return metrics.REGISTRY.get_sample_value("trunkshow_log_lag_seconds")


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


def test_a_reader_that_stays_behind_reaches_an_end_all_the_same() -> None:
    """However long ago that was asked for: of the ends that wait too many are dropped, and not the oldest."""
    progress, late = Progress(), 1000
    progress.began(Watermark("log"))
    for moment in range(10 * late):
        progress.ended(Watermark("log", {0: moment + 1}), float(moment))
        if moment >= late:
            progress.read(Watermark("log", {0: moment - late + 1}))
    assert late <= progress.lag_s(10.0 * late) < 2 * late
    assert len(progress._ends) <= ENDS_MAX


def test_ends_that_a_log_went_back_from_are_not_waited_for() -> None:
    """They may never be reached again."""
    progress = Progress()
    progress.began(Watermark("log", {0: 5}))
    progress.ended(Watermark("log", {0: 9}), 10.0)
    progress.read(Watermark("log", {0: 3}))
    progress.ended(Watermark("log", {0: 4}), 20.0)
    progress.read(Watermark("log", {0: 4}))
    assert progress.lag_s(21.0) == 1.0


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
