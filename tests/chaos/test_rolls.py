"""Who is a member is looked up in files; a shard that was struck off must hold nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.chaos.member_faults import gave_all_up
from cli.chaos.rolls import Rolls
from trunkshow.cluster import ClusterStatus, Generation, ShardState, ShardView
from trunkshow.membership import source


async def test_each_reader_finds_what_was_entered_for_it(tmp_path: Path) -> None:
    """Shards the addresses of shards, a router those of its links; and what was entered last."""
    rolls = Rolls(tmp_path / "members")
    rolls.enter("shards", ["a:1", "b:2"])
    rolls.enter("router-0", ["x:1"])
    rolls.enter("router-0", ["x:1", "y:2"])
    found = [await source(rolls.source(reader)).read() for reader in ("shards", "router-0")]
    assert found == [("a:1", "b:2"), ("x:1", "y:2")]


LINE = "127.0.0.1:7"


def seen(address: str = LINE, *, reachable: bool = True, **held: tuple[int, ...]) -> ClusterStatus:
    """A router's status with one shard, which holds this."""
    generation = Generation("v1", held.get("warm", ()), (), (), held.get("stand_ins", ()), held.get("surplus", ()))
    shard = ShardView(address, reachable, 0, "", ShardState.READY, (generation,), 0, 0)
    return ClusterStatus("v1", 2, 2, (shard,), {}, 0)


@pytest.mark.parametrize(
    ("status", "gave_up"),
    [
        (seen(), True),
        (seen(warm=(1,)), False),
        (seen(warm=(1,), surplus=(1,)), False),
        (seen(stand_ins=(1,)), False),
        (seen(reachable=False), False),
        (seen("127.0.0.1:8"), False),
        (None, False),
    ],
)
def test_a_shard_gave_all_up_where_a_router_hears_it_say_so(status: ClusterStatus | None, gave_up: bool) -> None:
    """Not where it is silent, or another one is heard, or it keeps something, if only for a while."""
    assert gave_all_up(status, {LINE}) is gave_up
