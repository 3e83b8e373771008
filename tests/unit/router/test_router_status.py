"""What a router says of the cluster, beside scripted shards."""

from __future__ import annotations

from fake_shard import FakeShard, everything
from router_caller import Start

from trunkshow.cluster import ClusterStatus
from trunkshow.online.trends import Listed, Trends, TrendWindow
from trunkshow.v1 import events_pb2

WINDOW = TrendWindow(600.0, (4.0,), (8.0,), (2.0,), {events_pb2.INTERACTION_CLICK: (26.5,)})


def trending(known_from_ms: int, item: str) -> FakeShard:
    """A shard that has found one item to trend."""
    shard = FakeShard(everything())
    found = Trends(known_from_ms, 100, {"": (Listed(item, 4.0, 8.0, 2.0),)}, {"": (WINDOW,)})
    shard.status.trends.CopyFrom(found.to_message())
    return shard


async def test_what_trends_were_found_by_is_told_of_the_lists_that_are_used(start: Start) -> None:
    """Every shard has lists like these; a status that told the counts of each would be mostly that."""
    caller = await start(trending(50, "young"), trending(5, "old"))
    status = ClusterStatus.from_message(await caller.status())
    assert [[one.item_id for one in shard.trends.of("")] for shard in status.shards] == [["young"], ["old"]]
    assert [dict(shard.trends.windows) for shard in status.shards] == [{}, {"": (WINDOW,)}]
    assert status.trends is status.shards[1].trends
