"""When requests are due, and whom each is for: drawn from a seed, before anything is sent.

Requests come by a Poisson process: shoppers do not know of one another. Whom they are for follows a Zipf law: the one
at rank r is asked for in proportion to 1 / r^s, so that a few come often and most seldom, as in any shop's log.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ZIPF_EXPONENT = 0.9
DRAWN_MAX = 1_000_000
"""Whom requests are for is drawn so many times; a longer run goes through the same order again."""


def due_times(rate: float, seconds: float, seed: int) -> NDArray[np.float64]:
    """When requests are due, in seconds from the beginning, ascending; all of them before `seconds`.

    Args:
        rate: requests per second, on average.
        seconds: how long.
        seed: of the draw.
    """
    draw = np.random.default_rng([seed, 0])
    expected = rate * seconds
    gaps = draw.exponential(1 / rate, int(expected + 10 * np.sqrt(expected) + 10))  # ten deviations: enough for ever
    times: NDArray[np.float64] = np.cumsum(gaps)
    return times[times < seconds]


def visits(users: int, count: int, seed: int, exponent: float = ZIPF_EXPONENT) -> NDArray[np.int64]:
    """Ranks of the users whom `count` requests are for; 0 comes most often.

    Args:
        users: how many there are.
        count: of requests; at most `DRAWN_MAX` are drawn.
        seed: of the draw.
        exponent: of the law; 0 takes all users alike.
    """
    weights = np.arange(1, users + 1, dtype=np.float64) ** -exponent
    draw = np.random.default_rng([seed, 1])
    drawn: NDArray[np.int64] = draw.choice(users, min(count, DRAWN_MAX), p=weights / weights.sum())
    return drawn
