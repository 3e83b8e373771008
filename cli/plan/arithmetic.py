"""A plan: the figures of a size, the measured costs that each comes from, and how far it goes beyond them. Pure.

How users and requests are divided among shards and routers is `cli.plan.layout`'s, what a unit costs `cli.plan.costs`'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cli.plan.costs import Costs
from cli.plan.layout import (
    CATALOGUE,
    INDEXES,
    LOADED,
    ONLINE_BYTES,
    RECORDS,
    SNAPSHOT,
    SNAPSHOTS,
    USERS_PER_PARTITION,
    Layout,
    Size,
    laid_out,
    whole_catalogue,
)

BUILDER_PARTITIONS_MAX = 4096
"""What this release's builder makes."""


class Basis(StrEnum):
    """How far a figure may be trusted."""

    MEASURED = "measured"
    """Within the sizes that were measured."""

    EXTRAPOLATED = "extrapolated"
    """Beyond them, by what a unit cost there."""

    CHOSEN = "chosen"
    """By a rule, not from a measurement."""


@dataclass(frozen=True)
class Figure:
    """One line of a plan.

    Attributes:
        name: what it is of.
        value: how much.
        unit: pods, bytes, cores, CPU s or milliseconds; empty for a number.
        basis: how far it may be trusted.
        sources: the costs that it comes from; empty where it was chosen.
        why: the rule where it was chosen.
        beyond: of what it comes from, how many times the most that was measured, or what part of the least; the
            farthest first.
    """

    name: str
    value: float
    unit: str
    basis: Basis
    sources: tuple[str, ...] = ()
    why: str = ""
    beyond: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What a size needs.

    Attributes:
        figures: in the order in which they are shown.
        remarks: what a person should know beside them.
    """

    figures: tuple[Figure, ...]
    remarks: tuple[str, ...]

    def __getitem__(self, name: str) -> Figure:
        return next(one for one in self.figures if one.name == name)


def plan(size: Size, costs: Costs) -> Plan:
    """What a size needs.

    Args:
        size: with every number above 0.
        costs: that were measured.

    Raises:
        DoesNotFit: more than this release's formats can number.
    """
    at = laid_out(size, costs)
    shards, routers = at.shards, at.routers
    of_shard = ("shard memory", RECORDS, CATALOGUE, "listed per partition")
    per_slate = ("shard request", "search", "listed per partition")
    figures = (
        Figure("partitions", at.partitions, "", Basis.CHOSEN, (), f"{USERS_PER_PARTITION:,} users at most"),
        _figure(at, "shards", shards, "pods", (*per_slate, *of_shard)),
        _figure(at, "routers", routers, "pods", ("router request",)),
        _figure(at, "shards' processors", at.shard_cores, "cores", per_slate),
        _figure(at, "routers' processors", at.router_cores, "cores", ("router request",)),
        _figure(at, "memory of a shard", at.shard_bytes, "bytes", of_shard),
        _figure(at, "memory of a router", at.router_bytes, "bytes", ("router memory", "directory", CATALOGUE)),
        _figure(
            at,
            "memory of all",
            shards * at.shard_bytes + routers * at.router_bytes,
            "bytes",
            (*of_shard, "router memory", "directory"),
        ),
        _figure(at, "disk of a shard", SNAPSHOTS * at.disk_bytes, "bytes", (RECORDS, INDEXES, CATALOGUE)),
        _figure(at, "disk of a router", SNAPSHOTS * at.router_mapped_bytes, "bytes", ("directory", CATALOGUE)),
        _figure(at, "a stored snapshot", at.store_bytes, "bytes", SNAPSHOT),
        *_latency(at),
        _figure(at, "start of a shard", at.of("shard start"), "CPU s", ("shard start",)),
        _figure(at, "a build", at.of("build"), "CPU s", ("build",)),
        _figure(at, "memory of a build", at.of("build memory"), "bytes", ("build memory",)),
    )
    return Plan(figures, tuple(_remarks(at)))


def _latency(at: Layout) -> list[Figure]:
    """The expected p99, where it was measured."""
    if "p99" not in at.costs.by_name:
        return []
    return [_figure(at, "p99 expected", at.of("p99"), "milliseconds", ("p99", "listed per partition"))]


def _figure(at: Layout, name: str, value: float, unit: str, sources: Sequence[str]) -> Figure:
    """With what it comes from, and what of that lies beyond what was measured."""
    of_each = {source: at.costs[source] for source in dict.fromkeys(sources)}
    beyond = {
        term: _times(at.terms[term], cost.ranges[term]) for cost in of_each.values() for term in cost.beyond(at.terms)
    }
    farthest = sorted(beyond.items(), key=lambda one: -max(one[1], 1 / one[1]))
    basis = Basis.EXTRAPOLATED if beyond else Basis.MEASURED
    return Figure(name, value, unit, basis, tuple(of_each), beyond=dict(farthest))


def _times(value: float, measured: tuple[float, float]) -> float:
    """How many times the most that was measured; below 1 where it is less than the least."""
    least, most = measured
    return value / most if value > most else value / least


def _remarks(at: Layout) -> list[str]:
    remarks = [
        f"processes are given {LOADED:.0%} of what they can do; {SNAPSHOTS} snapshots are open; files that are read "
        f"count as memory; what users do since the snapshot may take {ONLINE_BYTES / 2**30:.1f} GiB of each shard"
    ]
    if not at.costs.quiet:
        remarks.append("the unit costs were measured beside other work: times are too long rather than too short")
    if "p99" not in at.costs.by_name:
        remarks.append(f"no p99: latencies were not measured on a quiet machine yet ({at.costs.command})")
    if at.partitions > BUILDER_PARTITIONS_MAX:
        remarks.append(f"this release's builder makes {BUILDER_PARTITIONS_MAX:,} partitions at most")
    if at.shard_bytes > at.size.pod_bytes:
        remarks.append(
            "a shard's pod is larger than asked for: the whole catalogue is in every shard, and takes "
            f"{whole_catalogue(at) / 2**30:.1f} GiB of it"
        )
    return remarks
