"""The sequential test keeps its promises: few false alarms however often one looks, harm found when it should be."""

from __future__ import annotations

import math
import random
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.trials.canary import CanaryLimits, Served, Trial
from router.trials.evidence import Count, Stream, block_log_evidence

SHARES = st.floats(0.001, 0.999)
ROUNDING = 1e-9
ANSWERS = st.integers(1, 12)


def chance_of(hits: int, answers: int, share: float) -> float:
    """Binomial probability."""
    return math.comb(answers, hits) * share**hits * (1 - share) ** (answers - hits)


@given(ANSWERS, ANSWERS, SHARES, SHARES, SHARES)
def test_mean_evidence_of_a_block_is_at_most_one_without_harm(
    canary: int, control: int, true: float, known: float, harm: float
) -> None:
    """Whatever the true share, and whatever it was taken to be: summed over all outcomes."""
    mean = sum(
        chance_of(ours, canary, true)
        * chance_of(theirs, control, true)
        * math.exp(block_log_evidence(Count(canary, ours), Count(control, theirs), known, harm))
        for ours in range(canary + 1)
        for theirs in range(control + 1)
    )
    assert mean <= 1 + ROUNDING


@given(ANSWERS, ANSWERS, SHARES, SHARES, st.data())
def test_a_hit_of_the_canary_is_evidence_and_one_of_the_control_is_against_it(
    canary: int, control: int, known: float, harm: float, data: st.DataObject
) -> None:
    """Each by itself."""
    ours, theirs = data.draw(st.integers(0, canary - 1)), data.draw(st.integers(0, control - 1))
    before = block_log_evidence(Count(canary, ours), Count(control, theirs), known, harm)
    assert block_log_evidence(Count(canary, ours + 1), Count(control, theirs), known, harm) >= before - ROUNDING
    assert block_log_evidence(Count(canary, ours), Count(control, theirs + 1), known, harm) <= before + ROUNDING


def ends(
    canary: float, control: float, *, runs: int, answers: int, limits: CanaryLimits, from_answer: int = 0
) -> list[int]:
    """Canary answers until each run found harm in its errors; those that found none are left out.

    Args:
        canary: its share of errors from `from_answer` on; the control's before.
        control: the other's share.
        runs: simulated, each from a seed of its own.
        answers: of the canary, after which a run is over; nine of the control come with each.
        limits: of the trial.
        from_answer: when the harm sets in.
    """
    found = []
    for seed in range(runs):
        chance = random.Random(seed).random
        trial = Trial(limits)
        while trial.answers < answers and not trial.harm:
            share = canary if trial.answers >= from_answer else control
            trial.serve(Served(True, chance() < share, False, chance()))
            for _ in range(9):
                trial.serve(Served(False, chance() < control, False, chance()))
        if trial.harm:
            found.append(trial.answers)
    return found


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2])
def test_false_alarms_are_at_most_alpha(share: float) -> None:
    """Of 300 harmless canaries, looked at after every block, at most 10 % plus three standard errors ever raise it."""
    alarms = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        ours, theirs = rng.binomial(1, share, 300).tolist(), rng.binomial(9, share, 300).tolist()
        stream, highest = Stream(0.01, 0.02), 0.0
        for number, (canary, control) in enumerate(zip(ours, theirs, strict=True)):
            stream = stream.after(Count(1, canary), Count(9, control), starts=1 + number // 40)
            highest = max(highest, stream.log_evidence)
        alarms += highest >= math.log(1 / 0.1)
    assert alarms / 300 <= 0.1 + 3 * math.sqrt(0.1 * 0.9 / 300)


def test_a_trial_shares_alpha_among_its_counts() -> None:
    """Three counts, each with errors of its own, raise no more false alarms than one."""
    alarms = len(ends(0.05, 0.05, runs=30, answers=150, limits=CanaryLimits(canary_alpha=0.1, canary_answers=150)))
    assert alarms / 30 <= 0.1 + 3 * math.sqrt(0.1 * 0.9 / 30)


def expected_answers(canary: float, control: float, harm: float, alpha: float, per_canary: int) -> float:
    """Answers of the canary until log evidence reaches log(2 · 3/α), by its mean growth (Wald's approximation).

    Growth of a block of one canary and `per_canary` others is KL(q ‖ r) + n KL(p ‖ r); half of the stake is on harm
    from the start, and α is shared by three counts.
    """
    worse = control + harm
    both = (worse + per_canary * control) / (1 + per_canary)
    growth = (
        canary * math.log(worse / both)
        + (1 - canary) * math.log((1 - worse) / (1 - both))
        + per_canary * (control * math.log(control / both) + (1 - control) * math.log((1 - control) / (1 - both)))
    )
    return math.log(2 * 3 / alpha) / growth


def test_harm_of_the_size_looked_for_is_found_when_it_should_be() -> None:
    """The mean over 60 runs is about what Wald's sum says, and no run misses it."""
    limits = CanaryLimits(canary_alpha=0.01, canary_errors_harm=0.05, canary_answers=1500)
    found = ends(0.06, 0.01, runs=60, answers=1500, limits=limits)
    assert len(found) == 60
    assert statistics.mean(found) == pytest.approx(expected_answers(0.06, 0.01, 0.05, 0.01, 9), rel=0.35)


def test_larger_harm_is_found_sooner() -> None:
    """Every third answer fails: a few dozen are enough."""
    found = ends(0.33, 0.01, runs=20, answers=1500, limits=CanaryLimits())
    assert len(found) == 20
    assert statistics.mean(found) < 30


def test_harm_that_sets_in_late_is_found_too() -> None:
    """A long good record does not hide it: found well before the run ends."""
    found = ends(0.15, 0.005, runs=10, answers=1000, limits=CanaryLimits(), from_answer=700)
    assert len(found) == 10
    assert min(found) >= 700
    assert statistics.mean(found) < 800


def test_harm_much_smaller_than_looked_for_is_let_pass() -> None:
    """1.2 % of errors beside 1 % is not a rise of 5 points: evidence falls."""
    stream = Stream(0.01, 0.05)
    for _ in range(100):
        stream = stream.after(Count(1000, 12), Count(9000, 90), starts=1)
    assert stream.log_evidence < 0
