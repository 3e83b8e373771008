"""From points to what a unit costs: least squares of relative errors, no part of a cost below nothing.

What is written down of a point becomes terms (users that a shard holds, items, partitions ...) and values; a cost is
fitted as a sum over terms, or, where it does not grow in proportion, as a product of their powers, by least squares
of the logarithms. Relative errors, so that the smallest point counts as much as the largest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear, nnls

from cli.plan.costs import Cost, Costs

COMMAND = "python -m bench.growth"
RECORDS = ("partitions/users.lmdb", "partitions/homes.lmdb", "partitions/standins.lmdb")
INDEXES = ("partitions/users.faiss", "partitions/items.faiss", "partitions/items.npy")
OTHERS = (*RECORDS, *INDEXES, "directory", "start")
QUIET = 0.15
"""Share of the processors that others use before a point is begun, up to which a machine is called quiet."""

EXPONENTS = {"users": (0.0, 1.0), "items": (0.0, 1.0), "partitions": (-1.0, 0.0)}
"""Of a power. More users or items list no fewer, and no larger a share; more partitions list no fewer in all."""

Value = Callable[[dict[str, Any]], float | None]
"""None where too few were asked to tell."""


class Wanted(NamedTuple):
    """A cost to fit.

    Attributes:
        unit: of the value.
        terms: that it is a sum over, beside a constant.
        value: of a point.
        measured: what that is, in words.
        trained: of points with training, or of those without.
        power: a product of powers instead of a sum.
        quiet: of points that were measured on a quiet machine alone: beside other work the value says nothing.
        anyway: there is a constant; files have none, since there is nothing in them of nothing.
    """

    unit: str
    terms: tuple[str, ...]
    value: Value
    measured: str
    trained: bool = False
    power: bool = False
    quiet: bool = False
    anyway: bool = True


def _bytes(*names: str) -> Value:
    return lambda found: float(sum(found["build"]["bytes"].get(name, 0) for name in names))


def _catalogue_bytes(found: dict[str, Any]) -> float:
    sizes = found["build"]["bytes"]
    return float(sizes["all"] - sum(sizes.get(name, 0) for name in OTHERS))


def _mean(role: str, when: str, what: str) -> Value:
    return lambda found: float(np.mean([one[what] for one in found["serving"][when][role]]))


def build_cpu_s(found: Mapping[str, Any]) -> float:
    """Processor seconds of a build, without making the data up."""
    spent = found["build"]["cpu_seconds"]
    return float(sum(spent.get(stage, 0.0) for stage in _STAGES))


_STAGES = ("read", "evaluate", "fit", "partition", "write", "publish")
_HELD = ("users held", "partitions held")
"""A shard holds the catalogue, too, and has it mapped: it is no part of what is its own."""


WANTED: Mapping[str, Wanted] = {
    "records": Wanted(
        "bytes",
        ("users", "users x factors", "events", "partitions"),
        _bytes(*RECORDS),
        "users' records and stand-ins",
        anyway=False,
    ),
    "indexes": Wanted(
        "bytes",
        ("users x factors", "listed", "listed x factors", "partitions"),
        _bytes(*INDEXES),
        "users' and items' indexes of all partitions",
        anyway=False,
    ),
    "catalogue": Wanted("bytes", ("items", "items x factors"), _catalogue_bytes, "catalogue and models", anyway=False),
    "start": Wanted("bytes", ("items x factors",), _bytes("start"), "what the next build may start from", anyway=False),
    "directory": Wanted("bytes", ("users",), _bytes("directory"), "the directory of users", anyway=False),
    "listed per partition": Wanted(
        "items",
        ("users", "items", "partitions"),
        lambda found: found["build"]["counts"]["items_per_partition_mean"],
        "items that a partition lists, in the mean",
        power=True,
    ),
    "shard memory": Wanted(
        "bytes",
        (*_HELD, "users held x factors", "listed held x factors"),
        _mean("shard", "memory", "anonymous"),
        "a shard's anonymous memory after a load",
    ),
    "router memory": Wanted(
        "bytes", ("users", "items"), _mean("router", "memory", "anonymous"), "a router's anonymous memory after a load"
    ),
    "shard start": Wanted(
        "seconds", _HELD, _mean("shard", "opened", "cpu_s"), "processor seconds from a shard's start until it serves"
    ),
    "router start": Wanted(
        "seconds",
        ("users", "items"),
        _mean("router", "opened", "cpu_s"),
        "processor seconds from a router's start until it serves",
    ),
    "shard request": Wanted(
        "milliseconds",
        (),
        lambda found: found["serving"]["cpu_ms_per_request"]["shard"],
        "processor time of shards per request, two carousels of ten",
    ),
    "router request": Wanted(
        "milliseconds",
        (),
        lambda found: found["serving"]["cpu_ms_per_request"]["router"],
        "processor time of a router per request",
    ),
    "p99": Wanted(
        "milliseconds",
        ("listed per partition",),
        lambda found: found["serving"]["load"]["half"]["p99_ms"],
        "p99 at half of the peak, load, router and shards on one machine",
        quiet=True,
    ),
    "build": Wanted("seconds", ("events", "items"), build_cpu_s, "processor seconds of a whole build", trained=True),
    "build memory": Wanted(
        "bytes",
        ("events", "items"),
        lambda found: found["build"]["peak_rss_bytes"],
        "a build's peak memory, factors given, events in memory",
    ),
}


LISTED = "listed per partition"
SEARCH = Wanted("milliseconds", (LISTED,), lambda found: None, "processor time of one search of a partition's items")


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
