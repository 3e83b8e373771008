"""Lets go of the files of versions that a shard has closed: the store may remove the copies that it keeps here.

    closed → leaving      nobody refers to it any more, or whoever does is taken to be held in a circle; and nothing of
                          it is open again, or being opened
    leaving → forgotten   the store came back with the removal; until then nothing of the version is opened, since what
                          is fetched meanwhile would be removed as well

A disk may hang in that, and no thread can be killed: nothing waits for it. It is told of, and as long as it lasts no
further removal is begun.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import structlog

from trunkshow.offload import NotBegun, Offload, Stuck
from trunkshow.serving import metrics
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.serving.telemetry import Throttle
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import Store

HELD_S = 5.0
"""After which what is closed, and still held by somebody, is taken to be held in a circle. To look for circles holds
the interpreter for as long as an answer may take, and shards that follow one pointer would do it at one moment."""

FORGET_WITHIN_S = 30.0

NOT_FORGOTTEN = metrics.counter(
    "trunkshow_shard_not_forgotten_total", "Closed versions whose copies here were not removed in time."
)

log = structlog.get_logger()


class _Closed(NamedTuple):
    """A version that was closed and has still to be forgotten."""

    snapshot: weakref.ref[Snapshot]
    at: float


class Forgetting:
    """Forgets what was closed, one version at a time.

    Args:
        store: that keeps copies here. It may hang in their removal.
        is_needed: whether something of a version is open, or being opened.
        clock: monotonic seconds.
    """

    def __init__(self, store: Store, is_needed: Callable[[str], bool], clock: Clock = monotonic) -> None:
        self._store = store
        self._is_needed = is_needed
        self._clock = clock
        self._closed: dict[str, _Closed] = {}
        self._leaving: set[str] = set()
        self._threads: Offload[None] = Offload("forgetting")
        self._throttle = Throttle(FORGET_WITHIN_S, clock)

    @property
    def leaving(self) -> frozenset[str]:
        """Versions of which nothing may be opened now."""
        return frozenset(self._leaving)

    def closed(self, snapshot: Snapshot) -> None:
        """A version was closed; it is forgotten once it may be."""
        self._closed[snapshot.version] = _Closed(weakref.ref(snapshot), self._clock())

    async def look(self) -> None:
        """Forget what may be forgotten now."""
        for version in [*self._closed]:
            one = self._closed[version]
            held = one.snapshot() is not None
            if self._is_needed(version) or (held and self._clock() - one.at < HELD_S):
                continue
            self._leaving.add(version)  # here, where it is decided what is opened: a thread begins some time later
            del self._closed[version]
            try:
                await self._threads.run(partial(self._forgotten, version, held=held), FORGET_WITHIN_S)
            except Stuck as error:
                self._throttle.log(log.error, "snapshot.not_forgotten", snapshot=version, error=str(error))
                if isinstance(error, NotBegun):  # another one hangs
                    self._leaving.discard(version)
                    self._closed[version] = one
                else:
                    NOT_FORGOTTEN.inc()

    def _forgotten(self, version: str, *, held: bool) -> None:
        """In a thread, which may be left to itself."""
        try:
            if held:
                gc.collect()  # its files stay mapped until somebody looks for what holds it
            self._store.forget(version)
        finally:
            self._leaving.discard(version)
