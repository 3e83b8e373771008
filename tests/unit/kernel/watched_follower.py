"""A follower on a log in memory that remembers what it heard, and whose sleeps are the test's. Not a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from followed_log import FollowedLog

from trunkshow.online.follower import Follower
from trunkshow.online.positions import Position, Since
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
