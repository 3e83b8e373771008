"""Overload: many times as much is asked as the cluster can do.

Where everything shares a few processors, drivers and routers among them, a flood finds out how fast a driver is. So
each shard gets a small share of a processor while it lasts, as a pod's limit gives it one (`cli.chaos.quota`). What is
scarce is then behind the routers, whose business it is to take every call. What the cluster does so is measured first,
by callers who ask again as soon as they were answered, and by nobody else, since the usual traffic may be more than
that already. Then `times` as much is offered. Good answers, of SNAPSHOT and in time, must not become fewer by much. A
resident slate that is late is a late answer, and no good one the less.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace

from cli.chaos.faults import Promise
from cli.chaos.ground import Ground
from cli.chaos.quota import Quota
from cli.output import UsageError

DRIVERS = 2
"""That make a flood; one alone could not."""

CHECKED = 0.05
"""Share of a flood's answers that are checked, so that the flood is not held up by its own care."""

CALLERS = 64
"""Who look for the peak. Too few find less than the cluster can do: a flood left 135, 120, 97 and 100 % of the peak
that 8, 16, 32 and 64 had found (two runs each, docs/faults.md)."""

SETTLE_S = 3.0
MEASURE_S = 4.0
TRAIL_S = 2.5
"""What was asked so long ago is answered, batches among it."""


@dataclass(frozen=True)
class Flooded:
    """Many times as much is asked as the cluster can do while its shards have a quota.

    Attributes:
        times: of what the cluster can do.
        share: of a processor, that each shard gets.
        good_share: of the good answers a second, that are left in the flood.
    """

    name: str
    times: float
    share: float = 0.1
    good_share: float = 0.8
    promise: Promise = field(default=Promise(healthy=False, late_one_in=50))

    async def inject(self, ground: Ground) -> None:
        """Measure under the quota, begin, and measure again.

        Raises:
            UsageError: there were no good answers to begin with, or too few were left.
        """
        quota = Quota([ground.bodies[name] for name in ground.terrain.shard_names], self.share)
        ground.chores.begin(self.name, quota.hold())
        orders = replace(ground.traffic.orders[0], check=CHECKED)
        await ground.traffic.stop()
        await ground.traffic.start([replace(orders, rate=0.0, callers=CALLERS, seed=orders.seed + 1)], ground.logs)
        peak, had = await _good_a_second(ground, quota)
        await ground.traffic.stop()
        if not had:
            raise UsageError("this system does not tell what a process has of a processor, so no shard was held to it")
        if not peak:
            raise UsageError("shards with a quota gave no good answer at all: what a flood leaves of none says nothing")
        each = self.times * peak / DRIVERS
        flood = [replace(orders, rate=each, seed=orders.seed + 2 + number) for number in range(DRIVERS)]
        await ground.traffic.start(flood, ground.logs)
        good, has = await _good_a_second(ground, quota)
        ground.notes.append(
            f"{peak:.0f} good answers a second at the peak, {good:.0f} at {self.times:g} times that;"
            f" the shards had {had:.2f} and {has:.2f} processors"
        )
        if good < self.good_share * peak:
            raise UsageError(f"of {peak:.0f} good answers a second {good:.0f} were left")

    async def heal(self, ground: Ground) -> None:
        """End; from then on the usual traffic again."""
        try:
            await ground.chores.stop(self.name)
        finally:
            await ground.traffic.stop()
            await ground.traffic.start([ground.traffic.orders[0]], ground.logs)


async def _good_a_second(ground: Ground, quota: Quota) -> tuple[float, float]:
    """After a while: answers of SNAPSHOT or better that came in time, each second; and the processors of all shards."""
    await asyncio.sleep(SETTLE_S)
    began, before = time.monotonic(), quota.used_s
    await asyncio.sleep(MEASURE_S)
    until, used = time.monotonic(), quota.used_s - before
    await asyncio.sleep(TRAIL_S)
    return ground.traffic.series.between(began, until).good / (until - began), used / (until - began)
