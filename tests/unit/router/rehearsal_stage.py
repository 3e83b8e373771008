"""A stage for the conductor: real views over small snapshots, scripted shards on real ports, and a store in memory.

The test plays time (`Clock.sleep` moves the clock, so nothing waits) and the router's polling (`poll`).
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import cast

import small_snapshot
from fake_shard import FakeShard, status

from router import assembly
from router.answering.counters import Answered
from router.cluster.shard_channel import ShardChannels
from router.cluster.topology import Topology
from router.cluster.watch import Board, facts_of
from router.config import RouterConfig
from router.served.choosing import chosen, versions_of
from router.served.keeper import Keeper
from router.served.moving import Patience
from router.served.views import View, Views
from router.trials.canary import CanaryLimits
from router.trials.conductor import Conductor
from router.trials.rehearsal import RehearsalLimits
from router.trials.rehearser import Rehearser
from router.trials.sample import Sample
from trunkshow.serving.deadline import monotonic
from trunkshow.snapshot.lifecycle import Pointer, Who
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import StoreUnreachable
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

CURRENT, CANDIDATE = "v1", "v2"
ALL = range(small_snapshot.PARTITIONS)
ASKING = RouterConfig(store="", shards=("127.0.0.1:1",), deadline_ms=2000, probes=2)
USERS = [f"u{number}" for number in range(small_snapshot.USERS)]
REHEARSAL = RehearsalLimits(rehearsal_requests=20, rehearsal_requests_min=8, rehearsal_p99_slack_ms=1000)
CANARY = CanaryLimits(canary_answers=200, canary_answers_min=20)


def someone(why: str = "") -> Who:
    """Whoever moves the pointer."""
    return Who("2026-01-01T00:00:00Z", "router", why)


class Clock:
    """Stands still, but for who sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Time passes, and others get a turn."""
        self.now += seconds
        await asyncio.sleep(0)


class MemoryStore:
    """A store's pointer, moved as the real one's are; may be gone."""

    def __init__(self, pointer: Pointer) -> None:
        self.pointer = pointer
        self.gone = False
        self.moves = 0
        self.before_move: Callable[[], None] = lambda: None

    def move(self, change: Callable[[Pointer], Pointer]) -> Pointer:
        """As `Store.move`."""
        if self.gone:
            raise StoreUnreachable("the store does not answer")
        self.before_move()
        self.pointer = change(self.pointer)
        self.moves += 1
        return self.pointer


def holding(*, current: Iterable[int] = ALL, candidate: Iterable[int] = ALL) -> shard_pb2.ShardStatus:
    """What a shard says that has these partitions of both versions warm."""
    said = status(CURRENT, current)
    said.generations.add(snapshot_version=CANDIDATE, warm=sorted(candidate))
    return said


class Stage:
    """Everything around a conductor.

    Attributes:
        channels: the lines to its shards.
    """

    def __init__(
        self, folder: Path, canary_share: float, rehearsal: RehearsalLimits = REHEARSAL, *, opens: bool = True
    ) -> None:
        self.clock = Clock()
        pushed = Pointer().pushed(CURRENT, someone()).promoted(CURRENT, someone()).pushed(CANDIDATE, someone())
        self.store = MemoryStore(pushed.rehearsed(CANDIDATE, canary_share, someone()))
        self.board = Board(Topology.of(()))
        self.sample = Sample(random.Random(1).random)
        self.refused: dict[str, str] = {}
        self.spoilt: set[str] = set()
        self.busy = False
        self.channels = ShardChannels()
        self._shards: dict[str, FakeShard] = {}
        self.keeper = Keeper(Views.of(_view(folder / CURRENT, CURRENT)))
        self._folder = folder
        if opens:
            self.opened(CANDIDATE)
        self.poll()
        self.conductor = Conductor(
            self.keeper,
            self.board,
            Rehearser(
                self.keeper,
                assembly.replay_of(ASKING, self.channels, self.board, monotonic),
                self.sample,
                rehearsal,
                busy=lambda: self.busy,
                chance=random.Random(2).random,
                clock=self.clock,
                sleep=self.clock.sleep,
            ),
            self.store.move,
            someone,
            named=lambda: self.store.pointer.candidate,
            refused=lambda: self.refused,
            spoilt=lambda: self.spoilt,
            warm_s=60,
            canary=CANARY,
            patience=Patience(replicas=1, patience_s=0),
            clock=self.clock,
            sleep=self.clock.sleep,
        )

    async def add(self, shard: FakeShard, said: shard_pb2.ShardStatus) -> None:
        """A shard that holds what it says."""
        shard.status = said
        address = await shard.start()
        self._shards[address] = shard
        self.channels.add(address)
        self.board.topology = Topology.of(self._shards)
        for known, one in self._shards.items():
            self.board.topology = self.board.topology.updated(known, facts_of(one.status))

    def reported(self, shard: FakeShard, said: shard_pb2.ShardStatus) -> None:
        """A shard says something new of itself."""
        address = next(address for address, one in self._shards.items() if one is shard)
        shard.status = said
        self.board.topology = self.board.topology.updated(address, facts_of(said))

    def opened(self, version: str) -> None:
        """The router has opened a version."""
        self.keeper.arrived(_view(Path(tempfile.mkdtemp(dir=self._folder)) / version, version))

    def poll(self) -> None:
        """The router reads the pointer."""
        views = chosen(self.store.pointer, self.keeper.opened, self.keeper.now)
        assert views is not None
        self.keeper.adopt(views, versions_of(self.store.pointer))

    def shoppers(self, requests: int = 20) -> None:
        """Known users ask."""
        for number in range(requests):
            request = pb.RecommendRequest(user_id=USERS[number % len(USERS)], carousels=["for-you", "popular"])
            self.sample.offer(request.SerializeToString(), self.clock.now - requests + number)

    def answers(self, count: int, *, canary_fails: bool = False) -> None:
        """Shoppers are answered, every fifth of them from the canary."""
        for number in range(count):
            meant = CANDIDATE if number % 5 == 0 else CURRENT
            failed = canary_fails and meant == CANDIDATE and number % 2 == 0
            made = CURRENT if failed else meant
            self.conductor.served(Answered(meant, made, pb.RUNG_SNAPSHOT, failed, 10 + number * 7 % 13))

    async def close(self) -> None:
        """Everything that was opened."""
        await self.channels.close()
        for shard in self._shards.values():
            await shard.stop()


def _view(folder: Path, version: str) -> View:
    folder.mkdir()
    snapshot = replace(small_snapshot.make(folder), version=version)
    return View.of(cast("Snapshot", snapshot))
