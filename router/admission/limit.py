"""The limit on slates that are made at a time, as a value: what a window of answers makes of it.

A fall is a trial. Whether answers take long because so many are asked for at a time, or would in any case (a slow
network, a model that thinks), nobody can tell by looking at them; so fewer are asked for, and it is seen whether that
helps. By Little's law a queue that is half as long is waited in for half as long, and what is no queue is not.

Rules:

1. The goal for the median is a share of what the deadline leaves beyond the base: the time that answers take however
   few are asked for. The base is 0 until a trial found it, and no more than any median since.
2. Median above the goal: a trial. The limit falls to `TRIAL` of the mean in flight; once those who were admitted before
   are answered, the median is compared with the one before, and what is in flight likewise.
3. It fell by less than half as much, as their logarithms go: load is not the cause. The limit is given back, the median
   is the base. That is believed for so many answers, and for twice as many each time that it is found again.
4. Else load is the cause, and the limit stays down. While that is believed, medians above the goal make it fall to a
   share of what was in flight, with no trial; but three of them in a row, each after such a fall, end the belief.
5. Where so few are in flight that a trial cannot take any away, and they are all that the limit lets in, one adds some.
   Where the limit is not reached either, it is in nobody's way, and stays.
6. More than half of the askings came to nothing in the time they had: the limit falls by half, whatever the cause is;
   half of what is admitted is of no use. Never below the floor.
7. Median within the goal, and the limit was nearly reached: it grows by its square root, up to the ceiling. A limit
   that nobody came near says nothing and stays.

Increase and decrease: Chiu and Jain, "Analysis of the increase and decrease algorithms for congestion avoidance", 1989;
the step of √limit as in Netflix's concurrency-limits. The base is what TCP Vegas compares with (Brakmo and Peterson,
1995), and that few must be in flight to see it is BBR's ProbeRTT (Cardwell and others, 2016) and Envoy's adaptive
concurrency. Unlike those, nothing is looked for as long as answers are within the goal: what is wanted is the deadline,
and on a machine that others use too the least latency is luck.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

TRIAL = 0.6
"""Of what was in flight, that is left to be in a trial."""

TRIAL_SEEN = 0.75
"""What must be left of it at most, or at least beyond it the other way round, for medians to be compared."""

CAUSED = 0.5
"""Load is the cause where the median falls by at least this power of what is in flight."""

IN_VAIN = 0.5
"""Of the limit, that is left after more than half of the askings came to nothing."""

ABOVE_MAX = 3
"""Windows above the goal in a row, after which it is not believed any more that load is the cause."""

BASE_SHARE_MAX = 0.75
"""Of the deadline, that the base may be."""

BY_LOAD_ANSWERS, BY_LOAD_ANSWERS_MAX = 1024, 8192
"""For how many answers it is believed that load is the cause; if that is wrong, shedding helps nobody."""

BASE_ANSWERS, BASE_ANSWERS_MAX = 4096, 65536
"""For how many the base is; if that is wrong, answers take longer than they need, within the deadline."""


@dataclass(frozen=True)
class Bounds:
    """What the limit moves in.

    Attributes:
        goal_ms: for the median of shards' answers, where the base is 0.
        deadline_ms: of a slate.
        floor: least.
        start: before anything was seen.
        ceiling: most.
        decrease: share of the most in flight that is left after a window above the goal.
        near: share of the limit that must have been in flight for it to grow.
    """

    goal_ms: float
    deadline_ms: float = 200.0
    floor: int = 1
    start: int = 128
    ceiling: int = 1024
    decrease: float = 0.8
    near: float = 0.8


@dataclass(frozen=True, slots=True)
class Window:
    """What was seen since the limit moved, or since the last window.

    Attributes:
        answers: how many.
        median_ms: of the time they took; infinite where more than half of the askings came to nothing.
        in_flight: requests at a time, as the mean of those who came found it.
        most: requests at a time, at most.
    """

    answers: int
    median_ms: float
    in_flight: float
    most: int


@dataclass(frozen=True, slots=True)
class Belief:
    """For how long something that was found is believed.

    Attributes:
        left: answers.
        span: of the last time, in answers; twice as many the next time.
    """

    left: int = 0
    span: int = 0

    def __bool__(self) -> bool:
        return self.left > 0

    def older(self, answers: int) -> Belief:
        """After some answers."""
        return replace(self, left=max(self.left - answers, 0)) if self.left else self

    def again(self, least: int, most: int) -> Belief:
        """Found once more, or for the first time."""
        span = min(max(2 * self.span, least), most)
        return Belief(span, span)


NOTHING_FOUND = Belief()


@dataclass(frozen=True, slots=True)
class Trial:
    """What a trial is compared with.

    Attributes:
        limit: before the first of the medians above the goal.
        median_ms: before it.
        in_flight: in the mean before it.
    """

    limit: float
    median_ms: float
    in_flight: float


@dataclass(frozen=True, slots=True)
class Limit:
    """The limit, and what it rests on.

    Attributes:
        now: how many may be in flight.
        base_ms: that answers take however few are asked for; 0 where that is not known.
        base: for how long that is believed.
        by_load: for how long it is believed that load is what makes answers take longer than the goal.
        above: windows above the goal in a row.
        before: the limit before the first of these.
        trial: under way; None where none is.
    """

    now: float
    base_ms: float = 0.0
    base: Belief = NOTHING_FOUND
    by_load: Belief = NOTHING_FOUND
    above: int = 0
    before: float = 0.0
    trial: Trial | None = None

    def goal_ms(self, bounds: Bounds) -> float:
        """For the median."""
        return self.base_ms + bounds.goal_ms * (1 - self.base_ms / bounds.deadline_ms)


def after(limit: Limit, seen: Window, bounds: Bounds) -> Limit:
    """The limit after a window.

    Args:
        limit: before it.
        seen: in it.
        bounds: that hold.
    """
    limit = _older(limit, seen)
    if math.isinf(seen.median_ms):
        return _in_vain(limit, seen, bounds)
    if limit.trial is not None:
        return _judged(limit, limit.trial, seen, bounds)
    if seen.median_ms <= limit.goal_ms(bounds):
        return _grown(limit, seen, bounds)
    limit = replace(limit, above=limit.above + 1, before=limit.before if limit.above else limit.now)
    if limit.by_load and limit.above <= ABOVE_MAX:
        return replace(limit, now=max(bounds.decrease * min(limit.now, seen.most), bounds.floor))
    return _tried(limit, seen, bounds)


def _older(limit: Limit, seen: Window) -> Limit:
    """Beliefs run out, and a median that is lower than the base is a better one."""
    base = limit.base.older(seen.answers)
    base_ms = min(limit.base_ms, seen.median_ms) if base else 0.0
    return replace(limit, base=base, base_ms=base_ms, by_load=limit.by_load.older(seen.answers))


def _in_vain(limit: Limit, seen: Window, bounds: Bounds) -> Limit:
    now = max(IN_VAIN * min(limit.now, seen.most), bounds.floor)
    return replace(limit, now=now, above=0, trial=None)


def _grown(limit: Limit, seen: Window, bounds: Bounds) -> Limit:
    now = limit.now
    if seen.most >= bounds.near * now:
        now = min(now + math.sqrt(now), bounds.ceiling)
    return replace(limit, now=now, above=0)


def _tried(limit: Limit, seen: Window, bounds: Bounds) -> Limit:
    """Begin a trial, where there is something to take away, or somebody to let in."""
    trial = Trial(limit.before, seen.median_ms, seen.in_flight)
    fewer = max(TRIAL * seen.in_flight, bounds.floor)
    if fewer <= TRIAL_SEEN * seen.in_flight:
        return replace(limit, now=min(fewer, limit.now), trial=trial)
    if seen.most >= bounds.near * limit.now and limit.now < bounds.ceiling:
        return replace(limit, now=min(limit.now / TRIAL, bounds.ceiling), trial=trial)
    return replace(limit, above=0)


def _judged(limit: Limit, trial: Trial, seen: Window, bounds: Bounds) -> Limit:
    """End a trial."""
    over = replace(limit, above=0, trial=None)
    moved = math.log(seen.in_flight / trial.in_flight)
    if abs(moved) < -math.log(TRIAL_SEEN):  # fewer came than there was room for: nothing is known
        return replace(over, now=trial.limit)
    if math.log(seen.median_ms / trial.median_ms) / moved >= CAUSED:
        by_load = limit.by_load.again(BY_LOAD_ANSWERS, BY_LOAD_ANSWERS_MAX)
        return replace(over, now=min(limit.now, trial.limit), by_load=by_load)
    return replace(
        over,
        now=max(limit.now, trial.limit),
        base_ms=min(trial.median_ms, seen.median_ms, BASE_SHARE_MAX * bounds.deadline_ms),
        base=limit.base.again(BASE_ANSWERS, BASE_ANSWERS_MAX),
        by_load=NOTHING_FOUND,
    )
