"""Processor time that was taken from the machine: how much, and how many late answers fell there."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from cli.chaos.denied import Denial, Takings
from cli.chaos.denied_report import cells, of_late, summary
from cli.chaos.faults import Promise
from cli.chaos.judging import Moments, judge
from cli.chaos.result import merged
from cli.chaos.tally import Series
from cli.chaos.verdict import Verdict

MOMENTS = Moments(injected=100.0, healed=105.0, ended=110.0)


def takings(share: float = 0.3) -> Takings:
    """Of two processors, looked at every half second; from 103 to 105 such a share of their time was taken."""
    made, taken_s = Takings(2), 1_000.0
    for number in range(41):
        moment = 95 + number / 2
        taken_s += 2 * share / 2 if 103 < moment <= 105 else 0
        made.note(moment, taken_s)
    return made


def judged(late_at: tuple[float, ...] = (), share: float = 0.3) -> Verdict:
    """A fault with a late answer at each of these moments."""
    series = Series()
    for number in range(100):
        series.at(100.05 + number / 10).counts.update(requests=10, personal=10)
    for at in late_at:
        series.at(at).counts["late"] += 1
    return judge("fault", "", Promise(), series, MOMENTS, takings=takings(share))


@pytest.mark.parametrize(
    ("begin", "end", "share"),
    [
        (103, 105, 0.3),
        (100, 110, 0.06),
        (103.2, 103.3, 0.3),
        (102, 104, 0.15),
        (95, 103, 0),
        (50, 60, 0),
        (104, 104, 0),
    ],
)
def test_a_share_is_of_all_processors(begin: float, end: float, share: float) -> None:
    """Between any two moments, whenever it was looked at; nothing where it was not."""
    assert takings().share(begin, end) == pytest.approx(share)


def test_nothing_is_told_of_what_nobody_looked_at() -> None:
    """Nor does it fail."""
    assert Takings(2).denial(0, 1, [(0.5, 1)]) == Denial(0.0, 2.0, 0)


def test_what_was_before_is_forgotten_but_for_what_the_rest_needs() -> None:
    """Shares since then stay what they were."""
    made = takings()
    made.forget(103.7)
    assert made.share(103.7, 105) == pytest.approx(0.3)
    assert made.share(90, 103) == 0


@pytest.mark.parametrize(
    ("sent", "is_denied"),
    [
        (102.05, False),
        (102.45, False),
        (102.75, True),
        (104.05, True),
        (105.15, True),
        (105.45, False),
        (108.05, False),
    ],
)
def test_a_late_answer_is_told_by_the_second_around_it(sent: float, is_denied: bool) -> None:
    """From 0.4 s before it was asked for to 0.6 s after; it is late in any case."""
    verdict = judged((sent,))
    assert verdict.denial is not None
    assert (verdict.tally.late, verdict.denial.late) == (1, int(is_denied))


def test_little_is_no_denial() -> None:
    """It is told as a share all the same."""
    denial = judged((104.05,), share=0.04).denial
    assert denial is not None
    assert (denial.late, denial.share) == (0, pytest.approx(0.008))


def test_it_excuses_nothing() -> None:
    """A promise is broken by answers that were late while the machine was denied its processors."""
    assert judged((104.05,)).broken == ("1 answers of 1000 were late",)


def test_rounds_are_one_by_their_time() -> None:
    """A round of which nothing was told tells nothing."""
    calm, denied = judged(), judged((104.05, 104.15))
    (whole,) = merged([replace(calm, denial=Denial(0.0, 60.0, 0)), denied, replace(calm, denial=None)])
    assert whole.denial == Denial(pytest.approx(1.2), 80.0, 2)
    assert merged([replace(calm, denial=None)])[0].denial is None


def test_it_survives_the_report() -> None:
    """With the verdict."""
    verdict = judged((104.05,))
    assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict


def test_the_report_says_both() -> None:
    """How much was taken, and how many were late then; nothing where nobody can tell, or nobody was late."""
    verdict = judged((104.05, 108.05))
    assert cells(verdict) == ("6.0%", "1")
    assert cells(replace(verdict, promise=Promise(healthy=False))) == ("6.0%", "(1)")
    assert of_late([verdict]) == "; 1 of them while the machine was denied more than 5% of its processors' time"
    assert summary([verdict]) == [
        "- 6.0% of the processors' time was taken from the machine, at most 6.0% in one fault (*fault*)."
    ]
    silent = replace(verdict, denial=None)
    assert (cells(silent), of_late([silent]), summary([silent]), of_late([judged()])) == (("", ""), "", [], "")
