"""A soak: hours in minutes. Half load, events, a new snapshot every minute; what a process holds stays what it held.

No event may be lost, or counted twice. A shard keeps what users did since the snapshot, and what is promoted here is
that same snapshot again: so whoever records leaves for good after a while, and what is kept of them has to go. Memory
and file descriptors of every process are looked at all the time. The first quarter is for warming up; then the mean of
the second quarter is compared with that of the last.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

from cli.chaos.denied import Denial, watching
from cli.chaos.ground import LOG, Ground, standing
from cli.chaos.ledger import Account
from cli.chaos.looking import looking
from cli.chaos.model import Facts
from cli.chaos.orders import Orders
from cli.chaos.plan import Plan
from cli.chaos.recording import recording
from cli.chaos.run import BREATH_S, WHOLE_WITHIN_S, Say, all_told, share, sustained
from cli.chaos.tally import Tally
from cli.chaos.traffic import flowing
from cli.chaos.verdict import LATE_ONE_IN
from cli.chaos.weight import Weight

LOOK_EVERY_S = 2.0
SWAP_EVERY_S = 60.0
KEPT_VERSIONS = 2
"""Retired snapshots that stay; older ones are collected, as an operator would."""

ITEMS_MAX = 20
"""That events are about. Of each item a shard keeps a number for every minute in which something happened, for an hour,
and the coarser the older; with many items that is a number for nearly every event, which half an hour only adds to."""

MEMORY_GROWTH_MAX = 0.05
DESCRIPTORS_GROWTH_MAX = 0.05
QUARTERS = 4

ASKED_SHARE = 0.95
"""Of the requests that were planned; with less it was no soak."""


@dataclass(frozen=True)
class Flatness:
    """What a process held early and late, each a mean."""

    name: str
    early: Weight
    late: Weight

    @property
    def is_flat(self) -> bool:
        """Whether it holds no more than it did, of its own memory and of descriptors."""
        return (
            self.late.own_bytes <= (1 + MEMORY_GROWTH_MAX) * self.early.own_bytes
            and self.late.descriptors <= (1 + DESCRIPTORS_GROWTH_MAX) * self.early.descriptors
        )


@dataclass(frozen=True)
class Soaked:
    """What a soak came to.

    Attributes:
        minutes: that it lasted.
        rate: requests a second.
        swaps: snapshots promoted.
        tally: of all requests.
        events: what became of those that were recorded beside the requests.
        processes: what each held.
        denial: of the processors' time; None where the system does not tell.
        told: what became of every request is known.
    """

    minutes: float
    rate: float
    swaps: int
    tally: Tally
    events: Account
    processes: tuple[Flatness, ...]
    denial: Denial | None = None
    told: bool = True

    @property
    def passed(self) -> bool:
        """Whether it was asked and swapped as planned, nothing failed, was wrong, late or lost, and nothing grew."""
        asked = self.tally.requests >= ASKED_SHARE * self.rate * self.minutes * 60
        swapped = self.swaps >= int(self.minutes * 60 / SWAP_EVERY_S) - 1
        bad = self.tally.failed or self.tally.wrong or self.tally.late * LATE_ONE_IN > self.tally.requests
        flat = all(one.is_flat for one in self.processes)
        return asked and self.told and swapped and not bad and self._kept() and flat

    def _kept(self) -> bool:
        """Whether every event that was acknowledged is in the slates, once, and nobody who was forgotten is known."""
        events = self.events
        good = not (events.lost or events.twice or events.strange or events.remembered)
        return good and events.acknowledged > 0 and events.fresh_s is not None


async def soak(plan: Plan, minutes: float, say: Say) -> Soaked:
    """Do it; the plan's faults are left aside.

    Raises:
        UsageError: the cluster does not come up.
    """
    async with standing(plan.terrain) as ground:
        say("cluster.ready", snapshot=ground.depot.base, target=ground.target)
        rate = plan.rate or share(plan.load, await sustained(ground, ground.depot.base, plan.seed))
        say("traffic.flows", rate=round(rate), sustained=0)
        orders = Orders(ground.target, ground.depot.oracle, ground.depot.base, plan.seed, rate=rate)
        facts = await asyncio.to_thread(Facts, ground.depot.oracle / ground.depot.base)
        async with (
            flowing([orders], ground.logs) as traffic,
            recording(facts, ground.target, plan.seed, ITEMS_MAX, all_leave=True) as recorded,
            watching() as takings,
            looking(recorded.ledger, ground.routers.values(), ground.log) as looker,
        ):
            await asyncio.sleep(BREATH_S)
            began = time.monotonic()
            promoted: list[str] = []
            ground.chores.begin("swaps", _swap(ground, SWAP_EVERY_S, promoted, say))
            weights = await watch(ground, began + 60 * minutes)
            await ground.chores.stop("swaps")
            ended = time.monotonic()
            cohort = recorded.turn()
            fresh_s = await looker.settled(cohort, ended, ended + WHOLE_WITHIN_S)
            told = await all_told(traffic, ended)
            events = await looker.account(cohort, fresh_s)
            traffic.check()
            recorded.check()
            tally = traffic.series.between(began, ended)
            denial = None if takings is None else takings.denial(began, ended, traffic.series.late(began, ended))
    flat = tuple(flatness(*one) for one in weights.items())
    return Soaked((ended - began) / 60, rate, len(promoted), tally, events, flat, denial, told)


async def _swap(ground: Ground, every_s: float, promoted: list[str], say: Say) -> None:
    for due in itertools.count(time.monotonic() + every_s, every_s):
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        version = await ground.depot.push()
        await ground.depot.promote(version)
        await ground.depot.collect(KEPT_VERSIONS)
        promoted.append(version)
        say("snapshot.promoted", snapshot=version)


async def watch(ground: Ground, until: float) -> Mapping[str, Sequence[Weight]]:
    """What every process of ours holds, again and again; once for each quarter at least, though it take longer."""
    seen: dict[str, list[Weight]] = {name: [] for name in ground.bodies if name != LOG}  # which is not ours
    for looks in itertools.count():
        if looks >= QUARTERS and time.monotonic() >= until:
            break
        for name in seen:
            seen[name].append(Weight.of(psutil.Process(ground.bodies[name].pid)))
        await asyncio.sleep(LOOK_EVERY_S)
    return seen


def flatness(name: str, weights: Sequence[Weight]) -> Flatness:
    """The means of the second quarter and of the last; each quarter has some."""
    quarter = len(weights) // QUARTERS
    return Flatness(name, _mean(weights[quarter : 2 * quarter]), _mean(weights[-quarter:]))


def _mean(weights: Sequence[Weight]) -> Weight:
    return Weight(
        round(statistics.fmean(weight.own_bytes for weight in weights)),
        round(statistics.fmean(weight.rss_bytes for weight in weights)),
        round(statistics.fmean(weight.descriptors for weight in weights)),
    )
