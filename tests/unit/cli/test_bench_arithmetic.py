"""Claims about what the load driver counts: when requests are due, whom they are for, and how late answers are."""

import math

import numpy as np
import pytest

from cli.bench import arrivals
from cli.bench.judging import Judged, Wanted
from cli.bench.orders import Orders, read_requests, write_requests
from cli.bench.outcome import Outcome, histogram, name_of, quantile


def test_due_times_keep_the_rate_and_end_in_time() -> None:
    """Poisson arrivals of 1,000 a second for 20 s: as many as that within four deviations, all before the end."""
    times = arrivals.due_times(1000, 20, seed=3)
    assert abs(len(times) - 20_000) < 4 * math.sqrt(20_000)
    assert (np.diff(times) >= 0).all() and times[-1] < 20
    assert np.diff(times).std() == pytest.approx(1e-3, rel=0.05), (
        "gaps of a Poisson process spread as far as their mean"
    )


def test_a_seed_draws_the_same_again_and_another_does_not() -> None:
    assert (arrivals.due_times(50, 2, 1) == arrivals.due_times(50, 2, 1)).all()
    assert (
        len(arrivals.due_times(50, 2, 1)) != len(arrivals.due_times(50, 2, 2))
        or (arrivals.due_times(50, 2, 1) != arrivals.due_times(50, 2, 2)).any()
    )


def test_users_come_by_their_rank() -> None:
    """By Zipf's law the first of 1,000 comes 2^0.9 times as often as the second, and the last is still asked for."""
    counts = np.bincount(arrivals.visits(1000, 400_000, seed=5), minlength=1000)
    assert counts[0] / counts[1] == pytest.approx(2**0.9, rel=0.05)
    assert counts[0] > 50 * counts[-50:].mean() > 0


def test_exponent_zero_takes_all_alike() -> None:
    counts = np.bincount(arrivals.visits(10, 100_000, seed=5, exponent=0.0), minlength=10)
    assert counts.min() > 0.95 * counts.max() * 0.95


def test_a_quantile_is_a_value_that_was_measured() -> None:
    ascending = [float(value) for value in range(1, 1001)]
    assert [quantile(ascending, share) for share in (0.5, 0.9, 0.99, 0.999)] == [500, 900, 990, 999]


def test_a_quantile_of_too_few_is_not_made_up() -> None:
    assert math.isnan(quantile([1.0] * 99, 0.99)) and not math.isnan(quantile([1.0] * 100, 0.99))
    assert math.isnan(quantile([], 0.5))
    assert Outcome(1, latencies_ms=[1.0] * 99).figures()["p99_ms"] is None


def test_quantiles_have_names() -> None:
    assert [name_of(share) for share in (0.5, 0.99, 0.999)] == ["p50_ms", "p99_ms", "p99_9_ms"]


def test_latencies_of_a_while_are_those_of_calls_that_were_due_then() -> None:
    """Not of those that were answered then."""
    outcome = Outcome(3, latencies_ms=[1.0, 5.0, 2000.0], due_s=[12.0, 10.0, 10.5])
    assert outcome.latencies_between(10, 12) == [5.0, 2000.0]
    assert outcome.latencies_between(12, 13) == [1.0]


def test_processor_seconds_are_per_thousand_answers() -> None:
    assert Outcome(2, answered=500, cpu_s={"router": 0.25}).cpu_s_per_1000() == {"router": 0.5}


def test_nothing_answered_is_no_pass() -> None:
    assert not Outcome(1).passed
    assert Outcome(1, answered=1).passed
    assert not Outcome(1, answered=9, failed={"UNAVAILABLE": 1}).passed
    wrong = Judged()
    wrong.complain("an empty slate")
    assert not Outcome(1, answered=9, judged=wrong).passed


def test_a_histogram_holds_every_value_once() -> None:
    values = sorted(np.random.default_rng(1).lognormal(1, 1, 5000).tolist())
    rows = histogram(values, 12)
    assert len(rows) == 12 and sum(count for *_, count in rows) == 5000
    assert rows[0][0] <= values[0] and rows[-1][1] >= values[-1]
    assert [count for *_, count in histogram([2.0, 2.0])] == [2]
    assert histogram([]) == []


def test_an_outcome_and_orders_come_through_json(tmp_path) -> None:
    judged = Judged()
    judged.complain("an empty slate")
    judged.rungs["POPULAR"] += 2
    outcome = Outcome(
        2.0, 10.0, 0, [1.0, 2.0], [7.0, 6.0], [0.1], 20, {"UNKNOWN": 1}, judged, 8.0, {"bench": 0.5}, {"bench": 7}
    )
    assert Outcome.from_json(outcome.to_json()) == outcome
    orders = Orders("/a/b", "batch", Wanted(("x", "y"), 5, 50), 2.0, callers=3, pids={"a": 1})
    assert Orders.from_json(orders.to_json()) == orders
    requests = [b"", b"one", bytes(1000)]
    write_requests(tmp_path / "requests", requests)
    assert read_requests(tmp_path / "requests") == requests
