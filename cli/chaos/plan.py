"""What a run is to do, drawn from its seed before anything starts: the same seed draws the same, part by part."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cli.chaos import catalogue
from cli.chaos.faults import Fault
from cli.chaos.terrain import Terrain


@dataclass(frozen=True)
class Step:
    """One fault of a run, and how long it lasts."""

    fault: Fault
    seconds: float


@dataclass(frozen=True)
class Plan:
    """A run, drawn.

    Attributes:
        terrain: the cluster.
        seed: of everything.
        faults: by name; each comes once in a round.
        seconds: that each lasts, about.
        load: share of what the cluster sustains that is asked of it.
        rate: requests a second instead; 0 where it is measured.
        recovery_s: looked at after every heal.
        requests: go on, drawing anew, until so many were sent during faults, in all parts of the run; 0 for once
            through.
        minutes: go on, drawing anew, for so long; of this part alone.
    """

    terrain: Terrain
    seed: int
    faults: tuple[str, ...]
    seconds: float
    load: float = 0.5
    rate: float = 0.0
    recovery_s: float = 8.0
    requests: int = 0
    minutes: float = 0.0

    def flags(self) -> dict[str, Any]:
        """What the command was told, by its flags, but for how long this part is."""
        terrain = self.terrain
        return {
            "store": terrain.store,
            "fault": list(self.faults),
            "seed": self.seed,
            "seconds": self.seconds,
            "load": self.load,
            "rate": self.rate,
            "shards": terrain.shards,
            "replicas": terrain.replicas,
            "routers": terrain.routers,
            "s3": terrain.s3,
            "requests": self.requests,
        }


def draw_steps(names: Sequence[str], seed: int, terrain: Terrain, seconds: float) -> tuple[Step, ...]:
    """The faults named, in an order and with particulars that the seed says, each lasting about so many seconds.

    The steady stretch, where it is asked for, comes first: what is measured then is what the rest is compared with.
    """
    draw = random.Random(seed)  # noqa: S311 - the same seed draws the same run
    order = [name for name in names if name != catalogue.STEADY]
    draw.shuffle(order)
    if catalogue.STEADY in names:
        order.insert(0, catalogue.STEADY)
    return tuple(Step(catalogue.FAULTS[name](draw, terrain), seconds * draw.uniform(0.8, 1.2)) for name in order)


def steps(plan: Plan, goes_on: Callable[[], bool], done: int = 0) -> Iterator[Step]:
    """Those of all rounds, one after the other."""
    return itertools.chain.from_iterable(rounds(plan, goes_on, done))


def rounds(plan: Plan, goes_on: Callable[[], bool], done: int = 0) -> Iterator[Sequence[Step]]:
    """Round after round, each drawn anew, for as long as it is to go on; at least one.

    Args:
        plan: what is drawn.
        goes_on: asked after every round.
        done: steps from the first on that were done before, in another part of the run; a round that was begun then is
            finished now, as it would have been.
    """
    for number in itertools.count():
        drawn = draw_steps(plan.faults, plan.seed + number, plan.terrain, plan.seconds)
        if left := drawn[done:]:
            yield left
        done = max(0, done - len(drawn))
        if not done and not goes_on():
            return
