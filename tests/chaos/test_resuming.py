"""A run that goes on: what a report has to say for that, which flags may differ, and with which step it begins."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from cli.chaos import origin, resuming
from cli.chaos.denied import Denial
from cli.chaos.faults import Promise
from cli.chaos.latecomers import Latecomer
from cli.chaos.ledger import Account
from cli.chaos.options import ChaosOptions, again, make_plan
from cli.chaos.origin import Part
from cli.chaos.plan import Plan, steps
from cli.chaos.report import markdown
from cli.chaos.result import Result, merged
from cli.chaos.run import share
from cli.chaos.tally import Tally
from cli.chaos.terrain import Terrain
from cli.chaos.verdict import Verdict
from cli.output import UsageError

FAULTS = ("steady", "kill-one", "partition")
PLAN = Plan(Terrain("store", Path("work"), seed=3), 3, FAULTS, 12.0, rate=20.0, requests=1_000)
LATE = Latecomer(
    7.0, 301.5, 0.0, 250.1, "FRESH", ("SHARD_LATE",), (("shard", 150.0),), (("127.0.0.1:9", "LATE", 120.0),)
)


def verdict(fault: str, requests: int = 100) -> Verdict:
    """One that has something of everything."""
    tally = Tally()
    tally.counts.update(requests=requests, late=1, personal=90, stepped_down=2, because_shard_late=2, hurried=3)
    tally.rungs.update(FRESH=95, POPULAR=5)
    tally.versions.update(v1=requests)
    tally.statuses.update(UNAVAILABLE=1)
    tally.latencies.update({3: 50, 20: 50})
    tally.complain("why")
    tally.note(LATE)
    events = Account(events=9, tries=12, recorded=9, acknowledged=9, users=3, forgotten=1, fresh_s=2.123456)
    promise = Promise(whole=True, late_one_in=7)
    return Verdict(
        fault, "drawn", promise, 12.3456, tally, 1.23456, None, False, "trouble", 1, events, 2, Denial(1.5, 24.0, 1)
    )


def ended(faults: int, **changes: Any) -> Result:
    """A run that was ended after so many faults."""
    names = [step.fault.name for step in islice(steps(PLAN, lambda: True), faults)]
    return replace(Result(PLAN, 20.0, 41.0, [verdict(name) for name in names], snapshot="v1"), **changes)


def read(result: Result) -> dict[str, Any]:
    """Its report, as another process reads it."""
    raw: dict[str, Any] = json.loads(json.dumps(result.to_json()))
    return raw


@pytest.mark.parametrize(
    "judged",
    [
        verdict("kill-one"),
        replace(verdict("kill-one"), recovered_s=None, switched_s=3.3, events=None),
        Verdict("steady", "", Promise(), 1.0, Tally(), 0.0, None),
    ],
)
def test_a_verdict_survives_its_report(judged: Verdict) -> None:
    """To the last digit."""
    assert Verdict.from_json(json.loads(json.dumps(judged.to_json()))) == judged


def test_both_parts_are_one_run_in_the_report() -> None:
    """The same verdicts per fault, and the same Markdown, but for the parts, which it names."""
    whole = ended(5, commit="b")
    resumed = Result.from_json(read(ended(2, commit="a")), PLAN)
    resumed.commit = "b"
    resumed.verdicts += whole.verdicts[2:]
    assert merged(resumed.verdicts) == merged(whole.verdicts)
    told = "commits a (2 faults) and b (3 faults), " + origin.machine() + ", in 2 parts"
    assert markdown(resumed, "").replace(told, "commit b, " + origin.machine()) == markdown(whole, "")


def test_a_run_that_went_on_goes_on_again() -> None:
    """With a part more."""
    second = Result.from_json(read(ended(2, commit="a")), PLAN)
    second.verdicts.append(verdict("partition"))
    second.commit = "b"
    third = Result.from_json(read(second), PLAN)
    assert [(part.commit, part.faults) for part in third.parts] == [("a", 2), ("b", 1)]
    assert third.verdicts == second.verdicts


def test_late_answers_name_places_and_not_the_addresses_of_a_cluster_that_is_gone() -> None:
    """The next cluster may have the same addresses for other places."""
    resumed = Result.from_json(read(ended(1, places={"127.0.0.1:9": "router-0 to shard-1"})), PLAN)
    assert [one.attempts[0][0] for one in resumed.verdicts[0].tally.latecomers] == ["router-0 to shard-1"]


def test_commits_are_told_once_each() -> None:
    """Several parts at one commit are its faults together."""
    parts = (Part("a", "here", 2), Part("b", "there", 3), Part("a", "here", 4))
    assert origin.told(parts) == "commits a (6 faults) and b (3 faults), here; there, in 3 parts"
    assert origin.told(parts[:1]) == "commit a, here"


@pytest.mark.parametrize("done", range(8))
def test_a_run_goes_on_with_the_step_after_those_that_were_done(done: int) -> None:
    """In whatever round that is."""
    assert list(islice(steps(PLAN, lambda: True, done), 4)) == list(islice(steps(PLAN, lambda: True), done, done + 4))


@pytest.mark.parametrize(("done", "left"), [(0, 3), (2, 1), (3, 0), (4, 2), (6, 0)])
def test_a_round_that_was_begun_is_finished(done: int, left: int) -> None:
    """And none is begun where it is not to go on."""
    assert len(list(steps(PLAN, lambda: False, done))) == left


def test_what_no_flag_says_is_the_reports() -> None:
    """A run may be made longer, and its store lie elsewhere."""
    told = read(ended(2))["flags"]
    plan = make_plan(ChaosOptions(store="elsewhere", requests=5_000, seconds=12.0, fault=FAULTS), told)
    terrain = replace(PLAN.terrain, store="elsewhere", work=Path())
    assert plan == replace(PLAN, terrain=terrain, requests=5_000)


def test_a_flag_that_is_not_the_reports_is_refused_by_name() -> None:
    """Each of them, though it be the default."""
    told = read(ended(2))["flags"]
    with pytest.raises(UsageError) as refused:
        make_plan(ChaosOptions(seed=4, seconds=5.0, rate=20.0, shards=5, fault=("steady",)), told)
    assert str(refused.value) == (
        "a run goes on as it began: --fault steady is not the report's steady,kill-one,partition; "
        "--seconds 5 is not the report's 12; --shards 5 is not the report's 3; --seed 4 is not the report's 3"
    )


@pytest.mark.parametrize("rate", [33.33, 0.04, 20.0])
def test_the_rate_is_the_reports_to_the_last_digit(rate: float) -> None:
    """The same flags go on, and the command that does it again names it; nothing is measured anew."""
    told = read(replace(ended(2), rate=rate))
    plan = make_plan(ChaosOptions(rate=rate), told["flags"])
    assert (plan.rate, resuming.gone_on_with(told, plan).rate) == (rate, rate)
    assert f"--rate {rate} " in again(plan, rate)


@pytest.mark.parametrize("sustained", [41.3333333333, 0.05, 1234.5678])
def test_a_measured_rate_is_sent_as_it_is_named(sustained: float) -> None:
    """In few digits, of which none is lost."""
    rate = share(0.5, sustained)
    assert rate == pytest.approx(0.5 * sustained, rel=1e-3)
    assert len(str(rate).replace(".", "").lstrip("0")) <= 4


def test_a_run_in_parts_is_done_again_by_its_requests() -> None:
    """Minutes are of one part alone."""
    plan = replace(PLAN, requests=0, minutes=7.0)
    assert replace(ended(5), plan=plan).as_one == plan
    resumed = Result.from_json(read(replace(ended(5), plan=plan)), plan)
    resumed.verdicts.append(verdict("partition", requests=120))
    assert resumed.as_one == replace(plan, minutes=0.0, requests=560)
    assert "--requests 560" in again(resumed.as_one, 20.0)
    assert "--minutes" not in again(resumed.as_one, 20.0)


def test_a_run_in_parts_that_is_to_be_longer_than_it_was_says_so() -> None:
    """It was interrupted."""
    assert Result.from_json(read(ended(5)), PLAN).as_one == PLAN


def test_a_report_whose_faults_are_not_the_plans_is_refused() -> None:
    """By the first that is not: the step after it would be another one."""
    changed = ended(5)
    order = [one.fault for one in changed.verdicts]
    changed.verdicts[3:] = reversed(changed.verdicts[3:])
    with pytest.raises(UsageError, match=f"fault 4 of the report is {order[4]}, and {order[3]} is drawn"):
        resuming.gone_on_with(read(changed), PLAN)


def test_the_command_that_does_it_again_makes_the_same_plan() -> None:
    """But for the rate that was measured."""
    assert again(PLAN, 20.0) == (
        "trunkshow chaos --store store --fault steady,kill-one,partition --seed 3 --seconds 12.0 --load 0.5 "
        "--rate 20.0 --shards 3 --replicas 2 --routers 2 --requests 1000"
    )


@pytest.mark.parametrize(("faults", "requests", "is_done"), [(3, 300, True), (3, 301, False), (2, 0, False)])
def test_a_run_that_is_done_does_not_go_on(faults: int, requests: int, is_done: bool) -> None:
    """A hundred requests were sent during each of its faults."""
    plan = replace(PLAN, requests=requests)
    if is_done:
        with pytest.raises(UsageError, match="--requests"):
            resuming.gone_on_with(read(ended(faults)), plan)
    else:
        assert len(resuming.gone_on_with(read(ended(faults)), plan).verdicts) == faults


def test_a_report_is_kept_in_the_work_folder_and_not_read_from_one_that_is_emptied(tmp_path: Path) -> None:
    """It would be lost before there is another."""
    resuming.keep(ended(2), tmp_path)
    assert resuming.read(tmp_path / resuming.REPORT, None) == read(ended(2))
    with pytest.raises(UsageError, match="emptied"):
        resuming.read(tmp_path / resuming.REPORT, tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"verdicts": []}'])
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    """By name."""
    (tmp_path / "some.json").write_text(text)
    with pytest.raises(UsageError, match=r"some\.json"):
        resuming.read(tmp_path / "some.json", None)
