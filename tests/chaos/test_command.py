"""What the command writes beside what it does: a report that cannot be written takes no run along, and no words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.chaos import command, resuming
from cli.chaos.faults import Promise
from cli.chaos.ledger import Account
from cli.chaos.options import ChaosOptions, make_plan
from cli.chaos.plan import Plan
from cli.chaos.result import Result
from cli.chaos.run import Say
from cli.chaos.soak import Soaked
from cli.chaos.tally import Tally
from cli.chaos.terrain import Terrain
from cli.chaos.verdict import Verdict
from cli.output import UsageError


def judged(fault: str) -> Verdict:
    """One that was kept."""
    tally = Tally()
    tally.counts.update(requests=100)
    return Verdict(fault, "drawn", Promise(), 1.0, tally, 0.0, None)


def plan(work: Path) -> Plan:
    """Of two faults."""
    return Plan(Terrain("store", work, seed=3), 3, ("kill-one", "partition"), 5.0, rate=20.0)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that judges two faults, and harms nothing."""

    async def run(plan: Plan, say: Say, result: Result) -> Result:
        for fault in plan.faults:
            result.verdicts.append(judged(fault))
            say("fault.judged", fault=fault, broken=(), verdict=result.verdicts[-1])
        return result

    monkeypatch.setattr(command, "run", run)


@pytest.mark.usefixtures("played")
def test_a_run_goes_on_without_its_report_so_far(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where that cannot be written, it says so after every fault."""
    result = Result(plan(tmp_path / "nowhere"))
    assert command._do(ChaosOptions(store="store", json=True), result.plan, result)
    said = capsys.readouterr()
    assert [one["fault"] for one in json.loads(said.out)["steps"]] == ["kill-one", "partition"]
    assert said.err.count("the report so far was not written") == 2


@pytest.mark.parametrize("there", [True, False])
def test_only_a_report_that_is_there_is_named_to_go_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], there: bool
) -> None:
    """Once a run that judged something has ended early."""

    async def run(plan: Plan, say: Say, result: Result) -> None:
        result.verdicts.append(judged("kill-one"))
        say("fault.judged", fault="kill-one", broken=(), verdict=result.verdicts[-1])
        raise UsageError("the cluster was not whole")

    monkeypatch.setattr(command, "run", run)
    result = Result(plan(tmp_path if there else tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="not whole"):
        command._do(ChaosOptions(store="store"), result.plan, result)
    assert ("--resume" in capsys.readouterr().err) == there


def test_a_report_that_was_not_written_leaves_nothing_behind(tmp_path: Path) -> None:
    """Nothing half written lies beside the one before."""
    (tmp_path / resuming.REPORT / "in the way").mkdir(parents=True)
    with pytest.raises(OSError, match=r"report\.json"):
        resuming.keep(Result(plan(tmp_path)), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [resuming.REPORT]


@pytest.mark.parametrize("name", ["nowhere/report.md", "."])
def test_markdown_that_could_not_be_written_is_refused_before_the_run(tmp_path: Path, name: str) -> None:
    """By name."""
    with pytest.raises(UsageError, match="--markdown"):
        make_plan(ChaosOptions(store="store", markdown=tmp_path / name))
    make_plan(ChaosOptions(store="store", markdown=tmp_path / "report.md"))


@pytest.mark.parametrize("soak", [False, True])
def test_what_came_of_it_is_said_before_the_markdown_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], soak: bool
) -> None:
    """It may fail by then: the folder is gone, or full."""
    options = ChaosOptions(store="store", json=True, markdown=tmp_path / "gone" / "report.md")

    def tell() -> Any:
        if soak:
            return command._tell_soak(options, plan(tmp_path), Soaked(1.0, 20.0, 0, Tally(), Account(), ()))
        return command._tell(options, Result(plan(tmp_path), verdicts=[judged("kill-one")]))

    with pytest.raises(FileNotFoundError):
        tell()
    assert "passed" in json.loads(capsys.readouterr().out)
