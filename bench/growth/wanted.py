"""Which costs are fitted to points: of what each is, over which terms, and where it is read off what was written down.

How it is fitted is `fitting`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

RECORDS = ("partitions/users.lmdb", "partitions/homes.lmdb", "partitions/standins.lmdb")
INDEXES = ("partitions/users.faiss", "partitions/items.faiss", "partitions/items.npy")
OTHERS = (*RECORDS, *INDEXES, "directory", "start")
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
