"""A run's faults one after the other, on a ground that is played here: none that was injected lacks a verdict."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cli.chaos import resuming
from cli.chaos import run as running
from cli.chaos.faults import Promise
from cli.chaos.ground import Ground
from cli.chaos.ledger import Account
from cli.chaos.looking import Looker
from cli.chaos.plan import Plan, Step, steps
from cli.chaos.result import Result
from cli.chaos.tally import SLICE_S, Series, Tally
from cli.chaos.terrain import Terrain
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
        late: of the last slice that they are waited for, and of the one after it.
        hang: of some calls they never tell.
    """

    def __init__(self) -> None:
        self.series = Series()
        self.died: Exception | None = None
        self.late = (Tally(), Tally())
        self.hang = False

    async def told(self, before: float, within_s: float) -> bool:
        """What was sent before then."""
        del within_s
        for sent, tally in zip((before - SLICE_S, before), self.late, strict=True):
            self.series.at(sent).add(tally)
        return not self.hang

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
    monkeypatch.setattr(running, "LAGGARDS_S_MIN", 0.0)
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


async def test_what_becomes_of_a_batch_after_the_look_at_a_fault_counts(ground: Played) -> None:
    """It was sent during it; what was sent later is another fault's."""
    step, look = Step(Harmless("kill-one"), 0.0), cast("Looker", Sightless())
    ground.drivers.late = (Tally(Counter(requests=20, failed=20)), Tally(Counter(requests=7, failed=7)))
    verdict, _ = await running.one(step, ground, look, None, SLICE_S, lambda *_, **__: None)
    assert verdict.tally.failed == 20


async def test_calls_that_nothing_becomes_of_are_a_promise_that_is_not_kept(ground: Played) -> None:
    """Of that fault; the run goes on."""
    ground.drivers.hang = True
    result = await go_on(ground, [])
    assert [running.UNTOLD in one.broken for one in result.verdicts] == [True, True]


async def test_each_round_has_a_cluster_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """And none is brought up for a round that is not to be; one that was begun before is finished first."""
    clusters: list[list[str]] = []

    async def in_one_cluster(drawn: Iterable[Step], plan: Plan, say: object, result: Result) -> None:
        del plan, say
        clusters.append([step.fault.name for step in drawn])
        result.verdicts += [verdict] * len(clusters[-1])

    verdict = cast("Any", SimpleNamespace(tally=Tally(Counter(requests=10))))
    monkeypatch.setattr(running, "in_one_cluster", in_one_cluster)
    result = Result(PLAN, verdicts=[verdict])
    assert await running.run(replace(PLAN, requests=50), lambda *_, **__: None, result) is result
    assert [sorted(names) for names in clusters] == [NAMES[1:], sorted(PLAN.faults), sorted(PLAN.faults)]
    assert result.requests == 60


def test_where_a_ground_stood_its_logs_and_the_report_stay(tmp_path: Path) -> None:
    """Nothing else: its log of events, its caches and its store were another cluster's."""
    for name in ("logs", "bytecode", "events", "cache", "store"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    (tmp_path / resuming.REPORT).touch()
    ground = Ground(replace(PLAN.terrain, work=tmp_path))
    ground._clear()
    ground.depot.close()
    assert {path.name for path in tmp_path.iterdir()} == {"logs", "bytecode", resuming.REPORT}
    assert (tmp_path / "logs" / "file").exists()
