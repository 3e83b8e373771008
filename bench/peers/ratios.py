"""Ratios of what was measured: ours ÷ a peer's within each repeat, and the median over the repeats."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Case(NamedTuple):
    """A way of asking.

    Attributes:
        callers: questions in flight.
        batch: users per question; 0 asks one at a time.
    """

    callers: int
    batch: int


class Sample(NamedTuple):
    """One measurement.

    Attributes:
        subject: who was asked.
        case: how.
        repeat: in which repeat.
        answers: that came.
        wrong: of them, not what was asked for.
        rps: answers per second.
        p50_ms: of a call.
        p99_ms: of a call.
        cpu_s_per_1000: processor seconds of the servers per 1,000 answers.
    """

    subject: str
    case: Case
    repeat: int
    answers: int
    wrong: int
    rps: float
    p50_ms: float
    p99_ms: float
    cpu_s_per_1000: float


class Ratio(NamedTuple):
    """Ours ÷ theirs.

    Attributes:
        median: over the repeats.
        least: of them.
        most: of them.
    """

    median: float
    least: float
    most: float


def ratio(samples: Sequence[Sample], ours: str, theirs: str, case: Case) -> Ratio | None:
    """Answers per second of ours ÷ those of theirs, of the repeats in which both were measured; None without any."""
    rates = [
        {one.repeat: one.rps for one in samples if one.subject == who and one.case == case} for who in (ours, theirs)
    ]
    quotients = [rates[0][repeat] / rates[1][repeat] for repeat in sorted(rates[0].keys() & rates[1].keys())]
    if not quotients:
        return None
    return Ratio(statistics.median(quotients), min(quotients), max(quotients))


def middle(samples: Sequence[Sample], subject: str, case: Case) -> Sample | None:
    """The medians of a subject's measurements, each figure for itself; wrong and answers are sums. None without any."""
    taken = [one for one in samples if one.subject == subject and one.case == case]
    if not taken:
        return None
    figures = ("rps", "p50_ms", "p99_ms", "cpu_s_per_1000")
    medians = {name: statistics.median(getattr(one, name) for one in taken) for name in figures}
    answers, wrong = sum(one.answers for one in taken), sum(one.wrong for one in taken)
    return Sample(subject, case, len(taken), answers, wrong, **medians)
