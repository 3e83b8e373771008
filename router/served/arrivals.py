"""Where newcomers live, and who is to be forgotten, in every snapshot that is open here: why routers follow the log.

Each snapshot's newcomers are read from where it ends, by a reader of its own, so that every router finds the same homes
as every shard does, whenever it started (`trunkshow.online.newcomers`). Somebody who is not heard of yet is a stranger.
What happened since a snapshot was built may be long: for one that comes while another is served it is read at the pace
of background work, as shards read it.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Iterable
from typing import Never

from router.served.keeper import Keeper
from router.served.views import View
from trunkshow.eventlog.log import EventLog
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.follower import Follower
from trunkshow.online.forgotten import BuiltWith, Forgotten, Tombstone
from trunkshow.online.forgotten_file import ForgottenFile
from trunkshow.online.positions import Position, Since
from trunkshow.online.tombstones import following
from trunkshow.online.turns import BEFORE_IT_SERVES, FOLLOWING
from trunkshow.online.weights import SHARES
from trunkshow.serving import metrics
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.v1 import events_pb2

LOOK_EVERY_S = 0.25

NEWCOMERS = metrics.gauge("trunkshow_router_newcomers", "Users whom no snapshot knows and the event log does.")


class Arrivals:
    """Follows the log for every view that is open.

    Args:
        keeper: of the views.
        source: the log.
        tombstones: beside it; nobody is forgotten where None.
        file: with the tombstones that were heard before, and that are heard now; none where None.
        busy: whether there are requests to answer.
        clock: a port: monotonic seconds.
    """

    def __init__(
        self,
        keeper: Keeper,
        source: EventLog,
        tombstones: EventLog | None = None,
        *,
        file: ForgottenFile | None = None,
        busy: Callable[[], bool],
        clock: Clock = monotonic,
    ) -> None:
        self.forgotten = Forgotten()
        self.forgotten.listen(self._forget)
        self._file = file
        self._tombstones = tombstones
        self._keeper = keeper
        self._source = source
        self._busy = busy
        self._clock = clock
        self._readers: dict[View, Follower] = {}
        self._running: dict[View, asyncio.Task[None]] = {}
        if file is not None:
            file.recall(self.forgotten)
            for view in keeper.opened.values():  # before anything is served from them
                self.forget_all(view)
        NEWCOMERS.set_function(lambda: len(keeper.now.current.newcomers))

    async def run(self) -> Never:
        """Read for what is open, and for nothing else, until cancelled."""
        async with asyncio.TaskGroup() as both:
            if self._file is not None:
                both.create_task(self._file.keep())
            if self._tombstones is not None:
                both.create_task(following(self.forgotten, self._tombstones))
                await self.forgotten.known()
            both.create_task(self._look_again_and_again())
        raise AssertionError("neither has an end")

    async def _look_again_and_again(self) -> Never:
        try:
            while True:
                self.look()
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            for task in self._running.values():
                task.cancel()

    def look(self) -> None:
        """Begin to read for views that came, and end it for those that went."""
        opened = list(self._keeper.opened.values())
        for view in [one for one in self._running if one not in opened]:
            self._running.pop(view).cancel()
            del self._readers[view]
        for view in opened:
            if view not in self._running:
                self._read_for(view)
            elif self._running[view].done():
                self._running[view].result()  # a bug: it must not stay unseen

    async def reached(self, view: View, watermark: Watermark, within_s: float) -> bool:
        """Whether a view's newcomers up to a watermark are known, waiting for them so long at most."""
        reader = self._readers.get(view)
        return reader is not None and await reader.reached(watermark, within_s)

    def has_reached(self, view: View, watermark: Watermark) -> bool:
        """Whether they are known now."""
        reader = self._readers.get(view)
        return reader is not None and reader.progress.covers(watermark)

    def _read_for(self, view: View) -> None:
        since, version = Since.of(view.snapshot.manifest), view.version
        self.forget_all(view)
        known = weakref.ref(view)  # a reading that was called off may be held in a circle, and the view is not to be

        def hear(event: events_pb2.Event, at: Position) -> None:
            if event.interaction not in SHARES:  # most events
                return
            time_ms = event.timestamp.ToMilliseconds()
            if self.forgotten.covers(event.user_id, at, time_ms):
                return
            view = self._keeper.opened.get(version)
            if view is not None and view is known():
                _hear(view, since, event, at, time_ms)

        is_another = any(one.progress.is_caught_up(self._clock()) for one in self._readers.values())
        at_first = BEFORE_IT_SERVES if is_another else FOLLOWING
        reader = Follower(self._source, hear, at_first=at_first, busy=self._busy, clock=self._clock)
        self._readers[view] = reader
        self._running[view] = asyncio.create_task(reader.run(since))

    def forget_all(self, view: View) -> None:
        """Hide everybody from a view who is to be forgotten, before anything is served from it."""
        _forget(view, self.forgotten.tombstones())

    def _forget(self, tombstone: Tombstone) -> None:
        for view in self._keeper.opened.values() if self._running else ():  # the first look at them tells them all
            _forget(view, (tombstone,))


def _forget(view: View, tombstones: Iterable[Tombstone]) -> None:
    """To a snapshot that was built without a tombstone the person is a stranger from now on."""
    built_with = BuiltWith.of(view.snapshot.manifest)
    for tombstone in tombstones:
        view.forget(tombstone.user_id, hide=not built_with.has(tombstone))


def _hear(view: View, since: Since, event: events_pb2.Event, at: Position, time_ms: int) -> None:
    """An event, maybe of a newcomer, maybe their first."""
    if not since.is_new(at, time_ms):
        return
    if view.home_in_snapshot(event.user_id) is not None:
        return
    view.newcomers.take(event, at, view.snapshot.catalogue.built_row)
