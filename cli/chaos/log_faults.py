"""What goes wrong with the event log: its server, the links to it, and how much is sent to it.

The log is no part of what answers: while it is away slates are of the snapshot and of what was folded in before. So no
fault here makes an answer late or poor. What becomes of the events is `cli.chaos.ledger`'s to say. Killed, frozen and
started again the server is as any process (`cli.chaos.faults`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import psutil

from cli.chaos import log_room
from cli.chaos.faults import Promise
from cli.chaos.ground import LOG, Ground
from cli.chaos.proxy import CLEAR, Weather
from cli.chaos.weight import Weight
from cli.output import UsageError
from trunkshow.eventlog.settings import LogSettings

RECOVERY_S = 5.0
KEPT_UP = Promise(whole=True, fresh_s_max=RECOVERY_S)
"""Everybody is answered in time, from the snapshot at least, and soon with every event again."""

FALSE_AFTER_S = 8.0
"""A shard that has heard nothing of the log for 5 s calls nothing fresh; it may have asked within the first seconds."""

AWAY = Promise(whole=True, fresh_s_max=RECOVERY_S, false_after_s=FALSE_AFTER_S)
WEIGH_EVERY_S = 0.5
GROWTH_BYTES_MAX = 64 << 20
ROOM_BYTES = 64 << 10
"""Some sixteen large events."""

LARGE: Mapping[str, str] = MappingProxyType({str(number): "x" * 256 for number in range(15)})
"""Nearly as much context as an event may have, 4 KiB: whoever kept what they refuse would grow."""

REFUSED = Promise(whole=True, refuses=True)
"""What was refused comes again at once, and is recorded at the rate that leaves slates their time."""


@dataclass(frozen=True)
class LogWeathered:
    """The links of all processes to the log are bad."""

    name: str
    weather: Weather
    promise: Promise = field(default=KEPT_UP)

    async def inject(self, ground: Ground) -> None:
        """Bad weather."""
        ground.log_link.change(self.weather)

    async def heal(self, ground: Ground) -> None:
        """Clear weather."""
        ground.log_link.change(CLEAR)


@dataclass(frozen=True)
class LogRestarted:
    """The log's server is told to leave (SIGTERM) and started again, time after time."""

    name: str
    every_s: float
    promise: Promise = field(default=KEPT_UP)

    async def inject(self, ground: Ground) -> None:
        """Begin."""
        ground.chores.begin(self.name, self._restart(ground))

    async def heal(self, ground: Ground) -> None:
        """End, with a server that runs."""
        await ground.chores.stop(self.name)
        await ground.bodies[LOG].stop()  # it may have been told to leave already
        await ground.bodies[LOG].start()

    async def _restart(self, ground: Ground) -> None:
        while True:
            await ground.bodies[LOG].stop()
            await ground.bodies[LOG].start()
            await asyncio.sleep(self.every_s)


@dataclass(frozen=True)
class Burst:
    """Many times as many events come as before; what there is no room for is refused, and nothing grows.

    Attributes:
        times: of the steady rate.
        growth_bytes_max: of each router's and each shard's own memory.
    """

    name: str
    times: float
    growth_bytes_max: int = GROWTH_BYTES_MAX
    promise: Promise = field(default=KEPT_UP)

    async def inject(self, ground: Ground) -> None:
        """Begin, and weigh."""
        peaks = _weights(ground)
        ground.recording.times = self.times
        ground.chores.begin(self.name, self._weigh(ground, dict(peaks), peaks))

    async def heal(self, ground: Ground) -> None:
        """End.

        Raises:
            UsageError: a process grew by more than is allowed.
        """
        ground.recording.times = 1.0
        await ground.chores.stop(self.name)

    async def _weigh(self, ground: Ground, before: dict[str, int], peaks: dict[str, int]) -> None:
        while True:
            await asyncio.sleep(WEIGH_EVERY_S)
            for name, weighs in _weights(ground).items():
                peaks[name] = max(peaks[name], weighs)
            most = max(peaks, key=lambda name: peaks[name] - before[name])
            grown = peaks[most] - before[most]
            if grown > self.growth_bytes_max:
                raise UsageError(f"{most} grew by {grown / 2**20:.0f} MiB in a burst of events")
            note = f"{most} grew most, by {grown / 2**20:.1f} MiB, of at most {max(peaks.values()) / 2**20:.0f}"
            ground.notes[:] = [note]


@dataclass(frozen=True)
class LogFilled(Burst):
    """Many times as many events come as before, all of them large, to a log that has room for a few of them.

    Who records is told at once that there is no room, and sends again until there is: then everything is recorded.

    Attributes:
        room_bytes: that the log takes.
    """

    room_bytes: int = ROOM_BYTES
    growth_bytes_max: int = GROWTH_BYTES_MAX // 2
    promise: Promise = field(default=REFUSED)

    async def inject(self, ground: Ground) -> None:
        """Fill it, and begin."""
        await log_room.leave(ground.log, self.room_bytes)
        ground.recording.context = LARGE
        await super().inject(ground)

    async def heal(self, ground: Ground) -> None:
        """End, with as much room as there was.

        Raises:
            UsageError: a process grew by more than is allowed.
        """
        ground.recording.context = {}
        await log_room.allow(ground.log, LogSettings().bytes_max)
        await super().heal(ground)


def _weights(ground: Ground) -> dict[str, int]:
    """Bytes of memory that routers and shards hold of their own: a snapshot's pages are the kernel's."""
    names = ground.terrain.router_names + ground.terrain.shard_names
    return {name: Weight.of(psutil.Process(ground.bodies[name].pid)).own_bytes for name in names}
