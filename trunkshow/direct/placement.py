"""Which shards may be asked for what, as a router last said: a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from trunkshow import carousels
from trunkshow.v1 import direct_pb2
from trunkshow.v1 import recommendation_pb2 as pb

ID_BYTES_MAX = 256
CAROUSELS_MAX = 20
ITEMS_MAX = 100
EXCLUDED_MAX = 1000


@dataclass(frozen=True)
class Placement:
    """Who holds which partitions of one snapshot.

    Attributes:
        version: of the snapshot; empty where nobody but the router may be asked.
        holders: addresses by partition.
        addresses: of all holders.
        carousels: that can be asked for by name.
        has_occasions: the snapshot has any.
        has_trends: anything trends now.
        forgotten: watermark of the tombstones that the router has read.
        deadline_ms: within which the router answers a slate.
    """

    version: str = ""
    holders: Mapping[int, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    addresses: tuple[str, ...] = ()
    carousels: frozenset[str] = frozenset()
    has_occasions: bool = False
    has_trends: bool = False
    forgotten: str = ""
    deadline_ms: float = 0.0

    @classmethod
    def of(cls, message: direct_pb2.Placement) -> Placement:
        """As it was reported."""
        holders: dict[int, tuple[str, ...]] = {}
        for holder in message.holders:
            for partition in holder.partitions:
                holders[partition] = (*holders.get(partition, ()), holder.address)
        return cls(
            version=message.snapshot_version,
            holders=MappingProxyType(holders),
            addresses=tuple(holder.address for holder in message.holders),
            carousels=frozenset(message.carousels),
            has_occasions=message.has_occasions,
            has_trends=message.has_trends,
            forgotten=message.forgotten,
            deadline_ms=message.deadline_ms,
        )

    def wanted(self, request: pb.RecommendRequest) -> tuple[str, ...]:
        """The carousels of a plain request, in order; none of one that is not plain, and so the router's to answer.

        Plain is what a shard answers as the router would have it answered: a user and nothing in hand, no filters, no
        floor, no watermark to be waited for, and nothing that the contract would refuse.
        """
        filters, asked = request.filters, request.carousels
        unusual = (
            request.context_item_ids
            or filters.categories
            or filters.attributes
            or filters.include_unavailable
            or request.at_least_as_fresh
            or request.partial == pb.PARTIAL_ABORT
            or request.items_per_carousel > ITEMS_MAX
            or len(request.exclude_item_ids) > EXCLUDED_MAX
            or (request.surface and request.surface not in carousels.SURFACES)
            or not 1 <= len(request.user_id.encode()) <= ID_BYTES_MAX
        )
        if unusual or (asked and not (len(asked) <= CAROUSELS_MAX and self.carousels.issuperset(asked))):
            return ()
        return carousels.resolve(
            asked,
            request.surface,
            impersonal=False,
            has_occasions=self.has_occasions,
            has_trends=self.has_trends,
        )


NOBODY = Placement()
"""Where nothing is known."""
