"""Arithmetic of figures measured in turns: ratios within each turn, their median, and their quantiles."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from cli.bench.outcome import quantile


def of_turns(top: Sequence[float], bottom: Sequence[float]) -> dict[str, Any]:
    """Median, least and most of the ratios within the turns; turns that cannot tell (NaN) count for nothing.

    Args:
        top: one value of each turn.
        bottom: as many, of the same turns.
    """
    return spread([above / below for above, below in zip(top, bottom, strict=True)])


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, least and most of those that are numbers; None each where there is none."""
    there = [value for value in values if not math.isnan(value)]
    if not there:
        return {"median": None, "least": None, "most": None}
    return {"median": statistics.median(there), "least": min(there), "most": max(there)}


def median_quantile(turns: Sequence[Sequence[float]], share: float) -> float | None:
    """The median of the turns' quantiles; of all turns together where one is too short; None where even these are.

    Args:
        turns: ascending values of each.
        share: which quantile.
    """
    within = [quantile(values, share) for values in turns]
    if any(math.isnan(one) for one in within):
        within = [quantile(sorted(value for values in turns for value in values), share)]
    found = statistics.median(within)
    return None if math.isnan(found) else found
