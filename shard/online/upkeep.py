"""Keeps what is known of users' events as it should be: follows the log, replays it for what comes, frees what goes.

    the log ──► follower ──► who lives in what is held here? ──► users' events (`shard.online.hearing`)
                   replay ──► the same, for partitions that came later (`shard.online.replaying`)
                      all ──► what is counted over everybody (`shard.online.statistics`)

Whoever takes over a partition, opens a new snapshot, or starts after a crash, goes the same way: `want` names what is
held, and the log is replayed for whatever of it is not whole yet, once for all of these together. A partition is
reported warm once that is done, or took too long (`shard.online.patience`); until then what is served is of the
snapshot alone, and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from time import time
from typing import Never

from shard.online.hearing import Hearing
from shard.online.losses import Loss, Losses
from shard.online.opened import Opened
from shard.online.patience import Patience
from shard.online.replaying import Replaying
from shard.online.residents import Residents
from shard.online.shown_before import ShownBefore
from shard.online.statistics import Statistic, Statistics
from shard.scene import Kind, Piece
from trunkshow.eventlog.log import EventLog
from trunkshow.online.follower import Follower
from trunkshow.online.forgotten import Forgotten
from trunkshow.online.forgotten_file import ForgottenFile
from trunkshow.online.growth import Growth
from trunkshow.online.ids import KEPT_S
from trunkshow.online.positions import Position
from trunkshow.online.tombstones import following
from trunkshow.online.trends import NO_TRENDS, Trends
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import log_pb2


class Upkeep:
    """Of one shard.

    Attributes:
        opened: snapshots that are served, and who lives there.
        hearing: what is kept of everybody.
        losses: of the log.
        follower: of it.
        forgotten: who is to be forgotten.
        statistics: of everybody's events.
        trends: what one of these found; nothing until somebody says where to look.

    Args:
        source: the log.
        tombstones: beside it; nobody is forgotten where None.
        listeners: that count something over everybody's events.
        items: the log of new items beside it; none come where None.
        file: with the tombstones that were heard before, and that are heard now; none where None.
        events_max: kept, of all users.
        impressions_max: kept, of all users.
        within_s: without progress, after which a partition is served though the log was not replayed for it; one that
            is in no other shard, with progress too.
        ids_kept_s: seconds for which statistics know an event by its id.
        forgotten_first: nothing is served before it is known who is to be forgotten, however long that takes.
        busy: whether there are requests to answer.
        clock: a port: monotonic seconds.
        wall: a port: seconds since the epoch.
    """

    def __init__(
        self,
        source: EventLog,
        tombstones: EventLog | None = None,
        listeners: Sequence[Statistic] = (),
        *,
        items: EventLog | None = None,
        file: ForgottenFile | None = None,
        events_max: int,
        impressions_max: int,
        within_s: float,
        ids_kept_s: float = KEPT_S,
        forgotten_first: bool = False,
        busy: Callable[[], bool] = lambda: False,
        clock: Clock = monotonic,
        wall: Clock = time,
    ) -> None:
        self.forgotten = Forgotten()
        self.opened = Opened()
        self.hearing = Hearing(self.opened, self.forgotten, events_max, impressions_max)
        self.forgotten.listen(self.hearing.forget)
        self.losses = Losses(source, self._lost, wall)
        hear, overhear, went_back = self.hearing.hear, self._overhear, self._went_back
        self.follower = Follower(self.losses, hear, overhear=overhear, went_back=went_back, busy=busy, clock=clock)
        self._file = file
        if file is not None:
            file.recall(self.forgotten)
        before = ShownBefore(self.hearing.show, lambda: self.statistics.known_from_ms is None)
        self.statistics = Statistics(
            (*listeners, before), self.forgotten, ids_kept_s=ids_kept_s, clock=clock, wall=wall
        )
        self.trends: Callable[[], Trends] = lambda: NO_TRENDS
        self._tombstones = tombstones
        self._forgotten_first = forgotten_first and tombstones is not None
        self._growth = Growth(items) if items is not None else None
        self._clock = clock
        self._wall = wall
        self._patience = Patience(self.opened, within_s, clock)
        self._replaying = Replaying(self.follower, self.opened, self.hearing, self._patience, clock)

    # --- what comes in -------------------------------------------------------------------------------------------

    def prepare(self, snapshot: Snapshot) -> None:
        """Read what it takes to know where a snapshot's users live, and what they do there. Blocking."""
        _ = snapshot.directory, snapshot.kinds

    def admit(self, snapshot: Snapshot) -> Residents:
        """A snapshot, prepared, is served from now on."""
        admitted = Residents(
            snapshot,
            self.hearing.users,
            self.follower,
            self.forgotten,
            self.hearing.shown,
            self._clock,
            self._wall,
            lambda: self.trends(),
            self.losses.concern,
        )
        self.opened.add(admitted)
        if self._growth is not None:
            self._growth.admit(snapshot)
        self._hold()
        self._patience.admitted()
        return admitted

    def dismiss(self, version: str) -> None:
        """A snapshot is not served any more."""
        self.opened.remove(version)
        if self._growth is not None:
            self._growth.dismiss(version)
        self._patience.settle(version)
        self._replaying.tidy_up()

    def point(self, version: str) -> None:
        """This version is the current one: what is said of users and items in general is as it has them."""
        self.opened.point(version)

    def want(self, pieces: Iterable[Piece], sole: Collection[Piece] = (), missing: Collection[Piece] = ()) -> None:
        """These are held, or are to be: their users' events are wanted.

        Args:
            pieces: all of them.
            sole: those that are in no other shard.
            missing: those of which nobody has any version.
        """
        homes, before = frozenset(piece for piece in pieces if piece.kind is Kind.HOME), self._patience.wanted
        self._patience.want(homes, frozenset(sole), frozenset(missing))
        if homes != before:
            self._hold()
        if before - homes:
            self._replaying.tidy_up()

    async def whole(self, piece: Piece) -> None:
        """Return once the log was replayed for a partition, or cannot be, or need not, or that takes too long.

        Stand-ins need no replay, but know people: nothing returns before it is known who is to be forgotten, where that
        comes first.
        """
        if self._forgotten_first:
            await self.forgotten.whole.wait()
        await self._patience.whole(piece)

    def is_caught_up(self) -> bool:
        """Whether all events until now were heard."""
        return self.follower.progress.is_caught_up(self._clock())

    # --- what runs -----------------------------------------------------------------------------------------------

    async def run(self) -> Never:
        """Follow and replay, until cancelled; who is to be forgotten is known before anything is heard."""
        async with asyncio.TaskGroup() as all_of_them:
            if self._file is not None:
                all_of_them.create_task(self._file.keep())
            if self._tombstones is not None:
                all_of_them.create_task(following(self.forgotten, self._tombstones))
                await self.forgotten.known()
            all_of_them.create_task(self.follower.run(from_end=True))
            all_of_them.create_task(self._replaying.run())
            all_of_them.create_task(self._learn())
            if self._growth is not None:
                all_of_them.create_task(self._growth.run())
        raise AssertionError("none has an end")

    async def _learn(self) -> None:
        """Have the log's past heard by statistics, once a snapshot is here, and it is whole, or that takes too long."""
        await self._patience.all_whole()
        await self.statistics.learn(self.follower)

    # --- how -----------------------------------------------------------------------------------------------------

    def _hold(self) -> None:
        self.opened.hold(self._patience.wanted)
        self._replaying.poke()

    def _overhear(self, record: log_pb2.Record, at: Position) -> Iterator[None]:
        return self.statistics.follow(record, at, self.follower.progress.watermark)

    def _went_back(self) -> None:
        """The log was restored from an older copy: what came since may be heard by nobody until it is replayed."""
        for one in self.opened:
            one.homes.replay_anew()
        self._replaying.poke()
        self.statistics.went_back()

    def _lost(self, loss: Loss) -> None:
        """Something was lost: also to statistics, unless they had heard it before."""
        known, at = self.follower.progress.watermark, loss.at
        followed = known is not None and known.log == at.log and at.number <= known.counts.get(at.lane, 0)
        if not followed or self.statistics.known_from_ms is None:
            self.statistics.missed(at, loss.time_ms)
