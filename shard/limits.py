"""What may be asked of a prediction: as much as a router asks at most.

Routers check callers' requests (`router.slates.validate`); those whom a router vouches for ask without one between.
More than this would be work without a limit, for whoever asks. Functions over messages.
"""

from __future__ import annotations

from trunkshow.errors import InvalidArgument
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

PARTITIONS_MAX = 1024
"""A router looks in a few for a stranger."""

CAROUSELS_MAX = 20
ITEMS_MAX = 200
"""Twice what callers may ask for: a router that merges slates asks for spare ones."""

CONTEXT_ITEMS_MAX = 100
EXCLUDED_MAX = 1000 + CAROUSELS_MAX * ITEMS_MAX
"""What callers may exclude, and what the slate shows already when more is asked for it."""


def check(asked: shard_pb2.PredictRequest, request: pb.RecommendRequest) -> None:
    """Refuse what no router would ask.

    Args:
        asked: the prediction.
        request: that it wraps.

    Raises:
        InvalidArgument: naming the field at fault.
    """
    for field, given, most in (
        ("partitions", len(asked.partitions), PARTITIONS_MAX),
        ("carousels", len(asked.carousels), CAROUSELS_MAX),
        ("request.items_per_carousel", request.items_per_carousel, ITEMS_MAX),
        ("request.context_item_ids", len(request.context_item_ids), CONTEXT_ITEMS_MAX),
        ("request.exclude_item_ids", len(request.exclude_item_ids), EXCLUDED_MAX),
    ):
        if given > most:
            raise InvalidArgument(f"{field}: {given}; at most {most} are allowed", field=field, reason="TOO_MANY")
