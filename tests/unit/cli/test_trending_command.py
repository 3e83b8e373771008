"""`trunkshow trending`: what a person sees of what trends."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from math import inf

from rich.console import Console

from cli.titles import Titles
from cli.trending import as_json, lines
from trunkshow.cluster import ClusterStatus
from trunkshow.online.trends import Listed, Trends, TrendWindow
from trunkshow.v1 import cluster_pb2, events_pb2, shard_pb2

VIEW, ORDER = events_pb2.INTERACTION_VIEW, events_pb2.INTERACTION_ORDER
SHORT = TrendWindow(600.0, (4.25, 0.0), (9.0, 1.0), (1.5, inf), {VIEW: (20.0, 5.0), ORDER: (6.5, 0.0)})
LONG = TrendWindow(1800.0, (3.0, 2.5), (11.0, 4.0), (3.0, 1.25), {VIEW: (30.0, 17.5), ORDER: (8.0, 0.0)})
LISTED = (Listed("i1", 4.25, 9.0, 1.5), Listed("i2", 2.5, 4.0, 1.25))
NOW = Trends(1_700_000_000_000, 1_700_000_060_000, {"": LISTED}, {"": (SHORT, LONG)})


def printed(trends: Trends, segment: str = "", count: int = 10) -> list[str]:
    """The lines that the command prints."""
    said = io.StringIO()
    Console(file=said, width=100).print(*lines(trends, segment, count, Titles()))
    return said.getvalue().splitlines()


def line(of: str, printed: list[str]) -> list[str]:
    """The words that are said of an item."""
    (found,) = (one.split() for one in printed if one.split()[:1] == [of])
    return found


def test_an_item_is_shown_with_how_much_more_than_usual() -> None:
    """And since when and until when the log is known."""
    said = printed(replace(NOW, windows={}))
    assert line("i1", said) == ["i1", "4.2", "times", "9.0", "1.5"]
    assert "2023-11-14T22:13:20+00:00" in said[-1]


def test_what_was_done_with_an_item_is_shown_for_the_half_life_by_which_it_trends() -> None:
    """By interaction; what was not done is no number."""
    said = printed(NOW)
    assert line("item", said) == ["item", "at", "least", "lately", "usually", "view", "order", "half-life"]
    assert line("i1", said)[-4:] == ["20.0", "6.5", "10", "min"]
    assert line("i2", said)[-4:] == ["17.5", "·", "30", "min"]
    assert not any("i2" in one for one in printed(NOW, count=1))


def test_a_machine_reads_every_window() -> None:
    """Counts by interaction, what was observed and expected, and the surge; JSON knows no infinity."""
    told = json.loads(json.dumps(as_json(NOW, "", 10), allow_nan=False))
    assert told["items"][0]["surge"] == 4.25
    short, long = told["items"][1]["windows"]
    assert short == {"half_life_s": 600, "counts": {"view": 5}, "observed": 1, "expected": None, "surge": 0}
    assert long == {"half_life_s": 1800, "counts": {"view": 17.5}, "observed": 4, "expected": 1.25, "surge": 2.5}


def test_where_nothing_trends_that_is_said() -> None:
    """In a segment, say."""
    assert "nothing trends" in printed(NOW, "g")[0]


def test_the_lists_are_those_of_a_shard_in_reach() -> None:
    """A shard that was lost has nothing to say any more."""
    for reachable in (True, False):
        status = cluster_pb2.ReplicaStatus(reachable=reachable, status=shard_pb2.ShardStatus(trends=NOW.to_message()))
        found = ClusterStatus.from_message(cluster_pb2.GetClusterStatusResponse(shards=[status])).trends
        assert bool(found.lists) is reachable
