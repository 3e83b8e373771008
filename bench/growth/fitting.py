"""From points to what a unit costs: least squares of relative errors, no part of a cost below nothing.

What is written down of a point becomes terms (users that a shard holds, items, partitions ...) and values; a cost is
fitted as a sum over terms, or, where it does not grow in proportion, as a product of their powers, by least squares
of the logarithms. Relative errors, so that the smallest point counts as much as the largest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear, nnls

from bench.growth.wanted import LISTED, SEARCH, WANTED, Wanted
from cli.plan.costs import Cost, Costs

COMMAND = "python -m bench.growth"
QUIET = 0.15
"""Share of the processors that others use before a point is begun, up to which a machine is called quiet."""

EXPONENTS = {"users": (0.0, 1.0), "items": (0.0, 1.0), "partitions": (-1.0, 0.0)}
"""Of a power. More users or items list no fewer, and no larger a share; more partitions list no fewer in all."""


def fitted(points: Sequence[dict[str, Any]], searches: Sequence[Mapping[str, float]]) -> Costs:
    """All costs that there are points enough for.

    Args:
        points: as `measuring` wrote them.
        searches: as `searching` measured them.
    """
    measured = [one for one in points if "not_measured" not in one]
    by_name = {}
    for name, wanted in WANTED.items():
        found = [
            one for one in measured if one["point"]["trained"] == wanted.trained and (is_quiet(one) or not wanted.quiet)
        ]
        told = [(terms(one), value) for one in found if (value := wanted.value(one)) is not None]
        if told:
            by_name[name] = fit(wanted, [at for at, _ in told], [value for _, value in told])
    by_name["search"] = fit(SEARCH, [{LISTED: one["listed"]} for one in searches], [one["ms"] for one in searches])
    given = [one for one in measured if not one["point"]["trained"]]
    base = next(one for one in given if one["point"]["longer"] == 1)
    return Costs(
        by_name=by_name,
        commit=", ".join(sorted({one["commit"] for one in measured})),
        command=COMMAND,
        machine=base["machine"],
        quiet=all(map(is_quiet, measured)),
        history=base["build"]["counts"]["events"] / base["build"]["counts"]["users"],
        not_measured={_name(one["point"]): one["not_measured"] for one in points if "not_measured" in one},
    )


def is_quiet(found: Mapping[str, Any]) -> bool:
    """Whether nobody else had much to do when a point was begun; not, where that was not written down."""
    return float(found.get("busy_before", 1.0)) <= QUIET


def terms(found: Mapping[str, Any]) -> dict[str, float]:
    """What of a point costs may be sums over."""
    counts, point = found["build"]["counts"], found["point"]
    factors, shards = float(point["factors"]), float(point["shards"])
    listed = counts["items_per_partition_mean"] * counts["partitions"]
    return {
        "users": float(counts["users"]),
        "users x factors": counts["users"] * factors,
        "users held": counts["users"] / shards,
        "users held x factors": counts["users"] * factors / shards,
        "events": float(counts["events"]),
        "items": float(counts["items"]),
        "items x factors": counts["items"] * factors,
        "listed": float(listed),
        "listed x factors": listed * factors,
        "listed held x factors": listed * factors / shards,
        "listed per partition": float(counts["items_per_partition_mean"]),
        "partitions": float(counts["partitions"]),
        "partitions held": counts["partitions"] / shards,
    }


def fit(wanted: Wanted, at: Sequence[Mapping[str, float]], values: Sequence[float]) -> Cost:
    """One cost: a part of it that the points do not tell apart from the constant goes to the constant.

    Args:
        wanted: its form.
        at: the terms of each point.
        values: of each point, above 0.
    """
    told = tuple(name for name in wanted.terms if not wanted.anyway or len({one[name] for one in at}) > 1)
    columns = np.array([[one[name] for name in told] for one in at], np.float64).reshape(len(at), len(told))
    wide = np.array(values, np.float64)
    constant, per = (
        _power(columns, wide, [EXPONENTS[name] for name in told])
        if wanted.power
        else _sum(columns, wide, anyway=wanted.anyway)
    )
    ranges = {name: (min(one[name] for one in at), max(one[name] for one in at)) for name in wanted.terms}
    cost = Cost(
        wanted.unit,
        constant,
        {**dict.fromkeys(wanted.terms, 0.0), **dict(zip(told, per, strict=True))},
        ranges,
        len(at),
        0.0,
        wanted.measured,
        "power" if wanted.power else "sum",
    )
    worst = max(abs(cost.of(one) / value - 1) for one, value in zip(at, values, strict=True))
    return Cost(**{**vars(cost), "worst_error": float(worst)})


def _sum(columns: NDArray[np.float64], values: NDArray[np.float64], *, anyway: bool) -> tuple[float, list[float]]:
    rows = np.column_stack([np.full(len(values), float(anyway)), columns]) / values[:, None]
    scale = np.maximum(np.linalg.norm(rows, axis=0), np.finfo(np.float64).tiny)
    found = nnls(rows / scale, np.ones(len(values)))[0] / scale
    return float(found[0]) * anyway, [float(one) for one in found[1:]]


def _power(
    columns: NDArray[np.float64], values: NDArray[np.float64], bounds: Sequence[tuple[float, float]]
) -> tuple[float, list[float]]:
    rows = np.column_stack([np.ones(len(values)), np.log(columns)])
    low, high = zip((-np.inf, np.inf), *bounds, strict=True)
    found = lsq_linear(rows, np.log(values), (low, high)).x
    return float(np.exp(found[0])), [float(one) for one in found[1:]]


def _name(point: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{value:,} {name}" for name, value in point.items() if name in {"users", "items", "partitions", "shards"}
    )


def rows(costs: Costs) -> Iterable[tuple[str, str, float, str, str]]:
    """The fitted costs as lines of a table: cost, term, per unit, unit, and how well it fits."""
    for name, cost in costs.by_name.items():
        how = f"{cost.points} points, worst {cost.worst_error:.0%}"
        yield name, "in any case" if cost.form == "sum" else "factor", cost.constant, cost.unit, how
        for term, each in cost.per.items():
            yield name, f"per {term}" if cost.form == "sum" else f"{term}, exponent", each, cost.unit, ""
