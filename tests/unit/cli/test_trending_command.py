"""`trunkshow trending`: what a person sees of what trends."""

from __future__ import annotations

import io

from rich.console import Console

from cli.titles import Titles
from cli.trending import lines
from trunkshow.cluster import ClusterStatus
from trunkshow.online.trends import Listed, Trends
from trunkshow.v1 import cluster_pb2, shard_pb2

NOW = Trends(1_700_000_000_000, 1_700_000_060_000, {"": (Listed("i1", 4.2, 9.0, 1.5),)})


def printed(trends: Trends, segment: str = "") -> str:
    """What the command prints."""
    said = io.StringIO()
    Console(file=said, width=100).print(*lines(trends, trends.of(segment), Titles()))
    return said.getvalue()


def test_an_item_is_shown_with_how_much_more_than_usual() -> None:
    """And since when and until when the log is known."""
    said = printed(NOW)
    assert all(word in said for word in ("i1", "4.2 times", "9.0", "1.5", "2023-11-14T22:13:20+00:00"))


def test_where_nothing_trends_that_is_said() -> None:
    """In a segment, say."""
    assert "nothing trends" in printed(NOW, "g")


def test_the_lists_are_those_of_a_shard_in_reach() -> None:
    """A shard that was lost has nothing to say any more."""
    for reachable in (True, False):
        status = cluster_pb2.ReplicaStatus(reachable=reachable, status=shard_pb2.ShardStatus(trends=NOW.to_message()))
        found = ClusterStatus.from_message(cluster_pb2.GetClusterStatusResponse(shards=[status])).trends
        assert bool(found.lists) is reachable
