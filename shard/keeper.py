"""Keeps what a shard holds as it should be: plans at every change, has opened what is next, and gives up the rest.

    pointer   ─┐                          ┌─ opening: off the event loop (`shard.opening`)
    members   ─┼─► holdings.planned() ────┤  in lanes (`shard.lanes`)
    words     ─┘   (pure; at every change)└─ closing: on the event loop, once nobody reads

The pointer is followed by `shard.pointing`. What is to be held, and what may be closed, is decided in
`shard.holdings`; how far the shard is, said by `shard.standing`. Whether the membership names this shard at all, by
`shard.belonging`. Whatever fails, what is warm goes on serving.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from typing import Never

import structlog

from shard import holdings
from shard.belonging import Belonging
from shard.heard import Heard, Word
from shard.lanes import Lanes, Wish
from shard.online.port import NO_LOG, OnlineKeeping
from shard.opening import Key, Opening
from shard.pointing import Pointing
from shard.scene import Limits, Peers, Piece, Plan, Scene, Sizes
from shard.standing import Standing
from shard.work import is_lasting
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.serving.rounds import rounds
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.store import Store, StoreError
from trunkshow.v1 import shard_pb2 as pb

TEND_S = 0.25

CLOSED_AT_ONCE = 8
"""Pieces; one takes about a millisecond of the event loop, and a version has dozens."""

log = structlog.get_logger()


class Keeper:
    """What a shard holds.

    Attributes:
        pointing: follows the pointer.
        opening: opens and closes what is held.
        lanes: what of that goes on at a time.
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
        online: what users did since a snapshot; known before a partition of it is reported warm.
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
        online: OnlineKeeping = NO_LOG,
        clock: Clock = monotonic,
    ) -> None:
        self.opening = Opening(store, warm_requests, variance, clock, online)
        self._online = online
        self.generations, self.recent = self.opening.generations, self.opening.recent
        self.heard = Heard()
        self.watchers = 0
        self._url = store.url
        self._replicas, self._limits = replicas, limits
        self._changed, self._clock = changed, clock
        self.pointing = Pointing(store, self.pointed, self._settle_first_try, self.generations)
        self._pointer: Pointer | None = None
        self._belonging = Belonging(own)
        self._plan = Plan()
        self._sizes: Mapping[str, Sizes] = {}
        self._planned_for: frozenset[str] = frozenset()
        self._poked = asyncio.Event()
        self._whole = asyncio.Event()
        self._leaving_since: float | None = None
        self._tried: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lanes = Lanes(self.opening, self._followed, self._wish, self._tried_to_open)

    # --- what comes in -------------------------------------------------------------------------------------------

    def poke(self) -> None:
        """Something changed that a plan follows from."""
        self._poked.set()

    def joined(self, members: tuple[str, ...]) -> None:
        """The membership is another one."""
        before, self._belonging = self._belonging, self._belonging.renewed(members)
        if before.unknown != self._belonging.unknown:
            self._belonging.tell()
            self._say()
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
        await self.pointing.follow(period_s)

    async def run(self) -> Never:
        """Plan at every change and every now and then, give up, and open what is next, until cancelled.

        A plan or an opening that breaks is told, and tried again: what is warm is served meanwhile, and what it broke
        at was said by others, to every shard.
        """
        begin_lanes = self.lanes.beginning()

        async def look() -> None:
            await self._poked_within(TEND_S)
            if self._leaving_since is None:
                begin_lanes()  # they begin after this, whatever fails here
                self.tend()

        await rounds(look, 0, failed="keeper.failed")

    def tend(self) -> None:
        """Plan, and give up what may be given up."""
        if self._pointer is None or not self._belonging.members:
            return
        before, scene = self._plan, self._scene()
        self._plan = holdings.planned(scene, before)
        self._planned_for = frozenset(scene.sizes)
        self._online.point(self._pointer.current)
        closing = self._plan.close[:CLOSED_AT_ONCE]
        held = {*self._plan.wanted, *scene.open}.difference(closing)
        missing = holdings.missing_of(scene, self._plan.wanted)
        self._online.want(held, holdings.sole_of(scene, held), missing)
        for piece in closing:
            self.opening.drop(piece)
        if len(closing) < len(self._plan.close):
            self.poke()  # the others in the next turn: between the two requests get in
        self.opening.close_but(self._versions())
        self.opening.failures = self.opening.failures.only([*self._versions(), *self._plan.wanted])
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
            await self._poked_within(TEND_S)

    def close(self) -> None:
        """Give every file back."""
        self.opening.close()

    # --- what it says --------------------------------------------------------------------------------------------

    def state(self) -> pb.ShardState:
        """How far this shard is with the current version; not ready before the membership names it."""
        state = self._standing().state
        return pb.SHARD_STATE_LOADING if state == pb.SHARD_STATE_READY and self._belonging.unknown else state

    @property
    def why_not_ready(self) -> str:
        """What somebody has to do something about before this shard can be ready; empty where there is nothing."""
        return self._belonging.why_not_ready

    def status(self) -> list[pb.GenerationStatus]:
        """What is held, of every version."""
        standing = self._standing()
        loading, refused = standing.loading, standing.refused
        return [one.status(loading, refused, self._plan.surplus) for one in self.generations.values()]

    def _standing(self) -> Standing:
        current = self._pointer.current if self._pointer else ""
        opened = frozenset(self.opening.pieces)
        return Standing(current, self._planned_for, self._plan, opened, self.opening.failures)

    # --- how ---------------------------------------------------------------------------------------------------

    def _scene(self) -> Scene:
        now = self._clock()
        words = self.heard.fresh(now)
        leaving = frozenset().union(*(word.leaving for word in words))
        peers = Peers(self._belonging.own, self._belonging.counted, leaving, self._replicas)
        assert self._pointer is not None
        known = {version: one.sizes for version, one in self.generations.items()}
        self._sizes = {
            version: one for version, one in self._sizes.items() if version == self._pointer.previous
        } | known
        return Scene(now, self._pointer, self._sizes, peers, self.opening.pieces, words, self._limits)

    async def _poked_within(self, seconds: float) -> None:
        waiting = asyncio.ensure_future(self._poked.wait())
        await asyncio.wait({waiting}, timeout=seconds)
        waiting.cancel()
        self._poked.clear()

    def _versions(self) -> list[str]:
        return holdings.versions_of(self._pointer or Pointer(), self._plan, self._planned_for)

    def _followed(self) -> Pointer | None:
        """The pointer, once a plan can be made."""
        if self._pointer is None or not self._belonging.members:
            return None
        if not self._pointer.current:
            self._settle_first_try(StoreError(f"{self._url} serves no snapshot; promote one"))
        return self._pointer

    def _wish(self) -> Wish:
        wanted = self._plan.wanted
        return Wish(self._versions(), wanted, holdings.missing_of(self._scene(), wanted))

    def _tried_to_open(self, key: Key, error: Exception | None) -> None:
        if not isinstance(key, Piece):
            alone = self._pointer is not None and not self._pointer.previous
            if error is None or (alone and is_lasting(error)):
                self._settle_first_try(error)
            if self._leaving_since is None:
                self.tend()  # before it is said: whoever hears of the version hears what of it is on the way
        self._say()
        self.poke()

    def _say(self) -> None:
        if self.state() == pb.SHARD_STATE_READY:
            self._whole.set()
        self._changed()

    def _settle_first_try(self, error: Exception | None) -> None:
        """What the first try came to: a misconfiguration ends the start, an accident later on ends nothing."""
        if not self._tried.done():
            if error is None:
                self._tried.set_result(None)
            else:
                self._tried.set_exception(error)
