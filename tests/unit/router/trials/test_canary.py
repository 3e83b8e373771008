"""A canary's trial ends as the answers say, and no sooner."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from router.trials.canary import CanaryLimits, Decision, Served, Trial

LIMITS = CanaryLimits(canary_answers=400, canary_answers_min=50, canary_time_s=60)


def answered(canary: bool, *, failed: bool = False, below: bool = False, ms: float = 10.0) -> Served:
    """An answer."""
    return Served(canary, failed, below, ms)


def run(answers: int, canary: Callable[[random.Random], Served], every: int = 10, seed: int = 1) -> Trial:
    """A trial of so many answers, every tenth a canary's; the control is healthy."""
    chance = random.Random(seed)
    trial = Trial(LIMITS)
    for number in range(answers):
        healthy = answered(False, ms=10 + chance.random())
        trial.serve(canary(chance) if number % every == 0 else healthy)
    return trial


def healthy_canary(chance: random.Random) -> Served:
    """No different from the control."""
    return answered(True, ms=10 + chance.random())


def test_a_healthy_canary_is_promoted_after_enough_answers() -> None:
    """Its measures in words."""
    judgement = run(6000, healthy_canary).judged(elapsed_s=1)
    assert judgement.decision is Decision.PROMOTE
    assert "errors 0.0% (control 0.0%)" in judgement.why


def test_too_few_answers_are_waited_for() -> None:
    """And the status says so."""
    judgement = run(1000, healthy_canary).judged(elapsed_s=1)
    assert judgement.decision is Decision.WAIT
    assert "of 400" in judgement.why


def test_after_the_time_limit_fewer_are_enough() -> None:
    """The same answers, later."""
    assert run(1000, healthy_canary).judged(elapsed_s=61).decision is Decision.PROMOTE


def test_hardly_any_answers_are_never_enough() -> None:
    """However long it takes."""
    assert run(200, healthy_canary).judged(elapsed_s=10_000).decision is Decision.WAIT


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        (lambda chance: answered(True, failed=chance.random() < 0.3), "errors"),
        (lambda chance: answered(True, below=chance.random() < 0.3), "rungs"),
        (lambda chance: answered(True, ms=10 + 3 * chance.random()), "slow"),
    ],
)
def test_harm_is_found_and_named(broken: Callable[[random.Random], Served], named: str) -> None:
    """Whatever it is, long before a healthy canary would be promoted."""
    judgement = run(2500, broken).judged(elapsed_s=1)
    assert judgement.decision is Decision.ROLL_BACK
    assert named in judgement.why


def test_harm_that_was_found_stays_found() -> None:
    """Good answers afterwards do not undo it."""
    trial = run(1000, lambda chance: answered(True, failed=chance.random() < 0.5))
    for _ in range(1000):
        trial.serve(answered(True))
        trial.serve(answered(False))
    assert trial.judged(elapsed_s=1).decision is Decision.ROLL_BACK


def test_a_fault_of_both_is_nobodys() -> None:
    """A shard that dies fails canary and control alike: nothing is rolled back for it."""
    chance = random.Random(3)
    trial = Trial(LIMITS)
    for number in range(4000):
        failing = 1000 <= number < 1500 and chance.random() < 0.6
        trial.serve(answered(number % 10 == 0, failed=failing, below=failing, ms=10 + chance.random() + 90 * failing))
    assert trial.judged(elapsed_s=1).decision is not Decision.ROLL_BACK


def test_without_a_control_nothing_is_concluded() -> None:
    """There is nothing to compare with."""
    trial = Trial(LIMITS)
    for _ in range(5000):
        trial.serve(answered(True, failed=True))
    assert trial.judged(elapsed_s=10_000).decision is Decision.WAIT


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"canary_alpha": 0.0}, "canary_alpha"),
        ({"canary_slow_harm": 1.0}, "canary_slow_harm"),
        ({"canary_answers": 10}, "canary_answers_min"),
        ({"canary_time_s": -1.0}, "canary_time_s"),
    ],
)
def test_a_limit_that_cannot_work_is_named(settings: dict[str, float], named: str) -> None:
    """Before anything starts."""
    with pytest.raises(ValueError, match=f"^{named}: "):
        CanaryLimits(**settings)  # type: ignore[arg-type]
