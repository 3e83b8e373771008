"""How much more than expected: a credible surge, robust for small counts.

The ratio r of what happens to what was expected has the prior Gamma(a, a), with mean 1; given r, the count n is Poisson
with mean r e. The posterior is Gamma(a + n, a + e), and the score its lower 5 % quantile: with 95 % probability, at
least so many times what was expected. One event where a hundredth was expected gives no surge of a hundred; a hundred
where one was expected gives one of dozens. The score and its use for ranking sparse counts are DuMouchel's "EB05":
"Bayesian Data Mining in Large Frequency Tables, with an Application to the FDA Spontaneous Reporting System", The
American Statistician 53(3), 1999; the prior here is one Gamma with a chosen by replay (`bench.trending`), not a fitted
mixture of two.

Counts here are sums of weights: an order weighs more than a view, and what lies back counts less. Such a sum A = Σ w is
taken for s times a Poisson count, s = Σ w² / Σ w, which has the right mean and variance (the scaled Poisson
distribution of Bohm and Zech: "Statistics of Weighted Poisson Events and its Applications", NIM A 748, 2014,
arXiv:1309.1287): n = A / s events, where e = E[A] / s were expected. s is at least what a steady stream would have,
half of its interactions' own: else events that lie far back would seem many, though small.

The quantile is Wilson and Hilferty's ("The Distribution of Chi-Square", PNAS 17, 1931): within 1 % where a + n ≥ 4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Slots = NDArray[np.int64]

LOWER, UPPER = -1.6448536269514722, 1.6448536269514722
"""The normal distribution's quantiles of 5 % and 95 %."""

SHAPE = 1.0
"""a: before anything is known, r has a standard deviation of 1; a larger a would hold surges for next to impossible."""


def credible_surges(observed: Numbers, expected: Numbers, z: float = LOWER) -> Numbers:
    """(n,) a quantile of r, given n (n,) observed and e (n,) expected.

    Args:
        observed: numbers of events.
        expected: as many.
        z: the normal distribution's quantile of the same probability.
    """
    strength = SHAPE + observed
    cube_root = 1 - 1 / (9 * strength) + z / (3 * np.sqrt(strength))
    quantiles: Numbers = strength * np.maximum(cube_root, 0) ** 3 / (SHAPE + expected)
    return quantiles
