"""The verdict: what a series of tallies says of a promise."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from cli.chaos.faults import Promise
from cli.chaos.judging import STILL_OUT_S, Moments, judge, recovered_s
from cli.chaos.latecomers import Latecomer
from cli.chaos.ledger import Account
from cli.chaos.result import merged
from cli.chaos.tally import LATECOMERS_MAX, SLICE_S, Series, Tally
from cli.chaos.verdict import Verdict
from trunkshow.v1 import recommendation_pb2 as pb

MOMENTS = Moments(injected=100.0, healed=105.0, ended=112.0)


def series(**changes: dict[str, int]) -> Series:
    """Ten requests in every slice, all of them well; at the seconds named (`s103`) what was is said otherwise."""
    made = Series()
    for number in range(round(12 / SLICE_S)):
        at = 100 + number * SLICE_S + SLICE_S / 2
        counts = {"requests": 10, "personal": 10, **changes.get(f"s{int(at)}", {})}
        made.at(at).counts.update(counts)
    return made


EVENTS = Account(events=9, tries=12, recorded=9, acknowledged=9, users=3, fresh_s=2.0)


def verdict(promise: Promise, **changes: dict[str, int]) -> Verdict:
    """On such a series."""
    return judge("fault", "", promise, series(**changes), MOMENTS)


def test_a_promise_is_kept_where_all_is_well() -> None:
    """Every request was counted once."""
    judged = verdict(Promise())
    assert (judged.broken, judged.tally.requests, judged.recovered_s) == ((), 1200, pytest.approx(0, abs=SLICE_S))


@pytest.mark.parametrize(
    ("what", "promise", "is_broken"),
    [
        ("failed", Promise(), True),
        ("failed", Promise(answered=False), False),
        ("wrong", Promise(answered=False, healthy=False), True),
        ("late", Promise(), True),
        ("late", Promise(healthy=False), False),
    ],
)
def test_a_promise_is_broken_by_what_it_promised(what: str, promise: Promise, is_broken: bool) -> None:
    """And by nothing else."""
    assert bool(verdict(promise, s102={what: 1}).broken) is is_broken


@pytest.mark.parametrize(("unsent", "is_broken"), [(1, False), (2, True)])
def test_a_flood_that_was_not_sent_shows_nothing(unsent: int, is_broken: bool) -> None:
    """Of 1,200 requests one may be left unsent."""
    made = series()
    made.at(102.0).counts["unsent"] = unsent
    assert bool(judge("fault", "", Promise(healthy=False), made, MOMENTS).broken) is is_broken


@pytest.mark.parametrize(
    ("change", "is_broken"),
    [
        ({}, False),
        ({"refused": 3, "unanswered": 3}, False),
        ({"lost": 1}, True),
        ({"twice": 1}, True),
        ({"strange": 1}, True),
        ({"remembered": 1}, True),
        ({"acknowledged": 0}, True),
        ({"acknowledged": 0, "rejected": 9}, False),
        ({"fresh_s": 5.5}, True),
        ({"fresh_s": None}, True),
    ],
)
def test_events_are_neither_lost_nor_counted_twice_and_soon_in_every_slate(
    change: dict[str, Any], is_broken: bool
) -> None:
    """To be refused, or left without an answer, is no loss."""
    events = replace(EVENTS, **change)
    judged = judge("fault", "", Promise(fresh_s_max=5), series(), MOMENTS, events=events)
    assert bool(judged.broken) is is_broken


@pytest.mark.parametrize(
    ("change", "is_broken"),
    [
        ({"refused": 3}, False),
        ({"refused": 0}, True),
        ({"refused": 3, "tries": 100, "unanswered": 1}, False),
        ({"refused": 3, "tries": 100, "unanswered": 2}, True),
    ],
)
def test_a_full_log_refuses_and_leaves_nobody_without_an_answer(change: dict[str, Any], is_broken: bool) -> None:
    """One that refused nothing was not full; with another promise that is no fault."""
    events = replace(EVENTS, **change)
    judged = [judge("fault", "", Promise(refuses=one), series(), MOMENTS, events=events) for one in (True, False)]
    assert [bool(one.broken) for one in judged] == [is_broken, False]


@pytest.mark.parametrize(("after_s", "is_broken"), [(2, False), (4, True), (11 - STILL_OUT_S, False)])
def test_what_is_called_fresh_while_the_log_is_away_is_not(after_s: float, is_broken: bool) -> None:
    """Later than what is known may be old, and earlier than it could be answered once the log is back."""
    made = series()
    made.at(MOMENTS.injected + after_s + SLICE_S / 2).rungs["FRESH"] = 1
    moments = replace(MOMENTS, healed=MOMENTS.injected + 10.5)
    assert bool(judge("fault", "", Promise(false_after_s=3), made, moments).broken) is is_broken


def test_what_was_before_or_after_does_not_count() -> None:
    """A failure after the look at the fault is another fault's."""
    made = series()
    made.at(99.5).counts["failed"] = 1
    made.at(113).counts["failed"] = 1
    assert judge("fault", "", Promise(), made, MOMENTS).broken == ()


def test_recovery_is_seen_where_everybody_gets_the_snapshot_again() -> None:
    """Two seconds of poor slates after the heal are a recovery of two seconds."""
    poor = {"stepped_down": 10}
    found = recovered_s(series(s105=poor, s106=poor), MOMENTS)
    assert found == pytest.approx(2.0, abs=2 * SLICE_S)


def test_who_does_not_recover_has_not_kept_the_promise() -> None:
    """Poor slates to the end are said so."""
    poor = {f"s{second}": {"stepped_down": 1} for second in range(105, 112)}
    assert verdict(Promise(), **poor).recovered_s is None
    assert verdict(Promise(), **poor).broken


def test_silence_is_no_recovery() -> None:
    """Where nothing was asked, nothing was seen to be well."""
    made = Series()
    made.at(101).counts.update(requests=10, personal=10)
    assert recovered_s(made, MOMENTS) is None


def test_rounds_of_a_fault_are_one_verdict() -> None:
    """A late answer in one of them is late in all of them together."""
    whole = merged([verdict(Promise()), verdict(Promise(), s102={"late": 1})])
    assert [(one.tally.requests, bool(one.broken)) for one in whole] == [(2400, True)]


def test_a_tally_survives_the_journey() -> None:
    """What a driver tells arrives whole."""
    tally = Tally()
    tally.counts.update(requests=3, failed=1)
    tally.latencies[20] = 2
    tally.statuses["UNAVAILABLE"] = 1
    tally.complain("why")
    tally.note(latecomer(300))
    assert Tally.from_json(json.loads(json.dumps(tally.to_json()))) == tally


def test_what_was_before_a_moment_is_forgotten_and_nothing_else() -> None:
    """Faults look back for a second or so; a run goes on for hours."""
    made = series()
    made.forget(103.0)
    assert not made.between(0, 103).requests
    assert made.between(103, 112).requests == series().between(103, 112).requests


def latecomer(took_ms: float) -> Latecomer:
    """A late answer that a receipt explains."""
    receipt = pb.Receipt(rung=pb.RUNG_SNAPSHOT, reasons=[pb.REASON_SHARD_LATE], elapsed_ms=took_ms - 50)
    receipt.stages.add(name="shard", ms=150.04)
    receipt.attempts.add(replica="127.0.0.1:9", outcome=pb.OUTCOME_LATE, ms=120)
    return Latecomer.of(receipt, sent_at=took_ms, took_ms=took_ms, stood_ms=10)


def test_the_slowest_of_the_late_answers_are_kept() -> None:
    """Of the parts of a fault as of the whole, and in the order in which they were sent."""
    parts = [Tally(), Tally()]
    for number in range(3 * LATECOMERS_MAX):
        parts[number % 2].note(latecomer(200 + number))
    kept = [one.took_ms for one in Tally.sum(parts).latecomers]
    assert kept == [200 + number for number in range(2 * LATECOMERS_MAX, 3 * LATECOMERS_MAX)]


def test_a_late_answer_says_where_its_time_went() -> None:
    """Stages and attempts stand in one line, the shards by their names."""
    told = latecomer(300).told({"127.0.0.1:9": "router-0 to shard-1"})
    assert told == (
        "300 ms, sent at 00:05:00.000; 250 of them in the router; 10 while the caller stood still; "
        "SNAPSHOT SHARD_LATE; shard 150; router-0 to shard-1 LATE 120"
    )
