"""Whether a canary does harm: a test that may be looked at after every answer.

What is counted, of users to whom something personal can be shown, in the canary's answers and in all others' (the
control) side by side:

- **errors**: the share of answers for which a shard failed, was late, or a model broke;
- **rungs**: the share whose first carousel is below SNAPSHOT, or not from the version it was meant from, as where no
  shard holds the user's partition of it;
- **slow**: the share that took longer than the control's p95 of shortly before.

For each count, `router.trials.evidence` weighs whether the canary's share is larger than the control's by a given
difference; 1/α of evidence for any of them, once, is harm. α, the chance of rolling back a harmless canary, is shared
by the three, and is a router's own: of R routers that conduct at once, one is wrong with a chance of at most R α.

Answers of one user are alike, and are counted as if they were not; with few users in the canary, chance is larger than
α says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from cyclopts import Parameter

from router.trials.evidence import LATER_STARTS, P95, SLOW_SHARE, Count, Stream
from trunkshow.serving.limits import at_least


@Parameter(name="*")
@dataclass(frozen=True)
class CanaryLimits:
    """When a canary is rolled back, and when it is promoted."""

    canary_alpha: float = 0.01
    """Chance that a harmless canary is rolled back, at most."""

    canary_errors_harm: float = 0.02
    """Rise in the share of failed or late askings that must be found, 0 to 1."""

    canary_rungs_harm: float = 0.02
    """Rise in the share of answers below SNAPSHOT that must be found, 0 to 1."""

    canary_slow_harm: float = 0.1
    """Rise in the share of answers above the control's p95 that must be found, 0 to 1."""

    canary_answers: int = 1000
    """Answers of the canary after which, without harm, it is promoted."""

    canary_time_s: float = 1800
    """Seconds after which, without harm, fewer are enough."""

    canary_answers_min: int = 100
    """These. With fewer still, it stays a canary, and the status says so."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ValueError: naming the setting, what it was and what is allowed.
        """
        at_least(0, canary_time_s=self.canary_time_s)
        at_least(1, canary_answers=self.canary_answers, canary_answers_min=self.canary_answers_min)
        if self.canary_answers_min > self.canary_answers:
            raise ValueError(
                f"canary_answers_min: {self.canary_answers_min}; at most canary_answers, which is {self.canary_answers}"
            )
        for name in ("canary_alpha", "canary_errors_harm", "canary_rungs_harm", "canary_slow_harm"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)}; must be above 0 and below 1")


class Served(NamedTuple):
    """An answer, as far as the test looks at it.

    Attributes:
        canary: made for a user of the canary's group.
        failed: a shard failed or was late, or a model broke, whatever became of the slate.
        below: its first carousel is below SNAPSHOT, or not from the version it was meant from.
        ms: from the request's arrival until its answer was made.
    """

    canary: bool
    failed: bool
    below: bool
    ms: float


class Decision(Enum):
    """What is to become of a canary."""

    WAIT = "wait"
    PROMOTE = "promote"
    ROLL_BACK = "roll back"


class Judgement(NamedTuple):
    """A decision, and why, for a person."""

    decision: Decision
    why: str


class Trial:
    """One canary's run in one router: takes answers, and says at any time what they come to.

    Args:
        limits: of the test.

    Attributes:
        answers: of the canary.
        control: answers of the current version beside them.
        harm: what was found, in words; empty as long as nothing was.
    """

    def __init__(self, limits: CanaryLimits) -> None:
        self._limits = limits
        self._streams = {
            "errors": Stream(0.001, limits.canary_errors_harm),
            "rungs": Stream(0.001, limits.canary_rungs_harm),
            "slow": Stream(SLOW_SHARE, limits.canary_slow_harm),
        }
        self._blocks = {name: (Count(), Count()) for name in self._streams}
        self._enough = math.log(len(self._streams) / limits.canary_alpha)
        self._times = P95()
        self._slow_ms: float | None = None
        self.answers = 0
        self.control = 0
        self.harm = ""

    def serve(self, served: Served) -> None:
        """Count an answer."""
        if served.canary:
            self.answers += 1
        else:
            self.control += 1
        self._count("errors", served.canary, served.failed)
        self._count("rungs", served.canary, served.below)
        if self._blocks["slow"] == (Count(), Count()):  # one block, one threshold
            self._slow_ms = self._times.ms
        if self._slow_ms is not None:
            self._count("slow", served.canary, served.ms > self._slow_ms)
        if not served.canary:
            self._times.add(served.ms)

    def judged(self, elapsed_s: float) -> Judgement:
        """What the answers so far come to, after so many seconds."""
        limits = self._limits
        if self.harm:
            return Judgement(Decision.ROLL_BACK, f"canary failed {self.harm}")
        compared = min(stream.total[0].answers for stream in self._streams.values())
        enough = limits.canary_answers if elapsed_s < limits.canary_time_s else limits.canary_answers_min
        if compared >= enough:
            return Judgement(Decision.PROMOTE, f"canary passed; {self}: {self._shares()}")
        return Judgement(Decision.WAIT, f"no harm so far in {compared} of {enough} answers")

    def __str__(self) -> str:
        return f"{self.answers} answers beside {self.control} of the current version"

    def _count(self, name: str, canary: bool, hit: bool) -> None:
        ours, theirs = self._blocks[name]
        ours, theirs = (ours.plus(hit), theirs) if canary else (ours, theirs.plus(hit))
        if ours.answers and theirs.answers:
            stream = self._streams[name]
            starts = 1 + stream.total[0].answers * (LATER_STARTS + 1) // self._limits.canary_answers
            self._streams[name] = stream.after(ours, theirs, min(starts, LATER_STARTS + 1))
            ours, theirs = Count(), Count()
            if not self.harm and self._streams[name].log_evidence >= self._enough:
                self.harm = f"after {self}: {self._share_of(name)}"
        self._blocks[name] = (ours, theirs)

    def _shares(self) -> str:
        return ", ".join(self._share_of(name) for name in self._streams)

    def _share_of(self, name: str) -> str:
        ours, theirs = (one.hits / max(one.answers, 1) for one in self._streams[name].total)
        return f"{name} {ours:.1%} (control {theirs:.1%})"
