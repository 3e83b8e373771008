"""What is measured: one axis at a time around a base point. Values, and no more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Point:
    """One size.

    Attributes:
        users: how many.
        items: how many.
        partitions: how many.
        shards: that share them.
        factors: dimensions of a taste vector.
        longer: histories than Gowalla's, so many times.
        trained: the whole build is measured, with reading, evaluation and training, and nothing is served; where False,
            factors are given, and what is built is served.
    """

    users: int = 30_000
    items: int = 10_000
    partitions: int = 64
    shards: int = 1
    factors: int = 64
    longer: float = 1.0
    trained: bool = False

    @property
    def name(self) -> str:
        """Of its file."""
        kind = "trained" if self.trained else "given"
        return (
            f"{kind}-{self.users}-users-{self.items}-items-{self.partitions}-partitions"
            f"-{self.shards}-shards-{self.factors}-factors-{self.longer:g}-longer"
        )

    @property
    def snapshot(self) -> Point:
        """What is built for it, which points of other shards have in common."""
        return replace(self, shards=1)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


BASE = Point()
AXES: Mapping[str, tuple[Point, ...]] = {
    "users": tuple(replace(BASE, users=users) for users in (30_000, 100_000, 300_000, 3_000_000)),
    "items": tuple(replace(BASE, items=items) for items in (10_000, 100_000, 1_000_000)),
    "partitions": tuple(replace(BASE, partitions=partitions) for partitions in (16, 64, 256)),
    "shards": tuple(replace(BASE, shards=shards) for shards in (1, 2, 4)),
    "factors": tuple(replace(BASE, factors=factors) for factors in (32, 64, 128)),
    "history": tuple(replace(BASE, longer=longer) for longer in (0.5, 1.0, 2.0)),
    "training": tuple(replace(BASE, users=users, trained=True) for users in (10_000, 30_000, 100_000)),
}

_SMALL = Point(users=2000, items=1000, partitions=8)
SMALL_AXES: Mapping[str, tuple[Point, ...]] = {
    "users": tuple(replace(_SMALL, users=users) for users in (2000, 4000)),
    "items": tuple(replace(_SMALL, items=items) for items in (1000, 2000)),
    "partitions": tuple(replace(_SMALL, partitions=partitions) for partitions in (4, 8)),
    "shards": tuple(replace(_SMALL, shards=shards) for shards in (1, 2)),
    "training": (replace(_SMALL, trained=True),),
}


def chosen(
    axes: Mapping[str, tuple[Point, ...]], only: str = "", leave_out: frozenset[str] = frozenset()
) -> list[Point]:
    """Every point once, those that share a snapshot together, the smaller ones first.

    Args:
        axes: of points.
        only: one of them; all where empty.
        leave_out: names of points.
    """
    found = dict.fromkeys(point for axis, points in axes.items() if not only or axis == only for point in points)
    kept = [point for point in found if point.name not in leave_out]
    return sorted(kept, key=lambda one: (_size(one), one.snapshot.name, one.shards))


def _size(point: Point) -> float:
    """What a build of it costs, roughly: histories, and the exact search that decides what partitions list."""
    return point.users * point.longer * 30 + min(point.users, 64_000) * point.items / 1000


def axis(axes: Mapping[str, tuple[Point, ...]], name: str) -> Iterator[tuple[float, Point]]:
    """The points of an axis, and where they lie on it."""
    field = {"history": "longer", "training": "users"}.get(name, name)
    for point in axes[name]:
        yield float(getattr(point, field)), point
