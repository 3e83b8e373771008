"""What two snapshots made of the same requests, in numbers.

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

What is asked of whom is `router.trials.replay`'s business; which numbers are good enough, `router.trials.rehearsal`'s.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


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
