"""Has the log replayed for whatever is held and not whole yet, again and again, and what is not wanted freed.

A replay is for all partitions of a snapshot that lack it together. It begins only once the log is followed, and reads
at least up to where following began, so that nothing falls between the two; where they overlap does no harm. A log that
cannot be read is tried again.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Never

import structlog

from shard.online.hearing import Hearing
from shard.online.opened import Opened
from shard.online.patience import Patience
from shard.online.residents import Residents
from trunkshow.eventlog.log import LogUnavailable
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.follower import AGAIN_AFTER_S, Follower
from trunkshow.online.positions import Position
from trunkshow.online.turns import AGAIN, IN_A_HURRY
from trunkshow.serving import metrics
from trunkshow.serving.deadline import Clock
from trunkshow.v1 import events_pb2 as pb

REPLAYS = metrics.counter("trunkshow_shard_replays_total", "Times that the log was replayed, by outcome.", ("outcome",))

log = structlog.get_logger()


class Replaying:
    """Of one shard.

    Args:
        follower: of the log.
        opened: what is held, and what of it is whole.
        hearing: told of what is replayed.
        patience: told of how that goes.
        clock: a port: monotonic seconds.
    """

    def __init__(self, follower: Follower, opened: Opened, hearing: Hearing, patience: Patience, clock: Clock) -> None:
        self._follower = follower
        self._opened = opened
        self._hearing = hearing
        self._patience = patience
        self._clock = clock
        self._untidy = False
        self._poked = asyncio.Event()

    def poke(self) -> None:
        """What is held changed."""
        self._poked.set()

    def tidy_up(self) -> None:
        """Something is kept that is not wanted any more."""
        self._untidy = True
        self._poked.set()

    async def run(self) -> Never:
        """Until cancelled."""
        while True:
            self._poked.clear()
            failed = [one for one in list(self._opened) if one.homes.lacking and not await self.replay(one)]
            if self._untidy:
                self._untidy = False
                await self._hearing.tidy()
            if failed:
                await asyncio.sleep(AGAIN_AFTER_S)
            elif not self._opened.is_lacking():
                await self._poked.wait()

    async def replay(self, residents: Residents) -> bool:
        """Replay the log for the partitions of a snapshot that lack it; whether that was done."""
        lacking, began = residents.homes.replaying(), self._clock()
        try:
            await self._follower.began()
            hear = partial(self._hear, residents, lacking)
            ramp = IN_A_HURRY if self._patience.is_urgent(residents.version) else AGAIN
            start = await self._follower.start_of(residents.homes.since)
            self._join(await self._follower.replay(start, hear, ramp))
        except LogUnavailable as error:
            if self._patience.give_up(residents.version):
                log.error("log.not_replayed", snapshot=residents.version, error=str(error))
            REPLAYS.labels("failed").inc()
            return False
        residents.homes.replayed(lacking)
        self._patience.settle(residents.version)
        self._untidy = True  # newcomers were kept who turned out to live elsewhere
        took = round(self._clock() - began, 3)
        users = len(self._hearing.users)
        log.info("log.replayed", snapshot=residents.version, partitions=len(lacking), users=users, s=took)
        REPLAYS.labels("done").inc()
        return True

    def _hear(self, residents: Residents, partitions: frozenset[int], event: pb.Event, at: Position) -> None:
        self._patience.got_on()
        self._hearing.hear_again(residents, partitions, event, at)

    def _join(self, end: Watermark) -> None:
        """Refuse a replay that ended before where following began, or went on in a log that went back."""
        start, known = self._follower.start, self._follower.progress.watermark
        if start is None or start.log != end.log:
            return
        counts = known.counts if known is not None and known.log == start.log else start.counts
        if any(end.counts.get(lane, 0) < min(count, counts.get(lane, 0)) for lane, count in start.counts.items()):
            raise LogUnavailable(f"it ends at {end}, before {start}, from where it is followed")
