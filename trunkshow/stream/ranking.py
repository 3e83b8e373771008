"""Candidates in the present intent come first, and fade back as it ages.

If the model's score of an item is, up to a scale, the logarithm of its probability, and an intent changes how likely
categories are but not items within one, then

    log p(item | now) = log p(item) + log (p(category | now) / p₀(category)) + what is the same for all

so a candidate's score, in standard deviations of the candidates' scores, is raised by `weight` times the logarithm of
its category's lift (`trunkshow.stream.intent`). The weight stands for the unknown scale, and is chosen by replay
(`bench.intent`). As an intent ages all lifts go to 1, and the order to the model's. Candidates keep who they are: none
is added or left out.

Which other categories go with those just looked at is not asked: that was tried (`bench.kinship`), and brought less
than a category's lift of itself, on both data sets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

WEIGHT = 0.5


def raised(
    scores: Sequence[float],
    categories: Sequence[int],
    lift: Callable[[int], float],
    weight: float = WEIGHT,
) -> list[float]:
    """The candidates' scores with the intent, in the scores' own unit.

    Args:
        scores: finite, larger is better.
        categories: code of each candidate's category, -1 for none.
        lift: of a category, now; above 0.
        weight: of the intent beside the scores; 0 leaves them as they are.
    """
    if not scores:
        return []
    unit = weight * (_deviation(scores) or 1.0)
    logs = {category: unit * math.log(lift(category)) for category in set(categories)}
    return [score + logs[category] for score, category in zip(scores, categories, strict=True)]


def best_first(scores: Sequence[float]) -> list[int]:
    """Positions of candidates by score; those that tie keep their order."""
    return sorted(range(len(scores)), key=scores.__getitem__, reverse=True)  # in reverse, too, ties keep their order


def _deviation(scores: Sequence[float]) -> float:
    mean = math.fsum(scores) / len(scores)
    return math.sqrt(math.fsum([(score - mean) ** 2 for score in scores]) / len(scores))
