"""Whether a new snapshot answers as well as the current one: what both answered to the same requests, compared.

    pairs of answers → Measures → compared with RehearsalLimits → Verdict

Only personal carousels are looked at: the shop's own lists are nearly the same in every snapshot and would hide what
changed. Over all requests that were replayed,

- **overlap@k**: mean over carousels of |A ∩ B| / max(|A|, |B|), where A and B are the items that the two versions
  show in it and k is the request's own items_per_carousel; 0 where only one of them could make it. Retraining moves
  some items; a snapshot whose users and items were mixed up has hardly any in common with its parent.
- **p99 ratio**: candidate's p99 over the current version's, nearest rank. Both are asked in turns, so that neither
  always finds caches warm. A difference below `p99_slack_ms` is noise.
- **coverage**: the share of requests that got all their personal carousels from the version that was asked; and how
  many distinct items were shown in all (Ge, Delgado-Battenfeld, Jannach, "Beyond accuracy: evaluating recommender
  systems by coverage and serendipity", RecSys 2010).
- **popularity shift**: how much less popular the items shown are, in doublings of their rank: mean over items of
  log2(1 + rank) for the candidate minus the same for the current version. Ranks count from 1 in the current version's
  popular list; what is not in it stands behind its end. After the average recommendation popularity of Yin et al.
  ("Challenging the long tail recommendation", VLDB 2012), on ranks, whose scale does not depend on the shop. Negative:
  towards the head.
- **errors**: the share of requests that a version failed to answer in time.

What is replayed, how and when, is `router.conductor`'s business.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cyclopts import Parameter

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
    """Seconds within which a candidate must be warm on enough shards; one that is not is refused."""

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


class Answer(NamedTuple):
    """What one version made of one request.

    Attributes:
        lists: by personal carousel wanted, the ids of the items that this version put in it; empty where it could not.
        ms: until its answer was there, or until it was given up.
        failed: no answer came in time.
    """

    lists: Mapping[str, tuple[str, ...]]
    ms: float
    failed: bool = False

    @property
    def full(self) -> bool:
        """Whether this version made everything personal that was wanted."""
        return not self.failed and all(self.lists.values())


class Pair(NamedTuple):
    """One request, answered by both."""

    current: Answer
    candidate: Answer


@dataclass(frozen=True)
class Measures:
    """A rehearsal in numbers; the module's docstring defines them.

    Attributes:
        requests: compared.
        overlap: mean overlap@k; nan where neither version made anything personal.
        p99_ms: of the current version and of the candidate.
        coverage: share of requests with all personal carousels, of both.
        distinct: items shown, of both.
        popularity_shift: in doublings of rank; 0 where either showed nothing.
        errors: share of requests without an answer, of both.
    """

    requests: int
    overlap: float
    p99_ms: tuple[float, float]
    coverage: tuple[float, float]
    distinct: tuple[int, int]
    popularity_shift: float
    errors: tuple[float, float]

    @property
    def p99_ratio(self) -> float:
        """The candidate's p99 in those of the current version."""
        before, after = self.p99_ms
        return after / before if before > 0 else 1.0

    def __str__(self) -> str:
        return (
            f"{self.requests} requests: overlap@k {self.overlap:.2f}, p99 {self.p99_ms[1]:.1f} ms "
            f"(was {self.p99_ms[0]:.1f}), coverage {self.coverage[1]:.1%} (was "
            f"{self.coverage[0]:.1%}), {self.distinct[1]} distinct items (was {self.distinct[0]}), "
            f"popularity shift {self.popularity_shift:+.2f}, errors {self.errors[1]:.1%} (was {self.errors[0]:.1%})"
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


def measured(pairs: Sequence[Pair], ranks: Mapping[str, int]) -> Measures:
    """A rehearsal in numbers.

    Args:
        pairs: at least one.
        ranks: by item id, the place in the current version's popular list, from 1.
    """
    current, candidate = [pair.current for pair in pairs], [pair.candidate for pair in pairs]
    before, after = _shown(current), _shown(candidate)
    return Measures(
        requests=len(pairs),
        overlap=_mean([part for pair in pairs for part in _overlaps(pair)]),
        p99_ms=(p99([one.ms for one in current]), p99([one.ms for one in candidate])),
        coverage=(_share(one.full for one in current), _share(one.full for one in candidate)),
        distinct=(len(set(before)), len(set(after))),
        popularity_shift=_log_rank(after, ranks) - _log_rank(before, ranks) if before and after else 0.0,
        errors=(_share(one.failed for one in current), _share(one.failed for one in candidate)),
    )


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


def p99(values: Iterable[float]) -> float:
    """The 99th percentile by nearest rank: the smallest value that 99 % are not above."""
    ordered = sorted(values)
    return ordered[math.ceil(0.99 * len(ordered)) - 1]


def _overlaps(pair: Pair) -> Iterable[float]:
    """overlap@k of each carousel that either version made; a version that failed says nothing of its taste."""
    if pair.current.failed or pair.candidate.failed:
        return
    for carousel, items in pair.current.lists.items():
        ours, theirs = set(items), set(pair.candidate.lists.get(carousel, ()))
        if ours or theirs:
            yield len(ours & theirs) / max(len(ours), len(theirs))


def _shown(answers: Iterable[Answer]) -> list[str]:
    return [item for answer in answers for items in answer.lists.values() for item in items]


def _log_rank(items: Sequence[str], ranks: Mapping[str, int]) -> float:
    behind = len(ranks) + 1
    return _mean([math.log2(1 + ranks.get(item, behind)) for item in items])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _share(flags: Iterable[bool]) -> float:
    listed = list(flags)
    return sum(listed) / len(listed)
