"""A run, from its seed to its verdicts: plan everything, bring a cluster up, ask it, and do one harm after another.

steady ─► injected ─► (the fault lasts) ─► healed ─► (time to recover) ─► verdict, until whole ─► next
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from cli.chaos import catalogue
from cli.chaos.faults import Fault
from cli.chaos.ground import READY_WITHIN_S, Ground, Terrain, standing
from cli.chaos.looking import Looker, looking
from cli.chaos.model import Facts
from cli.chaos.orders import Orders
from cli.chaos.recording import recording
from cli.chaos.stalls import settle
from cli.chaos.tally import SLICE_S
from cli.chaos.traffic import flowing
from cli.chaos.verdict import Moments, Verdict, judge, merged
from cli.output import UsageError

CALIBRATE_S = 3.0
CALIBRATE_CALLERS = 16
KEPT_S = 10.0
"""Before a fault, of what was told; faults look back for a second or so."""

LAGGARDS_S = 2.5
"""Answers to requests of the last slices may still come; a caller gives up after 2 s."""

WHOLE_WITHIN_S = 20.0
"""After the look at a fault; a cluster that is not whole by then has not recovered, whatever it answers."""

STOOD_MS_MAX = 50.0
"""Links that stand still for longer are told of: what was late meanwhile may be so by this process's doing."""

BREATH_S = 1.0
"""Between a cluster that is whole again and the next fault."""

Say = Callable[..., None]


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
        requests: go on, drawing anew, until so many were sent during faults; 0 for once through.
        minutes: go on, drawing anew, for so long.
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


@dataclass
class Result:
    """What a run came to.

    Attributes:
        plan: what was to be done.
        rate: requests a second that were sent.
        sustained: requests a second that the cluster was measured to sustain; 0 where it was not measured.
        verdicts: in the order of the plan.
        places: what is at an address that receipts name.
    """

    plan: Plan
    rate: float = 0.0
    sustained: float = 0.0
    verdicts: list[Verdict] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """Sent during faults and recoveries."""
        return sum(verdict.tally.requests for verdict in self.verdicts)

    @property
    def by_fault(self) -> list[Verdict]:
        """One verdict per fault."""
        return merged(self.verdicts)


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


def steps(plan: Plan, goes_on: Callable[[], bool]) -> Iterator[Step]:
    """Round after round, each drawn anew, for as long as it is to go on; at least one."""
    for number in itertools.count():
        yield from draw_steps(plan.faults, plan.seed + number, plan.terrain, plan.seconds)
        if not goes_on():
            return


async def run(plan: Plan, say: Say, result: Result | None = None) -> Result:
    """Do it.

    Args:
        plan: what.
        say: told of every step.
        result: filled as it goes, so that a run that is cancelled has not been for nothing.

    Raises:
        UsageError: the cluster does not come up, or does not come back.
    """
    result = result or Result(plan)
    async with standing(plan.terrain) as ground:
        version = ground.depot.base
        result.places = ground.places
        say("cluster.ready", snapshot=version, target=ground.target)
        result.sustained = 0.0 if plan.rate else await sustained(ground, version, plan.seed)
        result.rate = plan.rate or plan.load * result.sustained
        say("traffic.flows", rate=round(result.rate), sustained=round(result.sustained))
        orders = [Orders(ground.target, ground.depot.oracle, version, plan.seed, rate=result.rate)]
        facts = await asyncio.to_thread(Facts, ground.depot.oracle / version)
        settle()
        async with (
            flowing(orders, ground.logs) as ground.traffic,
            recording(facts, ground.target, plan.seed) as ground.recording,
            looking(ground.recording.ledger, ground.routers.values(), ground.log) as looker,
        ):
            await asyncio.sleep(BREATH_S)
            until = time.monotonic() + 60 * plan.minutes
            for step in steps(plan, lambda: result.requests < plan.requests or time.monotonic() < until):
                verdict = await one(step, ground, looker, plan.recovery_s, say)
                result.verdicts.append(verdict)
                say("fault.judged", fault=verdict.fault, broken=verdict.broken, verdict=verdict)
    return result


async def one(step: Step, ground: Ground, looker: Looker, recovery_s: float, say: Say) -> Verdict:
    """One fault, from a whole cluster to a whole cluster."""
    fault = step.fault
    say("fault.injected", fault=fault.name, particulars=repr(fault), seconds=step.seconds)
    injected, troubles = time.monotonic(), list[str]()
    ground.traffic.series.forget(injected - KEPT_S)
    for act in (partial(_inject, step, ground), partial(fault.heal, ground)):
        try:
            await act()
        except Exception as error:  # a fault that fails is one promise less, and no reason to lose the others' verdicts
            troubles.append(str(error) or repr(error))
    healed = time.monotonic()
    say("fault.healed", fault=fault.name)
    cohort = ground.recording.turn()
    settling = asyncio.create_task(looker.settled(cohort, healed, healed + recovery_s + WHOLE_WITHIN_S))
    await asyncio.sleep(recovery_s)
    ended = time.monotonic()
    whole_again = await _made_whole(ground, say)
    await asyncio.sleep(max(0.0, LAGGARDS_S - (time.monotonic() - ended)))
    events = await looker.account(cohort, await settling)
    ground.traffic.check()
    ground.recording.check()
    moments = Moments(
        injected, healed, ended, ground.depot.moved_at, ground.depot.expected, frozenset(ground.depot.spoilt)
    )
    series = ground.traffic.series
    if (stood_ms := ground.stalls.longest(injected)) > STOOD_MS_MAX:
        ground.notes.append(f"the links stood still for {stood_ms:.0f} ms at a time")
    particulars = "; ".join((repr(fault), *ground.notes))
    ground.notes.clear()
    return judge(
        fault.name,
        particulars,
        fault.promise,
        series,
        moments,
        whole_again=whole_again,
        trouble="; ".join(troubles),
        events=events,
    )


async def _inject(step: Step, ground: Ground) -> None:
    await step.fault.inject(ground)
    await asyncio.sleep(step.seconds)


async def _made_whole(ground: Ground, say: Say) -> bool:
    """Whether the cluster became whole by itself; where it did not, everything is started again for the next fault.

    Raises:
        UsageError: not even that helped.
    """
    try:
        await ground.until(ground.whole, WHOLE_WITHIN_S)
    except UsageError:
        say("cluster.restarted")
        await asyncio.gather(*(body.kill() for body in ground.bodies.values()))
        await asyncio.gather(*(body.start() for body in ground.bodies.values()))
        await ground.until(ground.whole, READY_WITHIN_S)
        return False
    return True


async def sustained(ground: Ground, version: str, seed: int) -> float:
    """Requests a second that the cluster answers to callers who each ask again as soon as they were answered."""
    orders = Orders(ground.target, ground.depot.oracle, version, seed, callers=CALIBRATE_CALLERS)
    async with flowing([orders], ground.logs) as traffic:
        await asyncio.sleep(1 + CALIBRATE_S)
        until = time.monotonic() - 2 * SLICE_S
        measured = traffic.series.between(until - CALIBRATE_S, until)
    return measured.requests / CALIBRATE_S
