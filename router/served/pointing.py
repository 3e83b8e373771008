"""Follows the store's pointer: reads it a few times a second, opens what it names, and serves it.

A version's way into this router; each step is one log event:

    named → opening    away from the event loop, in a thread that nothing waits for
    opening → open     its shared files passed every check, and it made a slate: it is served (`choosing`)
    opening → doubted  a check failed: what was fetched may be this machine's fault, so it is fetched once more
    doubted → refused  a check failed again: what was serving goes on, and it is never tried again by this process;
                       but at the longest delay, if it is the current one and the file that was spoilt here is open in
                       shards: they may close what is served here to make room for it
    opening → named    the store failed; it is tried again, after a delay that doubles
    opening → missing  the store says that there is no such version; told and counted once, as one that is refused, and
                       looked for again at the longest delay: a store may show later what was pushed before

Whatever the store does (it hangs, it fails, it names a version that is not there), requests notice nothing. The
pointer is read in a thread of its own: one that hangs leaves `store_reachable` false, and nothing else behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Never

import structlog

from router.cluster.topology import Topology
from router.served.choosing import ahead, chosen, moving_from, overtaken, versions_of
from router.served.keeper import Keeper
from router.served.moving import opened_by_some
from router.served.proving import proved
from router.served.views import View, Views
from trunkshow import pacing
from trunkshow.offload import Offload
from trunkshow.serving import metrics
from trunkshow.serving.backoff import Backoff
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.serving.rounds import rounds
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.manifest import FileSpoilt, SnapshotRefused
from trunkshow.snapshot.store import NoSuchSnapshot

BACKOFF = Backoff(first_s=0.5, longest_s=30.0)
OPENING_MAX = 4
"""Snapshots that are opened at a time; a store that hangs holds no more threads than these."""

READ_WITHIN_S = 5.0
OPEN_WITHIN_S = 600.0
"""Long enough for a catalogue to come over a slow line; a store that hangs has this version tried again after it."""

BEGIN_WITHIN_S = 10.0
"""That a start waits for a version which shards serve and the pointer names no more; it is served later then."""

REFUSED = metrics.counter(
    "trunkshow_router_snapshots_refused_total", "Snapshots that failed a check in this router, or were not there."
)

log = structlog.get_logger()


class Retry(NamedTuple):
    """When a version that the store failed to give is tried again, and how often it has failed so far."""

    at: float
    failures: int


class Pointing:
    """Keeps what is served in step with the store's pointer.

    Args:
        read: the pointer, and whether it came from the store itself rather than from a copy on this disk. May hang.
        opening: verifies and opens a version. May hang.
        keeper: serves what was opened.
        every_s: between two looks at the pointer.
        topology: what shards hold now.
        settled: called whenever something else is served.
        silence_s: without a look that succeeded, the store counts as unreachable.
        clock: monotonic.

    Attributes:
        refused: versions that failed a check here, and why.
        spoilt: of these, those of which a file was spoilt that shards open, too.
    """

    def __init__(
        self,
        read: Callable[[], tuple[Pointer, bool]],
        opening: Callable[[str], View],
        keeper: Keeper,
        *,
        every_s: float,
        topology: Callable[[], Topology] = lambda: Topology.of(()),
        settled: Callable[[], None] = lambda: None,
        silence_s: float = 2.0,
        clock: Clock = monotonic,
    ) -> None:
        self._read = read
        self._open = opening
        self._keeper = keeper
        self._every_s = every_s
        self._topology = topology
        self._settled = settled
        self._silence_s = silence_s
        self._clock = clock
        self._reached_at = clock()
        self._reachable = True
        self._told = False
        self._pointer: Pointer | None = None
        self._reading = Offload[tuple[Pointer, bool]]("pointer")
        self._bringing = Offload[View]("snapshot", stuck_max=OPENING_MAX, late=keeper.arrived)
        self._opening: dict[str, asyncio.Task[None]] = {}
        self._retries: dict[str, Retry] = {}
        self._missing: set[str] = set()
        self._doubted: set[str] = set()
        self._overtaken = ""
        self.refused: dict[str, str] = {}
        self.spoilt: set[str] = set()

    @property
    def store_reachable(self) -> bool:
        """Whether the store answered when it was last asked, and lately."""
        return self._reachable and self._clock() - self._reached_at < self._silence_s

    @property
    def candidate(self) -> str:
        """The version that the pointer has tried, open here or not; empty where there is none."""
        return self._pointer.candidate if self._pointer is not None else ""

    async def begin(self) -> None:
        """Open what shards serve although it made way, where they have more of it than of what is served here.

        Rule 5 of `choosing`: to be called once the shards were heard, before anybody is answered. Returns once that is
        served, or was waited for long enough.
        """
        if not ahead(self._keeper.now, self._topology()):  # nearly always: a store that hangs is not asked for this
            return
        try:
            await self._look()
            if self._pointer is None:
                return
            self._overtaken = overtaken(self._pointer, self._keeper.now, self._topology())
            self._open_named()
        except Exception as error:  # as in `follow`: what nobody foresaw must not keep a router from starting
            log.error("pointing.failed", exc_info=error)
            return
        if (opening := self._opening.get(self._overtaken)) is not None:
            await asyncio.wait({opening}, timeout=BEGIN_WITHIN_S)

    async def follow(self) -> Never:
        """Follow the pointer until cancelled."""
        await rounds(self._look, self._every_s, failed="pointing.failed")

    async def _look(self) -> None:
        try:
            pointer, reachable = await self._reading.run(self._read, READ_WITHIN_S)
        except Exception as error:  # whatever a store raises, this goes on
            self.unreachable(str(error))
        else:
            self.heard(pointer, reachable=reachable)

    def heard(self, pointer: Pointer, *, reachable: bool = True) -> None:
        """The pointer was read."""
        if reachable:
            self._reached_at = self._clock()
            if self._told:
                log.info("store.reachable")
            self._told = False
        self._reachable = reachable  # where it is not, whoever read its copy on this disk has told the log
        if self._pointer is None or not pointer.may_be_past(self._pointer):
            self._pointer = pointer
        if self._overtaken:  # until it is open, or needed no more
            self._overtaken = overtaken(self._pointer, self._keeper.now, self._topology())
        self._open_named()
        self._settle()

    def unreachable(self, error: str) -> None:
        """The pointer could not be read."""
        if self._reachable:
            log.warning("store.unreachable", error=error)
            self._told = True
        self._reachable = False

    async def close(self) -> None:
        """Open nothing more."""
        for task in self._opening.values():
            task.cancel()

    def _wanted(self) -> tuple[str, ...]:
        """Versions that are to be open, the most urgent first."""
        assert self._pointer is not None
        return tuple(filter(None, (*versions_of(self._pointer), self._overtaken)))

    def _open_named(self) -> None:
        for version in self._wanted():
            if version in self._keeper.opened or version in self._opening or self._is_refused(version):
                continue
            retry = self._retries.get(version)
            if len(self._opening) < OPENING_MAX and (retry is None or retry.at <= self._clock()):
                self._opening[version] = asyncio.ensure_future(self._bring(version))

    def _is_refused(self, version: str) -> bool:
        """Whether it is not tried again."""
        assert self._pointer is not None
        alone = version == self._pointer.current and version in self.spoilt
        return version in self.refused and not (alone and opened_by_some(self._topology(), version))

    async def _bring(self, version: str) -> None:
        """Open one version, and serve it if it is still named."""
        try:
            view = await self._bringing.run(partial(self._opened, version), OPEN_WITHIN_S)
        except SnapshotRefused as error:
            self._failed_a_check(version, error)
        except NoSuchSnapshot as error:
            if version not in self._missing:
                self._missing.add(version)
                REFUSED.inc()
                log.error("snapshot.missing", snapshot=version, error=str(error))
            self._retries[version] = Retry(self._clock() + BACKOFF.longest_s, 1)
        except Exception as error:  # the store's failures, the disk's, and what nobody thought of
            failures = self._retries[version].failures + 1 if version in self._retries else 1
            self._retries[version] = Retry(self._clock() + BACKOFF.after(failures), failures)
            if failures == 1:
                log.warning("snapshot.not_opened", snapshot=version, error=str(error) or repr(error))
        else:
            self._retries.pop(version, None)
            self._missing.discard(version)
            self._doubted.discard(version)
            self.refused.pop(version, None)
            self.spoilt.discard(version)
            log.info("snapshot.opened", snapshot=version, items=len(view.snapshot.catalogue))
            self._keeper.arrived(view)
        finally:
            self._opening.pop(version, None)
        try:
            self._settle()
        except Exception as error:  # the next look at the pointer tries again
            log.error("pointing.failed", exc_info=error)

    def _failed_a_check(self, version: str, error: SnapshotRefused) -> None:
        if version not in self._doubted:
            self._doubted.add(version)
            self._retries[version] = Retry(self._clock() + BACKOFF.first_s, 1)
            log.warning("snapshot.doubted", snapshot=version, error=str(error))
            return
        self._retries[version] = Retry(self._clock() + BACKOFF.longest_s, 1)
        if version in self.refused:
            return
        self.refused[version] = str(error)
        if isinstance(error, FileSpoilt):
            self.spoilt.add(version)
        REFUSED.inc()
        log.error("snapshot.refused", snapshot=version, error=str(error))

    def _opened(self, version: str) -> View:
        """In a thread, out of the way of requests."""
        with pacing.paced():
            return proved(self._open(version))

    def _settle(self) -> None:
        """Serve what the pointer names, as far as it is open."""
        assert self._pointer is not None
        was = self._keeper.now
        views = self._from_overtaken(chosen(self._pointer, self._keeper.opened, was) or was)
        self._keeper.adopt(views, self._wanted())
        self._settled()
        if views.current is not was.current:
            previous = views.previous.version if views.previous else ""
            log.info("snapshot.current", snapshot=views.current.version, previous=previous, serial=views.serial)

    def _from_overtaken(self, views: Views) -> Views:
        """With the traffic to be moved from what shards serve, once that is open, where it still is so."""
        assert self._pointer is not None
        view = self._keeper.opened.get(self._overtaken)
        if view is None:
            return views
        self._overtaken = ""
        if overtaken(self._pointer, views, self._topology()) != view.version:
            return views
        log.warning("snapshot.overtaken", snapshot=views.current.version, served=view.version)
        return moving_from(views, view)
