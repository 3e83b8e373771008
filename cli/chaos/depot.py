"""The store of a ground: versions are made, pushed, promoted and taken back, and what is to be served now is known.

Everything that touches files runs off the event loop, on which the links to the shards are carried. What takes long is
done by a process of its own that gives way to all others, since builders do not work on the machines that serve.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from cli.chaos import versions
from cli.chaos.places import BucketPlace, FolderPlace, Place
from cli.chaos.priority import give_way
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.states import State
from trunkshow.snapshot.store import Store, open_store, who


class Depot:
    """A store, and what should be served from it.

    Attributes:
        place: where the store is.
        oracle: every version that may be served.
        base: the version that everything began with, and that others are copies of.
        expected: the version that is to be served now.
        moved_at: when the pointer was last moved to it, monotonic seconds.
        spoilt: versions that were pushed and must be refused.

    Args:
        work: folder for all of it.
        source: the store that the base is copied from.
        s3: whether the store is a bucket, and not a folder.
    """

    def __init__(self, work: Path, source: str, *, s3: bool = False) -> None:
        self.place: Place = BucketPlace(work) if s3 else FolderPlace(work)
        self.oracle = work / "oracle"
        self.base = ""
        self.expected = ""
        self.moved_at = 0.0
        self.spoilt: set[str] = set()
        self._prepared = work / "prepared"
        self._source = source
        self._made = 0
        self._builder = ProcessPoolExecutor(1, get_context("spawn"), give_way)

    @property
    def url(self) -> str:
        """Of the store."""
        return self.place.url

    @property
    def store(self) -> Store:
        """Opened anew: nothing is remembered between two uses."""
        return open_store(self.url)

    def fill(self) -> None:
        """Copy what the source serves."""
        self._builder.submit(os.getpid).result()  # started before anything is measured
        folder = versions.copied(self._source, self.url)
        self.base = folder.name
        versions.remember(folder, self.base, self.oracle)
        self.expect(self.base)

    def expect(self, version: str) -> None:
        """This version is to be served from now on."""
        self.expected, self.moved_at = version, time.monotonic()

    async def prepare(self, change: Callable[[Path], object] | None = None) -> Path:
        """Make a version, of which the oracle hears, do the change to it, and give its folder, ready to be pushed."""
        self._made += 1
        version = f"{self.base}.{self._made:04d}"
        folder = self._prepared / version
        await self._aside(partial(versions.restocked, self._oracle_of_base(), folder, version, self._made))
        await self._aside(partial(versions.remember, folder, version, self.oracle))
        if change is not None:
            await self._aside(partial(change, folder))
        return folder

    async def push(self, change: Callable[[Path], object] | None = None) -> str:
        """Make a version and push it; its name."""
        folder = await self.prepare(change)
        await self._aside(partial(_pushed, self.url, folder))
        return folder.name

    async def promote(self, version: str, *, expected: bool = True) -> None:
        """Move the pointer to a version that was pushed."""
        await asyncio.to_thread(self.store.move, lambda pointer: pointer.promoted(version, who("chaos")))
        if expected:
            self.expect(version)

    async def roll_back(self) -> None:
        """Move the pointer back."""
        moved = await asyncio.to_thread(self.store.move, lambda pointer: pointer.rolled_back(who("chaos")))
        self.expect(moved.current)

    async def collect(self, keep: int) -> None:
        """Remove what is not needed any more, but for so many retired versions."""
        await asyncio.to_thread(self._collect, keep)

    async def take_back(self) -> None:
        """Roll back, unless what was expected all along is current: what is bad may have been refused meanwhile."""
        expected = self.expected

        def change(pointer: Pointer) -> Pointer:
            if pointer.current == expected or pointer.states.get(expected) not in {State.PREVIOUS, State.RETIRED}:
                return pointer
            return pointer.rolled_back(who("chaos"), expected)

        await asyncio.to_thread(self.store.move, change)

    def close(self) -> None:
        """Nothing more is made."""
        self._builder.shutdown(cancel_futures=True)

    async def _aside(self, work: Callable[[], object]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._builder, work)

    def _collect(self, keep: int) -> None:
        for version in self.store.pointer().collectable(keep):
            self.store.move(partial(Pointer.collected, version=version, who=who("chaos")))
            self.store.remove(version)

    def _oracle_of_base(self) -> Path:
        return self.oracle / self.base  # the store may be gone, or the base collected


def _pushed(url: str, folder: Path) -> None:
    versions.push(open_store(url), folder, folder.name)  # opened here: a client is not to be sent
