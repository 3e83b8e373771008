"""What goes wrong: each fault is a value that can be injected into a ground and healed, and says what is promised.

The promise is what the verdict holds the cluster to: a fault that leaves a healthy replica of every partition may make
no answer late, one that leaves none may make them poor, and only where no router is left is nobody answered.
Faults of processes and of the network are here, those of snapshots and stores in `cli.chaos.store_faults`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from cli.chaos.ground import READY_WITHIN_S, Ground
from cli.chaos.processes import start_together
from cli.chaos.proxy import CLEAR, Weather

SETTLED_S = 5.0
"""Between two restarts of a rolling deployment: `minReadySeconds` of k8s/base. A client that has lost a router looks
for it again about every second; without the pause the other one could leave before that."""


@dataclass(frozen=True)
class Promise:
    """What is to hold while a fault lasts, and after.

    Attributes:
        answered: every request is, though perhaps from a lower rung.
        healthy: of every partition, some replica and some way to it are: answers are in time.
        late_one_in: where it is not, more answers may be late, but no more than one in so many; 0 for any number.
        whole: nobody is answered from a rung below SNAPSHOT, but for a few while it is noticed.
        fresh_s_max: after the heal, every event that was acknowledged is in the slates that are asked for.
        refuses: the event log has no room: who records is told so, and not left without an answer.
        false_after_s: after the injection no slate is FRESH any more: the log is away; 0 where it is not.
        switched_s_max: where the pointer is moved, all answers are of the version that it then names within so long.
    """

    answered: bool = True
    healthy: bool = True
    late_one_in: int = 0
    whole: bool = False
    fresh_s_max: float = 15.0
    refuses: bool = False
    false_after_s: float = 0.0
    switched_s_max: float = 45.0


class Fault(Protocol):
    """Something that goes wrong.

    Attributes:
        name: what it is called on the command line.
        promise: what holds nevertheless.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def promise(self) -> Promise: ...  # noqa: D102

    async def inject(self, ground: Ground) -> None:
        """Make it go wrong; returns at once."""
        ...

    async def heal(self, ground: Ground) -> None:
        """End it; returns once everything was done to end it, not when the cluster has recovered."""
        ...


@dataclass(frozen=True)
class Killed:
    """Shards are gone from one moment to the next (SIGKILL), and are started again to heal."""

    name: str
    victims: tuple[str, ...]
    promise: Promise

    async def inject(self, ground: Ground) -> None:
        """Kill."""
        await asyncio.gather(*(ground.bodies[victim].kill() for victim in self.victims))

    async def heal(self, ground: Ground) -> None:
        """Start."""
        await start_together(ground.bodies, self.victims)


@dataclass(frozen=True)
class Drained:
    """A process is told to leave (SIGTERM), as at every deployment, and comes back."""

    name: str
    victim: str
    promise: Promise = field(default=Promise(whole=True))

    async def inject(self, ground: Ground) -> None:
        """Tell it."""
        await ground.bodies[self.victim].stop()

    async def heal(self, ground: Ground) -> None:
        """Start it."""
        await ground.bodies[self.victim].start()


@dataclass(frozen=True)
class Frozen:
    """A process stands still (SIGSTOP): its connections are open, and nobody answers on them."""

    name: str
    victims: tuple[str, ...]
    promise: Promise = field(default=Promise())

    async def inject(self, ground: Ground) -> None:
        """Freeze."""
        for victim in self.victims:
            ground.bodies[victim].freeze()

    async def heal(self, ground: Ground) -> None:
        """Thaw."""
        for victim in self.victims:
            ground.bodies[victim].thaw()


@dataclass(frozen=True)
class Stuttering:
    """A process stands still again and again, each time for a little longer than a deadline."""

    name: str
    victim: str
    still_s: float
    moving_s: float
    promise: Promise = field(default=Promise())

    async def inject(self, ground: Ground) -> None:
        """Begin to stutter."""
        ground.chores.begin(self.name, self._stutter(ground))

    async def heal(self, ground: Ground) -> None:
        """Stop it."""
        await ground.chores.stop(self.name)
        ground.bodies[self.victim].thaw()

    async def _stutter(self, ground: Ground) -> None:
        while True:
            ground.bodies[self.victim].freeze()
            await asyncio.sleep(self.still_s)
            ground.bodies[self.victim].thaw()
            await asyncio.sleep(self.moving_s)


@dataclass(frozen=True)
class Weathered:
    """The links between routers and shards are bad; which ones is told by names, and all of them where none is."""

    name: str
    weather: Weather
    routers: tuple[str, ...] = ()
    shards: tuple[str, ...] = ()
    promise: Promise = field(default=Promise())

    async def inject(self, ground: Ground) -> None:
        """Bad weather."""
        self._change(ground, self.weather)

    async def heal(self, ground: Ground) -> None:
        """Clear weather."""
        self._change(ground, CLEAR)

    def _change(self, ground: Ground, weather: Weather) -> None:
        for (router, shard), link in ground.links.items():
            if (not self.routers or router in self.routers) and (not self.shards or shard in self.shards):
                link.change(weather)


@dataclass(frozen=True)
class Resets:
    """Connections between routers and shards break again and again."""

    name: str
    shards: tuple[str, ...]
    every_s: float
    promise: Promise = field(default=Promise())

    async def inject(self, ground: Ground) -> None:
        """Begin."""
        ground.chores.begin(self.name, self._break(ground))

    async def heal(self, ground: Ground) -> None:
        """End."""
        await ground.chores.stop(self.name)

    async def _break(self, ground: Ground) -> None:
        while True:
            for shard in self.shards:
                for link in ground.links_to(shard):
                    link.reset()
            await asyncio.sleep(self.every_s)


@dataclass(frozen=True)
class RestartedInTurn:
    """Every process is told to leave and started again, one after the other, as in a rolling deployment."""

    name: str
    order: tuple[str, ...]
    promise: Promise = field(default=Promise())

    async def inject(self, ground: Ground) -> None:
        """Begin."""
        ground.chores.begin(self.name, self._restart(ground))

    async def heal(self, ground: Ground) -> None:
        """Wait for the last one."""
        await ground.chores.done(self.name)

    async def _restart(self, ground: Ground) -> None:
        for name in self.order:
            await ground.bodies[name].stop()
            await ground.bodies[name].start()
            await ground.until(ground.whole, READY_WITHIN_S)
            await asyncio.sleep(SETTLED_S)
