"""Keeps what a shard holds as it should be: follows the pointer and the membership, opens, warms, gives up, reports.

    pointer   ─┐                          ┌─ opener: one thing at a time, off the event loop
    members   ─┼─► holdings.planned() ────┤
    words     ─┘   (pure; at every change)└─ closing: on the event loop, once nobody reads

Whatever fails here, what is warm goes on serving. A store that hangs or does not answer is told once, and once more
when it is back; what is refused rests (`shard.work`) and is tried again, since a copy may be fetched anew.
What is to be held, and what may be closed, is decided in `shard.holdings`.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Never

import structlog

from shard import holdings
from shard.generation import Generation, Opened
from shard.heard import Heard, Word
from shard.scene import Kind, Limits, Peers, Piece, Plan, Scene, Sizes
from shard.work import Failures, is_refusal
from trunkshow import pacing
from trunkshow.offload import Offload, Stuck
from trunkshow.serving import metrics
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.snapshot import acceptance
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import Store, StoreError, StoreUnreachable
from trunkshow.v1 import shard_pb2 as pb

POINTER_WITHIN_S = 5.0
FORGET_WITHIN_S = 30.0
OPEN_WITHIN_S = 600.0
"""What takes longer is left to itself: its thread cannot be killed."""

WITNESSED = 2
"""Tries in a row that must have failed before something that no other shard holds is called spoilt."""

STUCK_MAX = 4
TEND_S = 0.25
RECENT_MAX = 64

REFUSED = metrics.counter("trunkshow_shard_refused_total", "Tries to open something that failed.", ("what",))
STORE_ERRORS = metrics.counter("trunkshow_shard_store_errors_total", "Times that the store did not answer.")

log = structlog.get_logger()

Brought = tuple[Snapshot | Opened, Piece | str]


class Keeper:
    """What a shard holds.

    Attributes:
        generations: by version, those that are open.
        heard: what routers say; who hears them, `poke`s.
        recent: requests of shoppers to warm up with; who answers them, adds some.
        watchers: streams on which routers watch this shard; who serves them, counts them.

    Args:
        store: to follow and to fetch from.
        own: this shard's name.
        replicas: shards that should hold a partition.
        limits: how much is kept, and how long.
        warm_requests: replayed per piece.
        variance: by which a version's counts may differ from its parent's.
        changed: called after every change of what there is to report.
        clock: a port: monotonic seconds.
    """

    def __init__(
        self,
        store: Store,
        own: str,
        *,
        replicas: int,
        limits: Limits,
        warm_requests: int,
        changed: Callable[[], None],
        variance: float = math.inf,
        clock: Clock = monotonic,
    ) -> None:
        self.generations: dict[str, Generation] = {}
        self.heard = Heard()
        self.recent: deque[pb.PredictRequest] = deque(maxlen=RECENT_MAX)
        self.watchers = 0
        self._store = store
        self._own, self._replicas, self._limits, self._warm_requests = own, replicas, limits, warm_requests
        self.variance = variance
        self._changed, self._clock = changed, clock
        self._pointer: Pointer | None = None
        self._members: frozenset[str] = frozenset()
        self._was_member = False
        self._plan = Plan()
        self._planned_for: frozenset[str] = frozenset()
        self._busy_with = ""
        self._failures: Failures[Piece | str] = Failures()
        self._poked = asyncio.Event()
        self._whole = asyncio.Event()
        self._leaving_since: float | None = None
        self._unreachable = ""
        self._pointing: Offload[Pointer] = Offload("pointer")
        self._closed: deque[str] = deque()
        self._forgetting: Offload[None] = Offload("forgetting")
        self._opening: Offload[Brought] = Offload("opening", stuck_max=STUCK_MAX, late=_give_back)
        self._tried: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # --- what comes in -------------------------------------------------------------------------------------------

    def poke(self) -> None:
        """Something changed that a plan follows from."""
        self._poked.set()

    def joined(self, members: tuple[str, ...]) -> None:
        """The membership is another one. Who was never in it counts himself in: he is on his way there."""
        self._members = frozenset(members)
        self._was_member |= self._own in self._members
        self.poke()

    def hear(self, router: str, word: Word) -> None:
        """A router spoke."""
        if self.heard.hear(router, word):
            self.poke()

    def pointed(self, pointer: Pointer) -> None:
        """The pointer was seen."""
        if self._pointer is None or pointer.states != self._pointer.states:
            current, candidate, previous = pointer.current, pointer.candidate, pointer.previous
            log.info("pointer.seen", serial=pointer.serial, current=current, candidate=candidate, previous=previous)
            self._pointer = pointer
            self.poke()

    # --- what runs -----------------------------------------------------------------------------------------------

    async def follow(self, period_s: float) -> Never:
        """Look at the store's pointer again and again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(period_s)

    async def look(self) -> None:
        """Look at the store's pointer once."""
        try:
            self.pointed(await self._pointing.run(self._store.pointer, POINTER_WITHIN_S))
        except (StoreError, Stuck, OSError) as error:
            self._reachable(str(error))
            if not isinstance(error, (StoreUnreachable, Stuck)):
                self._settle_first_try(error)
            return
        self._reachable("")
        if not getattr(self._store, "reachable", True):  # its copy here was read instead, which tells the log
            STORE_ERRORS.inc()

    async def run(self) -> Never:
        """Plan at every change and every now and then, give up, and open what is next, until cancelled."""
        opener: asyncio.Task[None] | None = None
        while True:
            self._poked.clear()
            if self._leaving_since is None:
                self.tend()
                if opener is None or opener.done():
                    opener = asyncio.create_task(self.bring_next())
            waiting = asyncio.ensure_future(self._poked.wait())
            await asyncio.wait({waiting}, timeout=TEND_S)
            waiting.cancel()

    def tend(self) -> None:
        """Plan, and give up what may be given up."""
        if self._pointer is None or not self._members:
            return
        before, scene = self._plan, self._scene()
        self._plan = holdings.planned(scene, before.surplus)
        self._planned_for = frozenset(scene.sizes)
        for piece in self._plan.close:
            log.info("piece.closed", snapshot=piece.version, kind=piece.kind.name, number=piece.number)
            self.generations[piece.version].drop(piece)
        self._close_generations()
        self._failures = self._failures.only([*self._versions(), *self._plan.wanted])
        if self._plan.close or before != self._plan:
            self._say()

    async def ready(self) -> None:
        """Return once everything wanted of the current version is warm.

        Raises:
            StoreError: at the first try the store answered that it serves nothing.
            SnapshotRefused: at the first try what it serves failed a check, and there is nothing before it.
        """
        await self._tried
        await self._whole.wait()

    async def handed_over(self) -> None:
        """Leave: return once others have what is held here, or no router speaks."""
        self._leaving_since = self._clock()
        while self.watchers and (scene := self._scene() if self._pointer else None) and scene.words:
            if holdings.handed_over(scene, self._leaving_since):
                log.info("shard.handed_over", pieces=len(scene.open))
                return
            waiting = asyncio.ensure_future(self._poked.wait())
            await asyncio.wait({waiting}, timeout=TEND_S)
            waiting.cancel()
            self._poked.clear()

    def close(self) -> None:
        """Give every file back."""
        for generation in self.generations.values():
            generation.close()
        self.generations.clear()

    # --- what it says --------------------------------------------------------------------------------------------

    def state(self) -> pb.ShardState:
        """How far this shard is with the current version: everything warm, something refused, or on the way."""
        current = self._pointer.current if self._pointer else ""
        if current not in self._planned_for:
            return pb.SHARD_STATE_DEGRADED if current in self._failures.refused() else pb.SHARD_STATE_LOADING
        lacking = {piece for piece in self._plan.wanted if piece.version == current} - set(self._open())
        if not lacking:
            return pb.SHARD_STATE_READY
        return pb.SHARD_STATE_DEGRADED if lacking <= self._failures.refused() else pb.SHARD_STATE_LOADING

    def status(self) -> list[pb.GenerationStatus]:
        """What is held, of every version."""
        refused = self._spoilt()
        loading = set(self._plan.wanted) - set(self._open()) - set(refused)
        return [one.status(loading, refused, self._plan.surplus) for one in self.generations.values()]

    def _spoilt(self) -> dict[Piece, str]:
        """What is told as refused, and why."""
        failed = {key: self._failures.of[key] for key in self._failures.refused() if isinstance(key, Piece)}
        return {key: one.why for key, one in failed.items() if key.kind is Kind.HOME or one.times >= WITNESSED}

    # --- how ---------------------------------------------------------------------------------------------------

    def _scene(self) -> Scene:
        now = self._clock()
        words = self.heard.fresh(now)
        leaving = frozenset().union(*(word.leaving for word in words))
        members = self._members if self._was_member else self._members | {self._own}
        peers = Peers(self._own, members, leaving, self._replicas)
        sizes: Mapping[str, Sizes] = {version: one.sizes for version, one in self.generations.items()}
        assert self._pointer is not None
        return Scene(now, self._pointer, sizes, peers, self._open(), words, self._limits)

    def _open(self) -> list[Piece]:
        return [piece for generation in self.generations.values() for piece in generation.pieces]

    def _versions(self) -> list[str]:
        pointer = self._pointer or Pointer()
        return [one for one in (pointer.current, pointer.candidate, pointer.previous) if one]

    def _close_generations(self) -> None:
        served = self._versions()
        for version in [version for version, one in self.generations.items() if version not in served]:
            if not self.generations[version].pieces and version != self._busy_with:
                log.info("snapshot.closed", snapshot=version)
                self.generations.pop(version).close()
                self._closed.append(version)

    async def bring_next(self) -> None:
        """Open the next version or piece; one at a time, so that shoppers' requests get in between."""
        if self._pointer is None or not self._members:
            return
        if not self._pointer.current:
            self._settle_first_try(StoreError(f"{self._store.url} serves no snapshot; promote one"))
        await self._forget_closed()
        missing: list[Piece | str] = []
        for version in self._versions():
            if version not in self.generations:
                missing.append(version)
            missing += [piece for piece in self._plan.wanted if piece.version == version]
        opened = set(self._open())
        key = self._failures.next((one for one in missing if one not in opened), self._clock())
        if key is not None:
            await self._bring(key)
            self.poke()

    async def _forget_closed(self) -> None:
        """Let go of the files of what was closed; between two openings, since it may be opened again."""
        while self._closed:
            version = self._closed.popleft()
            if version not in self.generations:
                with suppress(Stuck):
                    await self._forgetting.run(partial(self._store.forget, version), FORGET_WITHIN_S)

    async def _bring(self, key: Piece | str) -> None:
        self._busy_with = key.version if isinstance(key, Piece) else key
        try:
            what, _ = await self._opening.run(lambda: self._opened(key), OPEN_WITHIN_S)
        except Exception as error:  # whatever it was, what is warm goes on serving
            self._fail(key, error)
            return
        finally:
            self._busy_with = ""
        self._failures = self._failures.opened(key)
        if isinstance(what, Snapshot):
            self.generations[what.version] = Generation(what, self._warm_requests)
            log.info("snapshot.opened", snapshot=what.version, partitions=what.partitions)
            self._settle_first_try(None)
        elif isinstance(key, Piece):
            self.generations[key.version].adopt(key, what)
            log.info("piece.warm", snapshot=key.version, kind=key.kind.name, number=key.number)
        self._say()

    def _opened(self, key: Piece | str) -> Brought:
        """What was asked for; in a thread, out of the way of requests."""
        with pacing.paced():
            if isinstance(key, Piece):
                return self.generations[key.version].open(key, tuple(self.recent)), key
            self._compare(key)
            return Snapshot.open(self._store, key), key

    def _compare(self, version: str) -> None:
        """Hold a version's dimensions and counts against its parent's; a parent that is gone proves nothing."""
        parent = self._pointer.parent(version) if self._pointer else ""
        if not parent or parent == version:
            return
        try:
            before = self._store.manifest(parent)
        except StoreError:
            return
        acceptance.compare(self._store.manifest(version), before, self.variance)

    def _fail(self, key: Piece | str, error: Exception) -> None:
        refused = is_refusal(error)
        known = {failure.why for failure in self._failures.of.values()}
        self._failures = self._failures.failed(key, str(error), self._clock(), refused=refused)
        if refused:
            REFUSED.labels("snapshot" if isinstance(key, str) else "partition").inc()
        else:
            STORE_ERRORS.inc()
        if str(error) not in known:  # a full disk fails every partition, and is told once
            event, named = "snapshot", dict[str, object](snapshot=key)
            if isinstance(key, Piece):
                event, named = "partition", {"snapshot": key.version, "kind": key.kind.name, "number": key.number}
            log.error(f"{event}.{'refused' if refused else 'not_given'}", **named, error=str(error))
        lasting = not isinstance(error, (StoreUnreachable, Stuck))  # a start with a full disk ends, and says so
        if lasting and isinstance(key, str) and self._pointer and not self._pointer.previous:
            self._settle_first_try(error)
        self._say()

    def _say(self) -> None:
        if self.state() == pb.SHARD_STATE_READY:
            self._whole.set()
        self._changed()

    def _reachable(self, why: str) -> None:
        if why:
            STORE_ERRORS.inc()
        if bool(why) != bool(self._unreachable):
            if why:
                log.error("pointer.unknown", store=self._store.url, error=why, serving=sorted(self.generations))
            else:
                log.info("pointer.known", store=self._store.url)
        self._unreachable = why

    def _settle_first_try(self, error: Exception | None) -> None:
        """What the first try came to: a misconfiguration ends the start, an accident later on ends nothing."""
        if not self._tried.done():
            if error is None:
                self._tried.set_result(None)
            else:
                self._tried.set_exception(error)


def _give_back(brought: Brought) -> None:
    brought[0].close()
