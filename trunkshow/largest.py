"""The largest of many scores, in order: what a model shows of what it scored, and exact search once it has products."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

MANY = 2_048
"""Scores, from which on a few are looked at first, so that most of the others need not be put in any order."""

STRIDE = 64
"""Every so many scores one is looked at first."""

MANY_TIMES = 20
"""And what is wanted is so small a part of them."""


def largest(scores: NDArray[np.floating], count: int) -> NDArray[np.int64]:
    """(k,) positions of the `count` largest of (n,) scores, largest first; of equal ones the first; NaN last.

    All of them where `count` is more than there are. As `argsort(-scores, kind="stable")[:count]` says; the best 20
    of 100,000 in a ninth, and the best 800 in a fifth of the time that partitioning all of them takes.
    """
    if len(scores) >= MANY and 0 < count <= len(scores) // MANY_TIMES:
        few = _above_a_guess(scores, count)
        if len(few) >= count:
            return few[_first(scores[few], count)]
    return _first(scores, count)


def _above_a_guess(scores: NDArray[np.floating], count: int) -> NDArray[np.int64]:
    """Positions, ascending, of all scores from some value on, guessed so that they are likely `count` and few more.

    Of the scores looked at, `count` ÷ `STRIDE` are expected to be among the largest; with three standard deviations
    more (Poisson) the guess is rarely too high. Where it is, they are too few, and nothing was lost but the look.
    """
    expected = count / STRIDE
    rank = int(expected + 3 * math.sqrt(expected) + 3)
    looked_at = -scores[::STRIDE]
    looked_at.partition(rank - 1)
    found: NDArray[np.int64] = (scores >= -looked_at[rank - 1]).nonzero()[0]
    return found


def _first(scores: NDArray[np.floating], count: int) -> NDArray[np.int64]:
    """As `largest`: the value of the last one is looked for, then what is not below it, and only that is sorted."""
    negated = -scores
    if not 0 < count < len(negated):
        return negated.argsort(kind="stable")[: max(count, 0)]
    parted = negated.copy()
    parted.partition(count - 1)
    few = (~(negated > parted[count - 1])).nonzero()[0]  # not "at most": nothing compares with NaN
    chosen: NDArray[np.int64] = few[negated[few].argsort(kind="stable")[:count]]
    return chosen
