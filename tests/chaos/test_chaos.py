"""The chaos command's short form: a real cluster, harmed by a seed, keeps its promises."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from datasets import Built

from cli.chaos import catalogue, report
from cli.chaos.command import chaos
from cli.chaos.options import ChaosOptions
from cli.chaos.plan import Plan, draw_steps
from cli.chaos.result import Result
from cli.chaos.run import run
from cli.chaos.terrain import Terrain
from cli.chaos.verdict import Verdict

SEED = 7
FAULTS = ("kill-one", "kill-router", "member-removed", "swap", "bit-flipped", "log-killed", "log-full")
RATE = 40.0
"""Little, so that a busy machine can keep up: what is tested is that answers are given and right, not how fast."""


def terrain(store: Path, work: Path) -> Terrain:
    """Three shards, two replicas, two routers."""
    return Terrain(str(store), work, seed=SEED)


def test_a_run_is_drawn_from_its_seed(tmp_path: Path) -> None:
    """The same faults with the same particulars in the same order; another seed, another run."""
    ground = terrain(tmp_path, tmp_path)
    names = tuple(catalogue.FAULTS)
    assert draw_steps(names, 1, ground, 5) == draw_steps(names, 1, ground, 5) != draw_steps(names, 2, ground, 5)


def test_every_fault_is_called_by_its_name(tmp_path: Path) -> None:
    """The name on the command line is the one in the report."""
    ground = terrain(tmp_path, tmp_path)
    drawn = {name: draw(random.Random(SEED), ground).name for name, draw in catalogue.FAULTS.items()}
    assert drawn == {name: name for name in catalogue.FAULTS}


@pytest.fixture(scope="module")
def result(built: Built, nobody_waits: None, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A short run of the faults that are quickest to show something."""
    ground = terrain(built.store, tmp_path_factory.mktemp("chaos"))
    plan = Plan(ground, SEED, FAULTS, seconds=1.2, rate=RATE, recovery_s=8.0)
    return asyncio.run(run(plan, lambda *_, **__: None))


def test_nothing_fails_and_nothing_is_wrong(result: Result) -> None:
    """Whatever was harmed."""
    tally = [(one.fault, one.tally.failed, one.tally.wrong, one.tally.complaints) for one in result.verdicts]
    assert sorted(tally) == [(name, 0, 0, []) for name in sorted(FAULTS)]
    assert all(one.tally.requests > RATE for one in result.verdicts)


def test_no_event_is_lost_and_none_counts_twice(result: Result) -> None:
    """Some were recorded beside every fault, some of them twice and some late; all were acknowledged in the end."""
    accounts = {one.fault: one.events for one in result.verdicts if one.events is not None}
    assert accounts.keys() == set(FAULTS)
    for one in accounts.values():
        assert one.acknowledged == one.recorded == one.events > 0
        assert (one.lost, one.twice, one.strange) == (0, 0, 0)
    assert sum(one.tries - one.events for one in accounts.values()) > 0


def test_who_asked_to_be_forgotten_is_known_to_no_slate(result: Result) -> None:
    """Some did, and were told that they are."""
    accounts = [one.events for one in result.verdicts if one.events is not None]
    assert sum(one.forgotten for one in accounts) > 0
    assert sum(one.remembered for one in accounts) == 0


def test_a_log_without_room_refuses_and_has_everything_later(result: Result) -> None:
    """Whoever was refused sent the same events again until there was room."""
    (full,) = [one.events for one in result.verdicts if one.fault == "log-full" and one.events is not None]
    assert full.refused > 0
    assert full.tries > full.events == full.acknowledged


def test_the_cluster_recovers(result: Result) -> None:
    """From each fault, within the time looked at; then every slate has every event."""
    assert [one.fault for one in result.verdicts if one.recovered_s is None] == []
    assert [one.fault for one in result.verdicts if one.events is None or one.events.fresh_s is None] == []


def test_the_report_says_how_to_do_it_again(result: Result) -> None:
    """Seed, commit and cluster, as JSON; and every fault has a row in each table."""
    said = json.loads(json.dumps(result.to_json()))
    assert (said["seed"], said["cluster"]) == (SEED, {"shards": 3, "replicas": 2, "routers": 2})
    rows = [line for line in report.markdown(result, "again").splitlines() if line.startswith("| kill-one |")]
    assert len(rows) == 3


def test_what_was_taken_from_the_machine_is_told_where_the_system_tells_it(result: Result) -> None:
    """Of the time of all processors, from the injection to the end of the look."""
    tells = hasattr(psutil.cpu_times(), "steal")
    assert [one.denial is not None and one.denial.of_s > 3 for one in result.verdicts] == [tells] * len(FAULTS)


def test_a_run_goes_on_where_it_ended(
    result: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str], nobody_waits: None
) -> None:
    """With the last step, where that was not judged; the report then has all of them, and says which part had which."""
    interrupted = replace(result, verdicts=result.verdicts[:-1], commit="before")
    (tmp_path / "report.json").write_text(json.dumps(interrupted.to_json()))
    with suppress(SystemExit):  # whether a promise is kept depends on the machine
        chaos(options=ChaosOptions(resume=tmp_path / "report.json", work=tmp_path / "work", json=True))
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads((tmp_path / "work" / "report.json").read_text())
    drawn = [(one.fault, one.particulars.partition(";")[0]) for one in result.verdicts]
    assert [(one["fault"], one["particulars"].partition(";")[0]) for one in said["steps"]] == drawn
    before = Result.from_json(interrupted.to_json(), result.plan)
    assert [Verdict.from_json(one) for one in said["steps"][:-1]] == before.verdicts
    assert [part["faults"] for part in said["parts"]] == [len(FAULTS) - 1, 1]
    assert (said["rate"], said["seed"]) == (RATE, SEED)
