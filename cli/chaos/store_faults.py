"""Faults of snapshots, stores, disks and clocks.

Pushes are made of copies of the snapshot that is served (`cli.chaos.versions`); the oracle learns of a version before
the store does, and before it is spoilt: what is answered from the files that are left whole can be right or wrong, and
that anything is answered from a version that is to be refused is a broken promise of its own.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from cli.chaos import versions
from cli.chaos.faults import Promise
from cli.chaos.ground import Ground
from cli.chaos.processes import spawn
from cli.output import UsageError

WHOLE = Promise(whole=True)

ROOM_BYTES = 64 << 10
"""Of a disk that is full."""


@dataclass(frozen=True)
class Swapped:
    """New snapshots are pushed and promoted, one after the other."""

    name: str
    times: int
    every_s: float
    promise: Promise = field(default=WHOLE)

    async def inject(self, ground: Ground) -> None:
        """Begin."""
        ground.chores.begin(self.name, self._swap(ground))

    async def heal(self, ground: Ground) -> None:
        """Wait for the last one."""
        await ground.chores.done(self.name)

    async def _swap(self, ground: Ground) -> None:
        for number in range(self.times):
            if number:
                await asyncio.sleep(self.every_s)
            await ground.depot.promote(await ground.depot.push())


@dataclass(frozen=True)
class RolledBack:
    """A new snapshot is promoted, and taken back."""

    name: str
    promise: Promise = field(default=Promise(whole=True, switched_s_max=1.0))

    async def inject(self, ground: Ground) -> None:
        """Promote it, and wait until every answer is from it: what was never served cannot be taken back."""
        version = await ground.depot.push()
        await ground.depot.promote(version)
        await ground.until_served(version)

    async def heal(self, ground: Ground) -> None:
        """Take it back."""
        await ground.depot.roll_back()


@dataclass(frozen=True)
class BadPush:
    """A snapshot is promoted that must not be served; healed by taking it back.

    Attributes:
        kind: of `versions.SPOILT`.
        where: which file, and where in it, each from 0 to 1.
    """

    name: str
    kind: str
    where: tuple[float, float]
    promise: Promise = field(default=WHOLE)

    async def inject(self, ground: Ground) -> None:
        """Push and promote it."""
        version = await ground.depot.push(
            partial(versions.spoil, kind=self.kind, which=self.where[0], where=self.where[1])
        )
        ground.depot.spoilt.add(version)
        await ground.depot.promote(version, expected=False)
        if self.kind == versions.GONE:
            await ground.depot.place.lose(version)

    async def heal(self, ground: Ground) -> None:
        """Take it back, unless the cluster refused it by itself."""
        await ground.depot.take_back()


@dataclass(frozen=True)
class TwoBuilders:
    """Two builders push and promote at the same time, each in a process of its own."""

    name: str
    promise: Promise = field(default=WHOLE)

    async def inject(self, ground: Ground) -> None:
        """Both at once; whichever came last is served."""
        made = [await ground.depot.prepare(), await ground.depot.prepare()]
        pushers = [
            await spawn(
                (sys.executable, "-P", "-m", "cli.chaos.pusher", ground.depot.url, str(folder)),
                ground.logs / f"pusher-{number}.log",
            )
            for number, folder in enumerate(made)
        ]
        codes = await asyncio.gather(*(pusher.wait() for pusher in pushers))
        if any(codes):
            raise UsageError(f"the builders ended with {codes}; their logs are in {ground.logs}")
        pointer = ground.depot.store.pointer()
        lost = [folder.name for folder in made if folder.name not in pointer.states]
        if lost:
            raise UsageError(f"two builders pushed at once, and {lost} were lost")
        ground.depot.expect(pointer.current)

    async def heal(self, ground: Ground) -> None:
        """Nothing is left to end."""
        del ground


@dataclass(frozen=True)
class StoreGone:
    """The store is not there, and a shard and a router are killed and started again meanwhile, from their copies."""

    name: str
    victims: tuple[str, ...]
    promise: Promise = field(default=WHOLE)

    async def inject(self, ground: Ground) -> None:
        """Take it away, and restart the victims."""
        await ground.depot.place.go()
        for victim in self.victims:
            await ground.bodies[victim].kill()
            await ground.bodies[victim].start()

    async def heal(self, ground: Ground) -> None:
        """Put it back."""
        await ground.depot.place.come_back()


@dataclass(frozen=True)
class StoreHangs:
    """The store takes every question and answers none; a shard and a router are restarted meanwhile."""

    name: str
    victims: tuple[str, ...]
    promise: Promise = field(default=WHOLE)

    async def inject(self, ground: Ground) -> None:
        """Hang, and restart the victims."""
        await ground.depot.place.hang()
        for victim in self.victims:
            await ground.bodies[victim].kill()
            await ground.bodies[victim].start()

    async def heal(self, ground: Ground) -> None:
        """Answer."""
        await ground.depot.place.answer()


@dataclass(frozen=True)
class PushKilled:
    """A builder is killed while it pushes: what it left is nobody's snapshot, and the next one's push succeeds.

    Attributes:
        after_s: after it was started.
    """

    name: str
    after_s: float
    promise: Promise = field(default=WHOLE)

    async def inject(self, ground: Ground) -> None:
        """Start it, and kill it, unless it was done before."""
        folder = await ground.depot.prepare()
        pusher = await spawn(
            (sys.executable, "-P", "-m", "cli.chaos.pusher", ground.depot.url, str(folder)), ground.logs / "pusher.log"
        )
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(pusher.wait()), self.after_s)
        with suppress(ProcessLookupError):
            pusher.kill()
        await pusher.wait()
        pointer = await asyncio.to_thread(ground.depot.store.pointer)
        ground.depot.expect(pointer.current)
        ground.notes.append(
            f"killed while the pointer said {pointer.states.get(folder.name, 'nothing')} of its version"
        )

    async def heal(self, ground: Ground) -> None:
        """The next one pushes, and promotes."""
        await ground.depot.promote(await ground.depot.push())


@dataclass(frozen=True)
class DiskFull:
    """A cache is on a disk that is full; its process is restarted there, and a new snapshot is promoted.

    Attributes:
        for_one: whether there is room for the version that is served, and for no second one.
    """

    name: str
    victim: str
    for_one: bool = False
    promise: Promise = field(default=Promise())

    async def inject(self, ground: Ground) -> None:
        """Restart the victim on a small disk of its own, or where there is no right to mount one, under a limit."""
        body, cache = ground.bodies[self.victim], ground.caches[self.victim]
        await body.kill()
        room = ROOM_BYTES + (_bytes_of(cache, ground.depot.expected) * 3 // 2 if self.for_one else 0)
        shutil.rmtree(cache, ignore_errors=True)
        cache.mkdir(parents=True)
        body.wrapper = small_disk(str(cache), room)
        await body.start()
        await ground.depot.promote(await ground.depot.push())

    async def heal(self, ground: Ground) -> None:
        """Give it room."""
        body = ground.bodies[self.victim]
        await body.kill()
        body.wrapper = ()
        await body.start()


def _bytes_of(cache: Path, version: str) -> int:
    """That a version's copies take."""
    return sum(path.stat().st_size for path in cache.rglob("*") if path.is_file() and version in path.parts)


def small_disk(folder: str, room_bytes: int = ROOM_BYTES) -> Sequence[str]:
    """A command to run another one under, to which `folder` is a disk of so many bytes."""
    if os.geteuid() == 0 and shutil.which("unshare") and shutil.which("mount"):
        mount = f"mount -t tmpfs -o size={room_bytes} none '{folder}' && exec \"$@\""
        return ("unshare", "-m", "sh", "-c", mount, "sh")
    # Without the right to mount: no file may grow beyond 64 KiB, which fails as EFBIG and not as ENOSPC. No byte code
    # is written there: Python 3.11 keeps what there was room for, and whoever imports that fails.
    return ("env", "PYTHONDONTWRITEBYTECODE=1", "prlimit", f"--fsize={ROOM_BYTES}")


@dataclass(frozen=True)
class ClockStepped:
    """The wall clocks of some processes jump, forth or back."""

    name: str
    seconds: int
    promise: Promise = field(default=WHOLE)

    async def inject(self, ground: Ground) -> None:
        """Jump."""
        ground.clock.step(self.seconds)

    async def heal(self, ground: Ground) -> None:
        """Jump back."""
        ground.clock.step(0)
