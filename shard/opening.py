"""Opens the versions and pieces that a shard is told to: off the event loop, and out of requests' way.

    asked for → open                    it was fetched, verified, opened and warmed
    asked for → refused, or not given   the log has it once, however many pieces fail of one cause; `shard.work` has why
    closed    → forgotten               beside all this: `shard.forgetting`

They are opened one at a time, but for a store that hangs: what has been under way for `HELD_UP_S` is passed by, by what
is served; what is served itself, after `HANGS_S`, by what else is. What only waits for the log to be replayed is passed
by at once, by what nobody has. What a thread still reads that nobody waits for any more is not closed before it comes
back.

Whatever fails here, what is warm goes on serving. What is opened, in which order, and what is closed, is
`shard.keeper`'s to say.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from functools import partial

import structlog

from shard.forgetting import Forgetting
from shard.generation import Generation, Opened
from shard.online.port import NO_LOG, OnlineKeeping
from shard.scene import Piece
from shard.work import Failures, is_refusal
from trunkshow import pacing
from trunkshow.offload import Offload
from trunkshow.serving import metrics
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.snapshot import acceptance
from trunkshow.snapshot.manifest import SnapshotRefused
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import Store, StoreError
from trunkshow.v1 import shard_pb2 as pb

HELD_UP_S = 5.0
"""After which what has been under way of another version does not hold up what is served."""

HANGS_S = 30.0
"""After which that holds of what is served, too: of several that come slowly each would only come more slowly."""

OPEN_WITHIN_S = 600.0
"""What takes longer is left to itself: its thread cannot be killed."""

STUCK_MAX = 4
RECENT_MAX = 64

REFUSED = metrics.counter("trunkshow_shard_refused_total", "Tries to open something that failed.", ("what",))
STORE_ERRORS = metrics.counter("trunkshow_shard_store_errors_total", "Times that the store did not answer.")

log = structlog.get_logger()

Key = Piece | str
"""What is opened at a time: a piece, or a version by its name."""


class Opening:
    """Opens and closes.

    Attributes:
        generations: by version, those that are open.
        forgetting: lets go of the files of what was closed.
        failures: what could not be opened, and when it is tried again.
        recent: requests of shoppers to warm up with; who answers them, adds some.
        variance: by which a version's counts may differ from its parent's.

    Args:
        store: to fetch from.
        warm_requests: replayed per piece.
        clock: monotonic seconds.
        online: what users did since a snapshot; known before a partition of it is open.
    """

    def __init__(
        self,
        store: Store,
        warm_requests: int,
        variance: float = math.inf,
        clock: Clock = monotonic,
        online: OnlineKeeping = NO_LOG,
    ) -> None:
        self.generations: dict[str, Generation] = {}
        self.failures: Failures[Key] = Failures()
        self.recent: deque[pb.PredictRequest] = deque(maxlen=RECENT_MAX)
        self.variance = variance
        self._store = store
        self._warm_requests = warm_requests
        self._clock = clock
        self._online = online
        self._busy: dict[Key, float] = {}
        self._waiting: set[Key] = set()
        self._read: list[str] = []
        self._fetching: Offload[Snapshot | Opened] = Offload("opening", stuck_max=STUCK_MAX, late=_give_back)
        self._passing: Offload[Snapshot | Opened] = Offload("opening served", stuck_max=STUCK_MAX, late=_give_back)
        self.forgetting = Forgetting(store, self._is_needed, clock)

    @property
    def pieces(self) -> list[Piece]:
        """What is warm."""
        return [piece for generation in self.generations.values() for piece in generation.pieces]

    def next(self, wanted: Iterable[Key]) -> Key | None:
        """Of what is wanted, in this order, what to try now; None where all is open, on its way or has to rest."""
        opened, leaving = {*self.generations, *self.pieces, *self._busy}, self.forgetting.leaving
        missing = (one for one in wanted if one not in opened and _version(one) not in leaving)
        return self.failures.next(missing, self._clock())

    def is_held_up(self, version: str) -> bool:
        """Whether all that is under way has been for so long that the store may hang."""
        now, limits = self._clock(), (HELD_UP_S, HANGS_S)
        return bool(self._busy) and all(
            now - since >= limits[_version(key) == version] for key, since in self._busy.items()
        )

    def waits_for_log(self) -> bool:
        """Whether all that is under way is here, and waits only for the log to be replayed for it."""
        return bool(self._busy) and self._busy.keys() <= self._waiting

    async def bring(
        self, key: Key, parent: str, share: float = pacing.SHARE, *, passing: bool = False
    ) -> Exception | None:
        """Open a version, or a piece of one that is open; why it could not be, where it could not.

        Args:
            key: to open.
            parent: that a version is compared with; empty where there is none.
            share: of the time that it may take from requests (`trunkshow.pacing`).
            passing: by threads of its own, as the others may hang.
        """
        self._busy[key] = self._clock()
        try:
            threads = self._passing if passing else self._fetching
            what = await threads.run(partial(self._fetched, key, parent, share), OPEN_WITHIN_S)
            await self._taken(key, what)
        except Exception as error:  # whatever it was, what is warm goes on serving
            self._failed(key, error)
            return error
        finally:
            del self._busy[key]
        self.failures = self.failures.opened(key)
        return None

    async def _taken(self, key: Key, what: Snapshot | Opened) -> None:
        """What was fetched is held from now on, or else closed."""
        try:
            if isinstance(what, Snapshot):
                self.generations[what.version] = Generation(what, self._warm_requests, self._online.admit(what))
                log.info("snapshot.opened", snapshot=what.version, partitions=what.partitions)
            elif isinstance(key, Piece):
                await self._whole(key)
                self.generations[key.version].adopt(key, what)
                log.info("piece.warm", snapshot=key.version, kind=key.kind.name, number=key.number)
        except BaseException:
            if isinstance(what, Snapshot):
                self._online.dismiss(what.version)
            what.close()
            raise

    async def _whole(self, piece: Piece) -> None:
        self._waiting.add(piece)
        try:
            await self._online.whole(piece)
        finally:
            self._waiting.discard(piece)

    def drop(self, piece: Piece) -> None:
        """Close a piece, once nobody reads it."""
        log.info("piece.closed", snapshot=piece.version, kind=piece.kind.name, number=piece.number)
        self.generations[piece.version].drop(piece)

    def close_but(self, served: Iterable[str]) -> None:
        """Close the versions that are not served and of which no piece is open, or being opened."""
        read = self._under_way()
        for version in set(self.generations).difference(served, read):
            if not self.generations[version].pieces:
                log.info("snapshot.closed", snapshot=version)
                closed = self.generations.pop(version)
                closed.close()
                self._online.dismiss(version)
                self.forgetting.closed(closed.snapshot)

    def _under_way(self) -> set[str]:
        return {*self._read, *map(_version, self._busy)}

    def _is_needed(self, version: str) -> bool:
        return version in self.generations or version in self._under_way()

    def close(self) -> None:
        """Give every file back."""
        for generation in self.generations.values():
            generation.close()
        self.generations.clear()

    def _fetched(self, key: Key, parent: str, share: float) -> Snapshot | Opened:
        """What was asked for; in a thread."""
        with pacing.paced(share):
            if isinstance(key, Piece):
                return self._read_from(key)
            self._compare(key, parent)
            opened = Snapshot.open(self._store, key)
            try:
                self._online.prepare(opened)
            except BaseException:
                opened.close()
                raise
            return opened

    def _read_from(self, piece: Piece) -> Opened:
        """In a thread, which may be left to itself and go on reading: what it maps must stay as long."""
        self._read.append(piece.version)
        try:
            return self.generations[piece.version].open(piece, tuple(self.recent))
        finally:
            self._read.remove(piece.version)

    def _compare(self, version: str, parent: str) -> None:
        """Hold a version's dimensions and counts against its parent's; one that is gone, or spoilt, proves nothing."""
        if not parent or parent == version:
            return
        try:
            before = self._store.manifest(parent)
        except (StoreError, SnapshotRefused):
            return
        acceptance.compare(self._store.manifest(version), before, self.variance)

    def _failed(self, key: Key, error: Exception) -> None:
        refused = is_refusal(error)
        known = {failure.why for failure in self.failures.of.values()}
        self.failures = self.failures.failed(key, str(error), self._clock(), refused=refused)
        if refused:
            REFUSED.labels("snapshot" if isinstance(key, str) else "partition").inc()
        else:
            STORE_ERRORS.inc()
        if str(error) not in known:  # a full disk fails every partition, and is told once
            event, named = "snapshot", dict[str, object](snapshot=key)
            if isinstance(key, Piece):
                event, named = "partition", {"snapshot": key.version, "kind": key.kind.name, "number": key.number}
            log.error(f"{event}.{'refused' if refused else 'not_given'}", **named, error=str(error))


def _version(key: Key) -> str:
    return key.version if isinstance(key, Piece) else key


def _give_back(brought: Snapshot | Opened) -> None:
    brought.close()
