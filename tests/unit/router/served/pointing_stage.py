"""A store from memory whose pointer a router follows; its failures and the time are the test's. Not a test."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import cast

import small_snapshot

from router.cluster.topology import Generation, ShardFacts, Topology
from router.served.keeper import Keeper
from router.served.pointing import Pointing
from router.served.views import View, Views
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.states import State


class Shop:
    """A store from memory: what its pointer says, and what becomes of opening a version."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pointer = Pointer(1, {"v1": State.CURRENT})
        self.wrong: dict[str, Exception] = {}
        self.opened: list[str] = []
        self._numbers = itertools.count()  # two threads that count at a time get a number each
        self.down: Exception | None = None
        self.hanging = threading.Event()
        self.hanging.set()

    def read(self) -> tuple[Pointer, bool]:
        """The pointer."""
        self.hanging.wait()
        if self.down is not None:
            raise self.down
        return self.pointer, True

    def open(self, version: str) -> View:
        """A version."""
        self.opened.append(version)
        if version in self.wrong:
            raise self.wrong[version]
        made = small_snapshot.make(self.folder / f"{version}-{next(self._numbers)}")
        made.version = version
        return View.of(cast("Snapshot", made))

    def promote(self, version: str) -> None:
        """Move the pointer."""
        states = {self.pointer.current: State.PREVIOUS, version: State.CURRENT}
        self.pointer = Pointer(self.pointer.serial + 1, states)


class Clock:
    """Driven by the test."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def following(shop: Shop, clock: Clock) -> tuple[Keeper, Pointing]:
    """A router that serves v1."""
    keeper = Keeper(Views.of(shop.open("v1")))
    return keeper, Pointing(shop.read, shop.open, keeper, every_s=0.01, clock=clock)


async def until(true: Callable[[], bool]) -> None:
    """Bounded: what is waited for is done by threads."""
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110  # a thread sets no event of ours
            await asyncio.sleep(0.002)


async def heard(pointing: Pointing, shop: Shop) -> None:
    """The pointer is read, and what that begins is brought to its end."""
    pointing.heard(shop.pointer)
    await until(lambda: not pointing._opening)


def cluster(**warm: int) -> Topology:
    """A shard that has so many partitions of each version warm."""
    held = tuple(Generation(version, frozenset(range(count))) for version, count in warm.items())
    return Topology.of(["s:1"]).updated("s:1", ShardFacts("s", generations=held))
