"""A run, from its seed to its verdicts: plan everything, bring a cluster up, ask it, and do one harm after another.

steady ─► injected ─► (the fault lasts) ─► healed ─► (time to recover) ─► verdict, until whole ─► next

Each round of faults has a cluster of its own. What is pushed in a run is always of the same age, and shards read the
log from there on for each: in one cluster that took them a quarter of a second at first, and ten after half an hour.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from cli.chaos.caller import GIVE_UP_BATCH_S
from cli.chaos.denied import Takings, watching
from cli.chaos.ground import READY_WITHIN_S, Ground, standing
from cli.chaos.judging import Moments, judge
from cli.chaos.looking import Looker, looking
from cli.chaos.model import Facts
from cli.chaos.orders import Orders
from cli.chaos.plan import Plan, Step, rounds
from cli.chaos.processes import start_together
from cli.chaos.recording import Recording, recording
from cli.chaos.result import Result
from cli.chaos.stalls import settle
from cli.chaos.tally import SLICE_S
from cli.chaos.traffic import Traffic, flowing
from cli.chaos.verdict import Verdict
from cli.output import UsageError

CALIBRATE_S = 3.0
CALIBRATE_CALLERS = 16
KEPT_S = 10.0
"""Before a fault, of what was told; faults look back for a second or so."""

LAGGARDS_S_MIN = 2.5
LAGGARDS_S = GIVE_UP_BATCH_S + 2.0
"""After a look: what became of the requests of its last slices may still be told, as long as callers wait for it; what
became of a batch is, once that has ended. It is waited for, for as long as the first in any case."""

UNTOLD = f"calls were under way for {LAGGARDS_S:g} s after it was looked at: what became of them is not counted"

WHOLE_WITHIN_S = 20.0
"""After the look at a fault; a cluster that is not whole by then has not recovered, whatever it answers."""

STOOD_MS_MAX = 50.0
"""Links that stand still for longer are told of: what was late meanwhile may be so by this process's doing."""

BREATH_S = 1.0
"""Between a cluster that is whole again and the next fault."""

Say = Callable[..., None]


async def run(plan: Plan, say: Say, result: Result | None = None) -> Result:
    """Do it.

    Args:
        plan: what.
        say: told of every step.
        result: filled as it goes, so that a run that is cancelled has not been for nothing. Where it has verdicts
            already, they are of an earlier part of the run, and this one begins with the step after them; other
            visitors ask than did then, as they do in each round.

    Raises:
        UsageError: the cluster does not come up, or does not come back, or the earlier part was on another snapshot.
    """
    result = result or Result(plan)
    until = time.monotonic() + 60 * plan.minutes

    def goes_on() -> bool:
        return result.requests < plan.requests or time.monotonic() < until

    for drawn in rounds(plan, goes_on, len(result.verdicts)):
        await in_one_cluster(drawn, plan, say, result)
    return result


async def in_one_cluster(drawn: Iterable[Step], plan: Plan, say: Say, result: Result) -> None:
    """A round, or what is left of it.

    Raises:
        UsageError: as `run`.
    """
    seed = plan.seed + len(result.verdicts)
    async with standing(plan.terrain) as ground:
        version = ground.depot.base
        if result.snapshot not in ("", version):
            raise UsageError(f"the report's run began on snapshot {result.snapshot}, and the store has {version}")
        result.snapshot, result.places = version, {**result.places, **ground.places}
        say("cluster.ready", snapshot=version, target=ground.target)
        if not (plan.rate or result.rate):
            result.sustained = await sustained(ground, version, seed)
        result.rate = plan.rate or result.rate or share(plan.load, result.sustained)
        say("traffic.flows", rate=round(result.rate), sustained=round(result.sustained))
        orders = [Orders(ground.target, ground.depot.oracle, version, seed, rate=result.rate)]
        facts = await asyncio.to_thread(Facts, ground.depot.oracle / version)
        settle()
        async with (
            flowing(orders, ground.logs) as ground.traffic,
            recording(facts, ground.target, seed) as ground.recording,
            looking(ground.recording.ledger, ground.routers.values(), ground.log) as looker,
            watching() as takings,
        ):
            await asyncio.sleep(BREATH_S)
            await one_by_one(drawn, ground, looker, takings, result, say)


async def one_by_one(
    drawn: Iterable[Step], ground: Ground, looker: Looker, takings: Takings | None, result: Result, say: Say
) -> None:
    """Fault after fault, each judged before the next; also the one that no other can follow, whose error is raised.

    A run that goes on does so with the next step. Without its verdict, such a fault would be in no report.
    """
    for step in drawn:
        verdict, end = await one(step, ground, looker, takings, result.plan.recovery_s, say)
        result.verdicts.append(verdict)
        say("fault.judged", fault=verdict.fault, broken=verdict.broken, verdict=verdict)
        if end is not None:
            raise end


async def one(
    step: Step, ground: Ground, looker: Looker, takings: Takings | None, recovery_s: float, say: Say
) -> tuple[Verdict, Exception | None]:
    """One fault, from a whole cluster to a whole cluster; and what the run ends with, where it cannot go on."""
    fault = step.fault
    say("fault.injected", fault=fault.name, particulars=repr(fault), seconds=step.seconds)
    injected = time.monotonic()
    ground.traffic.series.forget(injected - KEPT_S)
    if takings is not None:
        takings.forget(injected - KEPT_S)
    # a fault that fails is one promise less, and no reason to lose the others' verdicts
    troubles = await _errors(partial(_inject, step, ground), partial(fault.heal, ground))
    healed = time.monotonic()
    say("fault.healed", fault=fault.name)
    cohort = ground.recording.turn()
    settling = asyncio.create_task(looker.settled(cohort, healed, healed + recovery_s + WHOLE_WITHIN_S))
    await asyncio.sleep(recovery_s)
    ended = time.monotonic()
    whole_again = await _whole_within(ground, WHOLE_WITHIN_S)
    ends = [] if whole_again else await _errors(partial(_start_again, ground, say))
    untold = [] if await all_told(ground.traffic, ended) else [UNTOLD]
    events = await looker.account(cohort, await settling)
    ends += await _errors(partial(_check, ground.traffic), partial(_check, ground.recording))
    moments = Moments(
        injected, healed, ended, ground.depot.moved_at, ground.depot.expected, frozenset(ground.depot.spoilt)
    )
    series = ground.traffic.series
    if (stood_ms := ground.stalls.longest(injected)) > STOOD_MS_MAX:
        ground.notes.append(f"the links stood still for {stood_ms:.0f} ms at a time")
    particulars = "; ".join((repr(fault), *ground.notes))
    ground.notes.clear()
    verdict = judge(
        fault.name,
        particulars,
        fault.promise,
        series,
        moments,
        whole_again=whole_again,
        trouble="; ".join([*(str(error) or repr(error) for error in troubles + ends), *untold]),
        events=events,
        takings=takings,
    )
    return verdict, next(iter(ends), None)


async def all_told(traffic: Traffic, ended: float) -> bool:
    """Wait for what became of all that was sent until a look ended, its last slice included; whether it is known."""
    await asyncio.sleep(max(0.0, ended + LAGGARDS_S_MIN - time.monotonic()))
    return await traffic.told(ended + SLICE_S, ended + LAGGARDS_S - time.monotonic())


async def _inject(step: Step, ground: Ground) -> None:
    await step.fault.inject(ground)
    await asyncio.sleep(step.seconds)


async def _errors(*acts: Callable[[], Awaitable[None]]) -> list[Exception]:
    """What these raise, one done after the other."""
    errors = []
    for act in acts:
        try:
            await act()
        except Exception as error:
            errors.append(error)
    return errors


async def _check(checked: Traffic | Recording) -> None:
    checked.check()


async def _whole_within(ground: Ground, within_s: float) -> bool:
    """Whether the cluster becomes whole by itself."""
    try:
        await ground.until(ground.whole, within_s)
    except UsageError:
        return False
    return True


async def _start_again(ground: Ground, say: Say) -> None:
    """Everything, for the next fault.

    Raises:
        UsageError: not even that helped.
    """
    say("cluster.restarted")
    await asyncio.gather(*(body.kill() for body in ground.bodies.values()))
    await start_together(ground.bodies, ground.bodies)
    await ground.until(ground.whole, READY_WITHIN_S)


def share(load: float, of: float) -> float:
    """A rate, to four digits: it is sent as it is named to whoever does the run again."""
    return float(f"{load * of:.4g}")


async def sustained(ground: Ground, version: str, seed: int) -> float:
    """Requests a second that the cluster answers to callers who each ask again as soon as they were answered."""
    orders = Orders(ground.target, ground.depot.oracle, version, seed, callers=CALIBRATE_CALLERS)
    async with flowing([orders], ground.logs) as traffic:
        await asyncio.sleep(1 + CALIBRATE_S)
        until = time.monotonic() - 2 * SLICE_S
        measured = traffic.series.between(until - CALIBRATE_S, until)
    return measured.requests / CALIBRATE_S
