"""Whether a new snapshot answers as well as the current one: what both answered to the same requests, against limits.

    pairs of answers → Measures (`router.trials.measures`) → compared with RehearsalLimits → Verdict

What is measured, and how it is defined, is said in `router.trials.measures`; what is replayed, how and when, is
`router.trials.rehearser`'s business; what follows from a verdict, `router.trials.conductor`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

from cyclopts import Parameter

from router.trials.measures import Measures
from trunkshow.serving.limits import at_least


@Parameter(name="*")
@dataclass(frozen=True)
class RehearsalLimits:
    """What a new snapshot must keep to before shoppers see it."""

    rehearsal_requests: int = 200
    """Requests that are replayed on both snapshots."""

    rehearsal_requests_min: int = 50
    """With fewer compared, nothing is concluded: the candidate is withdrawn, and can be tried again."""

    rehearsal_wait_s: float = 5
    """Seconds that a router with too few recent requests waits for more, before it makes some up."""

    rehearsal_warm_s: float = 600
    """Seconds within which a candidate must be warm on enough shards; one that is not is withdrawn."""

    rehearsal_time_s: float = 120
    """Seconds that replaying may take; what was compared by then is judged."""

    rehearsal_in_flight: int = 2
    """Requests that are replayed at a time."""

    rehearsal_overlap_min: float = 0.2
    """Least mean overlap@k, 0 to 1."""

    rehearsal_p99_ratio_max: float = 2
    """Most that the candidate's p99 may be, in those of the current snapshot."""

    rehearsal_p99_slack_ms: float = 30
    """Milliseconds by which its p99 may be longer whatever the ratio."""

    rehearsal_coverage_drop_max: float = 0.02
    """Most by which the share of requests with all their personal carousels may fall."""

    rehearsal_distinct_ratio_min: float = 0.5
    """Least distinct items shown, in those of the current snapshot."""

    rehearsal_popularity_shift_max: float = 1.5
    """Most by which items shown may become more or less popular, in doublings of their popularity rank."""

    rehearsal_errors_max: float = 0.02
    """Most by which the share of requests without an answer may rise."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ValueError: naming the setting, what it was and what is allowed.
        """
        at_least(1, rehearsal_requests=self.rehearsal_requests, rehearsal_requests_min=self.rehearsal_requests_min)
        at_least(1, rehearsal_in_flight=self.rehearsal_in_flight)
        at_least(0, **{name: value for name, value in vars(self).items() if isinstance(value, float)})
        if self.rehearsal_requests_min > self.rehearsal_requests:
            raise ValueError(
                f"rehearsal_requests_min: {self.rehearsal_requests_min}; at most rehearsal_requests, "
                f"which is {self.rehearsal_requests}"
            )


@dataclass(frozen=True)
class Verdict:
    """What became of a rehearsal.

    Attributes:
        passed: every limit was kept.
        measures: what was found.
        why: one clause per limit that was not kept.
    """

    passed: bool
    measures: Measures
    why: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = f"rehearsal passed; {self.measures}"
        return said if self.passed else f"rehearsal failed: {'; '.join(self.why)}; {self.measures}"


def judged(measures: Measures, limits: RehearsalLimits) -> Verdict:
    """The measures against the limits. A measure of which there is nothing (nan) breaks no limit."""
    before, after = measures.p99_ms
    least_items = limits.rehearsal_distinct_ratio_min * measures.distinct[0]
    drop, rise = measures.coverage[0] - measures.coverage[1], measures.errors[1] - measures.errors[0]
    slower = after - before > limits.rehearsal_p99_slack_ms and measures.p99_ratio > limits.rehearsal_p99_ratio_max
    shifted, most_shift = measures.popularity_shift, limits.rehearsal_popularity_shift_max
    checks = (
        (
            measures.overlap < limits.rehearsal_overlap_min,
            f"overlap@k {measures.overlap:.3f} is below {limits.rehearsal_overlap_min:g}",
        ),
        (slower, f"p99 is {measures.p99_ratio:.2f} times the current, above {limits.rehearsal_p99_ratio_max:g}"),
        (
            drop > limits.rehearsal_coverage_drop_max,
            f"coverage fell by {drop:.1%}, above {limits.rehearsal_coverage_drop_max:.1%}",
        ),
        (measures.distinct[1] < least_items, f"{measures.distinct[1]} distinct items, below {least_items:g}"),
        (abs(shifted) > most_shift, f"popularity shifted by {shifted:+.2f} doublings, above {most_shift:g}"),
        (
            rise > limits.rehearsal_errors_max,
            f"errors rose by {rise:.1%}, above {limits.rehearsal_errors_max:.1%}",
        ),
    )
    why = tuple(said for broken, said in checks if broken)
    return Verdict(not why, measures, why)
