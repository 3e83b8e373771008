"""The largest of each row of many scores: what exact search comes down to once the products are there."""

from __future__ import annotations

import numpy as np

from trunkshow import largest as line
from trunkshow.models.protocol import Floats, Rows

PRODUCTS_AT_ONCE = 1 << 22
"""16 MiB of them. What is much larger the allocator fetches from the system anew for every block, and each page of it
is cleared first: of 256 rows of 100,000 products that took four times what the products did."""

ROWS_AT_ONCE = (16, 256)
"""Least and most."""


def rows_at_once(columns: int) -> int:
    """How many rows of so many products are to be computed at once; a power of two."""
    least, most = ROWS_AT_ONCE
    fitting = PRODUCTS_AT_ONCE // max(columns, 1)
    return min(max(1 << (max(fitting, 1).bit_length() - 1), least), most)


def largest(scores: Floats, count: int) -> Rows:
    """(n, count) int32 positions of the largest of each row of (n, m) scores, largest first; of equal ones the first.

    All columns where `count` is more than there are.
    """
    count = min(count, scores.shape[1])
    found = np.empty((len(scores), count), np.int32)
    for row, products in enumerate(scores):
        found[row] = line.largest(products, count)
    return found
