"""Candidates in the present intent come first, and fade back as it ages.

If the model's score of an item is, up to a scale, the logarithm of its probability, and an intent changes how likely
categories are but not items within one, then

    log p(item | now) = log p(item) + log (p(category | now) / p₀(category)) + what is the same for all

so a candidate's score, in standard deviations of the candidates' scores, is raised by `weight` times the logarithm of
its category's lift (`trunkshow.stream.intent`). The weight stands for the unknown scale, and is chosen by replay
(`bench.intent`). As an intent ages all lifts go to 1, and the order to the model's. Candidates keep who they are: none
is added or left out.

What is wanted next need not be of the category just looked at: flour goes with eggs. Where it is known how much more
likely a category is in a session that has another (`builder.kinship`), the events of the present intent, n(c') of them
in c', are taken for independent evidence, as by naive Bayes: log lift(c) = sum of n(c') log kinship(c', c).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from trunkshow.stream.intent import Intent, Kinship

WEIGHT = 0.5


def by_intent(
    scores: Sequence[float],
    categories: Sequence[int],
    intent: Intent,
    weight: float = WEIGHT,
    kinship: Kinship | None = None,
) -> list[int]:
    """Positions of candidates, best first; those that tie keep their order.

    Args:
        scores: finite, larger is better.
        categories: code of each candidate's category, -1 for none.
        intent: of the user, now.
        weight: of the intent beside the scores; 0 leaves the scores' order.
        kinship: of categories, above 0; a category lifts itself alone where None.
    """
    if not scores:
        return []
    lift = intent.lift if kinship is None else lambda category: intent.related_lift(category, kinship)
    logs = {category: math.log(lift(category)) for category in set(categories)}
    spread = _deviation(scores) or 1.0
    raised = [score / spread + weight * logs[category] for score, category in zip(scores, categories, strict=True)]
    return sorted(range(len(raised)), key=lambda at: (-raised[at], at))


def _deviation(scores: Sequence[float]) -> float:
    mean = math.fsum(scores) / len(scores)
    return math.sqrt(math.fsum((score - mean) ** 2 for score in scores) / len(scores))
