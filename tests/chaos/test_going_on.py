"""A run's faults one after the other, on a ground that is played here: none that was injected lacks a verdict."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cli.chaos import resuming
from cli.chaos import run as running
from cli.chaos.faults import Promise
from cli.chaos.ground import Ground, Terrain
from cli.chaos.ledger import Account
from cli.chaos.looking import Looker
from cli.chaos.plan import Plan, Step, steps
from cli.chaos.result import Result
from cli.chaos.tally import Series
from cli.chaos.traffic import DriverDied
from cli.output import UsageError

PLAN = Plan(Terrain("store", Path("work"), seed=3), 3, ("kill-one", "partition"), 0.0, rate=20.0, recovery_s=0.0)
NAMES = [step.fault.name for step in islice(steps(PLAN, lambda: True), 2)]


@dataclass(frozen=True)
class Harmless:
    """A fault that does nothing."""

    name: str
    promise: Promise = field(default=Promise())

    async def inject(self, ground: Ground) -> None:
        """Nothing."""

    async def heal(self, ground: Ground) -> None:
        """Nothing."""


class Drivers:
    """As much of the traffic as a run sees.

    Attributes:
        died: of what.
    """

    def __init__(self) -> None:
        self.series = Series()
        self.died: Exception | None = None

    def check(self) -> None:
        """Raise what one died of."""
        if self.died is not None:
            raise self.died


class Played(Ground):
    """A cluster of no processes.

    Attributes:
        heals: whether it is whole after a fault.
    """

    def __init__(self, terrain: Terrain) -> None:
        super().__init__(terrain)
        self.drivers = Drivers()
        self.traffic = cast("Any", self.drivers)
        self.recording = cast("Any", SimpleNamespace(turn=lambda: None, check=lambda: None))
        self.heals = True

    async def until(self, enough: object, within_s: float) -> float:
        """At once, or never."""
        if not self.heals:
            raise UsageError(f"not whole within {within_s:g} s")
        return 0.0


class Sightless:
    """Who finds all as it should be."""

    async def settled(self, *_: object) -> float:
        """At once."""
        return 0.0

    async def account(self, *_: object) -> Account:
        """Of nothing."""
        return Account()


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    """Nobody has to be waited for."""
    monkeypatch.setattr(running, "LAGGARDS_S", 0.0)
    made = Played(replace(PLAN.terrain, work=tmp_path))
    yield made
    made.depot.close()


async def go_on(ground: Ground, said: list[str]) -> Result:
    """Do both faults; what came of them, also where that is not the end of the run."""
    result = Result(PLAN, 20.0, snapshot="v1")
    drawn = [Step(Harmless(name), 0.0) for name in NAMES]
    looker = cast("Looker", Sightless())
    try:
        await running.one_by_one(drawn, ground, looker, None, result, lambda event, **_: said.append(event))
    except (UsageError, DriverDied) as error:
        said.append(f"raised: {error}")
    return result


async def test_a_run_goes_from_fault_to_fault(ground: Played) -> None:
    """Each has its verdict."""
    said: list[str] = []
    result = await go_on(ground, said)
    assert [one.fault for one in result.verdicts] == NAMES
    assert said == ["fault.injected", "fault.healed", "fault.judged"] * 2


async def test_a_fault_that_a_cluster_does_not_come_back_from_is_judged(ground: Played) -> None:
    """By what nothing helped against; then the run ends, and goes on with the step after it."""
    ground.heals = False
    said: list[str] = []
    result = await go_on(ground, said)
    assert said[2:] == ["cluster.restarted", "fault.judged", "raised: not whole within 120 s"]
    assert [one.fault for one in result.verdicts] == NAMES[:1]
    assert {"not whole within 120 s", "not every shard became ready again by itself"} <= set(result.verdicts[0].broken)
    report = json.loads(json.dumps(result.to_json()))
    resumed = resuming.gone_on_with(report, PLAN)
    assert resumed.verdicts[0].broken == result.verdicts[0].broken
    assert next(steps(PLAN, lambda: True, len(resumed.verdicts))).fault.name == NAMES[1]


async def test_a_fault_during_which_a_driver_died_is_judged(ground: Played) -> None:
    """By that; then the run ends."""
    ground.drivers.died = DriverDied("a driver ended with 1")
    said: list[str] = []
    result = await go_on(ground, said)
    assert said[2:] == ["fault.judged", "raised: a driver ended with 1"]
    assert "a driver ended with 1" in result.verdicts[0].broken
