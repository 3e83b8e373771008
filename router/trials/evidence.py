"""Whether one share is larger than another, looked at after every answer: a sequential test of two Bernoulli streams.

The hypothesis is that the canary's share is the control's, whatever that is and however it moves with the hour; harm is
a share that is larger by a given difference. Answers are taken in blocks, each closed when it has answers of both. With
a and b answers of canary and control in a block, p the control's share as known *before* the block, q = p + harm and
r = (a q + b p) / (a + b), the block multiplies the evidence by

    Π_canary Bernoulli(q)/Bernoulli(r) × Π_control Bernoulli(p)/Bernoulli(r)

whose mean is at most 1 under the hypothesis (Turner, Ly, Grünwald, "Generic E-variables for exact sequential k-sample
tests that allow for optional stopping", JSPI 2024, arXiv:2106.02693). So evidence of 1/α is ever reached with a chance
of at most α (Ville's inequality), however often one looks: Wald's sequential test, for two streams.

Harm may set in late, when a long good record weighs against it. So half of the stake is put on harm from the start, and
the other half, in equal parts, on harm from later moments; a mixture of such tests is one.

A share that is larger by clearly less than the harm (about half of it) lowers the evidence: it is not what is looked
for. What is counted, and what follows from the evidence, is `router.trials.canary`'s business.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

LATER_STARTS = 7
"""Moments, evenly over the run, from which harm may set in, beside its start."""

MEMORY_ANSWERS = 5000
"""Answers after which what the control's share is known from counts half."""

PRIOR_ANSWERS = 50
"""What is assumed of the control weighs as much as so many answers."""

SLOW_SHARE = 0.05
"""Of the control's answers, by the p95's definition."""

RECENT_TIMES = 500
"""Answers of the control that its p95 is taken from; it is taken anew after each fifth of them."""


class Count(NamedTuple):
    """Answers, and how many of them had what is looked for."""

    answers: int = 0
    hits: int = 0

    def plus(self, hit: bool) -> Count:
        """With one more answer."""
        return Count(self.answers + 1, self.hits + hit)


@dataclass(frozen=True)
class Stream:
    """One count's test.

    Attributes:
        assumed: the control's share before anything is known.
        harm: the rise that is looked for.
        known: what the control's share is known from, old answers counting less.
        logs: log evidence for harm from each moment that has begun, the run's start first.
        total: all answers of both, for people to read: canary, control.
    """

    assumed: float
    harm: float
    known: tuple[float, float] = (0.0, 0.0)
    logs: tuple[float, ...] = (0.0,)
    total: tuple[Count, Count] = (Count(), Count())

    @property
    def control_share(self) -> float:
        """What the control's share is taken to be."""
        answers, hits = self.known
        return (hits + PRIOR_ANSWERS * self.assumed) / (answers + PRIOR_ANSWERS)

    @property
    def log_evidence(self) -> float:
        """Natural logarithm of the evidence; moments that have not begun hold their stake."""
        later = math.log(0.5 / LATER_STARTS)
        waiting = [later] * (LATER_STARTS + 1 - len(self.logs))
        parts = [math.log(0.5) + self.logs[0], *(later + one for one in self.logs[1:]), *waiting]
        largest = max(parts)
        return largest + math.log(sum(math.exp(part - largest) for part in parts))

    def after(self, canary: Count, control: Count, starts: int) -> Stream:
        """With a block's answers.

        Args:
            canary: of the block; at least one.
            control: of the block; at least one.
            starts: how many moments had begun before the block.
        """
        gained = block_log_evidence(canary, control, self.control_share, self.harm)
        logs = (*self.logs, *(0.0 for _ in range(starts - len(self.logs))))
        fade = 0.5 if self.known[0] > MEMORY_ANSWERS else 1.0
        return replace(
            self,
            known=(fade * self.known[0] + control.answers, fade * self.known[1] + control.hits),
            logs=tuple(one + gained for one in logs),
            total=(_sum(self.total[0], canary), _sum(self.total[1], control)),
        )


def block_log_evidence(canary: Count, control: Count, share: float, harm: float) -> float:
    """Natural logarithm of what a block multiplies the evidence by; the module's docstring has the formula.

    Args:
        canary: answers and hits.
        control: answers and hits.
        share: of the control, above 0, known before the block.
        harm: the rise that is looked for.
    """
    worse = max(share, min(share + harm, 0.999))  # nothing is worse than a control that always fails
    both = (canary.answers * worse + control.answers * share) / (canary.answers + control.answers)
    return _log_ratio(canary, worse, both) + _log_ratio(control, share, both)


def _log_ratio(count: Count, share: float, instead: float) -> float:
    misses = count.answers - count.hits
    return count.hits * math.log(share / instead) + misses * math.log((1 - share) / (1 - instead))


def _sum(first: Count, second: Count) -> Count:
    return Count(first.answers + second.answers, first.hits + second.hits)


class P95:
    """The 95th percentile of the control's recent times, fixed for a while at a time.

    What an answer is compared with must not depend on the answer itself; a threshold that was there before does not.

    Attributes:
        ms: nearest rank; None until there are enough times.
    """

    def __init__(self) -> None:
        self.ms: float | None = None
        self._recent: list[float] = []
        self._new = 0

    def add(self, ms: float) -> None:
        """One more answer of the control."""
        self._recent.append(ms)
        self._new += 1
        if self._new == RECENT_TIMES // 5:
            self._recent, self._new = self._recent[-RECENT_TIMES:], 0
            self.ms = sorted(self._recent)[math.ceil((1 - SLOW_SHARE) * len(self._recent)) - 1]
