"""What clients may be told of now: where somebody lives, and who holds it. Functions over values.

Rules:

1. All that is told is of the current snapshot. While traffic moves to it, and while a candidate is tried, nothing is:
   who gets which snapshot is then the router's to say, for each request, and what it sees of all requests is what it
   judges a candidate by.
2. Holders are the shards that stay and are well (`router.asking.health`).
3. Users are those of the snapshot's directory. A newcomer, whom only the event log knows, may be a stranger to the
   shard that is asked a moment too early; somebody who is to be forgotten is nobody's to ask for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from router.cluster.topology import Topology
from router.served.views import View, Views
from trunkshow.v1 import direct_pb2

NOT_TOLD = 0
"""In the place of a user's partition."""


def told_of(views: Views) -> View | None:
    """The snapshot that clients may be told of; None where only the router is to be asked."""
    return views.current if views.before is None and views.candidate is None else None


def placement(
    views: Views, topology: Topology, unwell: Collection[str], *, deadline_ms: float, forgotten: str
) -> direct_pb2.Placement:
    """Who may be asked for what.

    Args:
        views: that are served.
        topology: as the router sees it.
        unwell: shards that are asked last.
        deadline_ms: within which this router answers a slate.
        forgotten: watermark of the tombstones that it has read.
    """
    view = told_of(views)
    said = direct_pb2.Placement(deadline_ms=deadline_ms, forgotten=forgotten)
    if view is None:
        return said
    said.snapshot_version = view.version
    said.carousels.extend(sorted(view.known.carousels))
    said.has_occasions = view.snapshot.has_occasions
    said.has_trends = view.has_trends
    for address, replica in topology.replicas.items():
        if not replica.stays or address in unwell:
            continue
        for held in replica.held:
            if held.version == view.version and held.warm:
                said.holders.add(address=address, partitions=sorted(held.warm))
    return said


def homes(views: Views, user_ids: Iterable[str]) -> list[int]:
    """For each user one more than the number of the partition where they live, or `NOT_TOLD`."""
    view = told_of(views)
    found = [None if view is None else view.home_in_snapshot(user) for user in user_ids]
    return [NOT_TOLD if home is None else home.partition + 1 for home in found]
