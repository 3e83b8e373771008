"""What is said of a cluster that is coming up, and when it is given up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cli.readiness import Hopeless, Waiting, missing
from trunkshow.cluster import ClusterStatus, Generation, LogView, ShardState, ShardView

NAMES = {"a:1": "shard-0", "b:1": "shard-1", "c:1": "shard-2"}


def shard(address: str, state: ShardState = ShardState.READY, *, reachable: bool = True, **held: Any) -> ShardView:
    generation = Generation("v1", held.get("warm", ()), held.get("loading", ()), held.get("refused", ()))
    return ShardView(address, reachable, 0, "", state, (generation,), 0, 0)


def status(*shards: ShardView) -> ClusterStatus:
    return ClusterStatus("v1", 8, 5, shards, {}, 0)


class Clock:
    """Seconds that pass when told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_is_missing_names_the_shards_that_are_not_ready() -> None:
    """Shards that are ready are left out; of the others it is said what they lack, and of the snapshot how much."""
    loading = shard("b:1", ShardState.LOADING, loading=(1, 2, 3))
    gone = shard("c:1", ShardState.UNSPECIFIED, reachable=False)
    told = missing(status(shard("a:1"), loading, gone), NAMES)
    assert told == "shard-1 (3 partitions to load), shard-2 (not reached yet); 5 of 8 partitions covered"


def test_a_router_that_does_not_answer_is_what_is_missing() -> None:
    """Before the router answers nothing else can be said."""
    assert "router" in missing(None, NAMES)


def test_waiting_is_told_every_five_seconds() -> None:
    """However often the status is looked at, a line is said every five seconds, and none in the first ones."""
    clock, told = Clock(), list[dict[str, Any]]()
    waiting = Waiting(NAMES, lambda event, **details: told.append({"event": event, **details}), clock)
    for _ in range(24):
        waiting.look(None)
        clock.now += 0.5
    assert [(one["event"], one["seconds"]) for one in told] == [("cluster.waiting", 5), ("cluster.waiting", 10)]


def test_a_cluster_is_whole_once_every_shard_is_ready() -> None:
    """Coverage alone is not enough: a shard that was not heard yet may refuse what it should hold."""
    waiting = Waiting(NAMES, lambda event, **details: None, Clock())
    covered = ClusterStatus("v1", 8, 8, (shard("a:1"), shard("b:1", ShardState.UNSPECIFIED, reachable=False)), {}, 0)
    assert not waiting.look(covered)
    assert waiting.look(ClusterStatus("v1", 8, 8, (shard("a:1"), shard("b:1")), {}, 0))


def test_a_refused_partition_is_hopeless() -> None:
    """A shard that refused partitions is named with them at once, though others may cover them."""
    waiting = Waiting(NAMES, lambda event, **details: None, Clock())
    with pytest.raises(Hopeless, match=r"shard-1 \(b:1\) refused partitions 2-3, 7") as caught:
        waiting.look(status(shard("a:1"), shard("b:1", warm=(1,), refused=(7, 2, 3))))
    assert caught.value.child == "shard-1"


def test_a_cluster_waits_for_a_log_of_its_own() -> None:
    """And says so where nothing else is missing; somebody's is not waited for."""
    clock, told = Clock(), list[str]()
    gone = LogView("nats://here/EVENTS", False, "", "refused")
    whole = replace(status(shard("a:1")), partitions_covered=8, event_log=gone)

    def say(event: str, **details: Any) -> None:
        told.append(details["missing"])

    waiting = Waiting(NAMES, say, clock, with_log=True)
    clock.now += 10
    assert not waiting.look(whole)
    assert told == ["the event log, which does not answer yet"]
    assert waiting.look(replace(whole, event_log=replace(gone, reachable=True)))
    assert Waiting(NAMES, say, clock).look(whole)
