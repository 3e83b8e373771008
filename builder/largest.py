"""The largest of each row of many scores: what exact search comes down to once the products are there."""

from __future__ import annotations

import numpy as np

from trunkshow import largest as line
from trunkshow.models.protocol import Floats, Rows


def largest(scores: Floats, count: int) -> Rows:
    """(n, count) int32 positions of the largest of each row of (n, m) scores, largest first; of equal ones the first.

    All columns where `count` is more than there are.
    """
    count = min(count, scores.shape[1])
    found = np.empty((len(scores), count), np.int32)
    for row, products in enumerate(scores):
        found[row] = line.largest(products, count)
    return found
