"""The largest of each row of many scores: what exact search comes down to once the products are there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trunkshow.models.protocol import Floats, Rows


def largest(scores: Floats, count: int) -> Rows:
    """(n, count) int32 positions of the largest of each row of (n, m) scores, largest first; of equal ones the first.

    All columns where `count` is more than there are. The value of the last one is looked for, and then what is not
    below it: numpy partitions values ten times as fast as it does their positions.
    """
    count = min(count, scores.shape[1])
    found = np.empty((len(scores), count), np.int32)
    for row, line in enumerate(scores):
        found[row] = _largest(line, count)
    return found


def _largest(line: Floats, count: int) -> NDArray[np.int64]:
    if not count:
        return np.empty(0, np.int64)
    least = np.partition(line, len(line) - count)[len(line) - count]
    above = np.flatnonzero(line >= least)
    return above[np.argsort(-line[above], kind="stable")[:count]]
