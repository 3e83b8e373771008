"""What a shard holds follows the pointer and the membership; whatever fails on the way, what is warm is served."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

import pytest
from keeper_stage import EVERYTHING, NEIGHBOUR, OWN, PARTITIONS, Stage, Store, everywhere
from structlog.testing import capture_logs

from shard.heard import Word
from shard.holdings import LINGER_S, SETTLE_S, TURN_S
from shard.keeper import Keeper
from shard.scene import Kind, Limits, Piece
from trunkshow import pacing
from trunkshow.v1 import shard_pb2 as pb


async def test_the_current_version_is_opened_then_the_one_before(stage: Stage) -> None:
    """So that rolling back needs no loading."""
    await stage.settle()
    assert stage.warm() == {stage.pointer.current: EVERYTHING, stage.pointer.previous: EVERYTHING}
    assert list(stage.warm()) == [stage.pointer.current, stage.pointer.previous]
    assert stage.state == pb.SHARD_STATE_READY


async def test_without_room_for_it_the_previous_version_is_not_open(stage: Stage) -> None:
    """Neither its partitions nor what they share, from when its manifest was read; and it is not opened again."""
    stage.keeper = Keeper(
        stage.store,
        OWN,
        replicas=1,
        limits=Limits(0, 60.0),
        warm_requests=2,
        changed=lambda: None,
    )
    with capture_logs() as logs:
        await stage.settle()
    opened = [line["snapshot"] for line in logs if line["event"] == "snapshot.opened"]
    assert opened == [stage.pointer.current, stage.pointer.previous]
    assert stage.warm() == {stage.pointer.current: EVERYTHING}


async def test_what_nobody_has_is_opened_without_a_rest(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a start; what is opened while the version before is served gives way to requests."""
    shares: dict[Piece | str, float] = {}
    paced = pacing.paced
    opening = stage.keeper.opening
    bring = opening.bring

    async def noted(key: Piece | str, parent: str, share: float, *, passing: bool) -> Exception | None:
        shares[key] = share
        return await bring(key, parent, share, passing=passing)

    monkeypatch.setattr(opening, "bring", noted)
    asked: list[float] = []
    monkeypatch.setattr(pacing, "paced", lambda share: asked.append(share) or paced(share))
    await stage.settle()
    current, previous = stage.pointer.current, stage.pointer.previous
    hurried = {current, *(Piece(current, Kind.HOME, number) for number in EVERYTHING)}
    assert {key for key, share in shares.items() if share == pacing.ALL} == hurried
    assert previous in shares
    assert asked == list(shares.values())


async def test_ready_is_said_as_soon_as_the_current_version_is_whole(stage: Stage) -> None:
    """Not before, and not only after the previous one is."""
    stage.keeper.joined((OWN,))
    stage.keeper.pointed(stage.pointer)
    states = []
    for _ in range(2 * PARTITIONS + 1):
        stage.keeper.tend()
        await stage.keeper.lanes.bring_next()
        stage.keeper.tend()
        states.append(stage.state)
    assert states[-2:] == [pb.SHARD_STATE_LOADING, pb.SHARD_STATE_READY]
    assert stage.pointer.previous not in stage.keeper.generations


@pytest.mark.parametrize(("variance", "opened"), [(0.5, False), (math.inf, True)])
async def test_a_version_unlike_the_one_before_is_not_opened_beyond_the_variance(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, variance: float, opened: bool
) -> None:
    """Counts are compared with the version before; without a limit they may be anything."""
    ours, before = stage.pointer.current, stage.pointer.previous
    parent = stage.store.manifest(before)
    grown = replace(parent, counts={**parent.counts, "users": 10 * parent.counts["users"]})
    manifest = stage.store.manifest
    monkeypatch.setattr(Store, "manifest", lambda _, version: grown if version == before else manifest(version))
    stage.keeper.opening.variance = variance
    await stage.settle()
    assert (ours in stage.keeper.generations) is opened
    assert before in stage.keeper.generations


async def test_a_shard_holds_its_share_and_the_copies_of_its_neighbours_users(stage: Stage) -> None:
    """And nothing else is open: more shards, less memory each."""
    await stage.settle(members=(OWN, NEIGHBOUR))
    held = stage.keeper.generations[stage.pointer.current]
    assert (sorted(held.warm), sorted(held.stand_ins)) == ([0, 2], [1, 3])


async def test_what_moved_is_surplus_until_others_have_it(stage: Stage) -> None:
    """It is served, and said to be surplus, and then it is closed."""
    await stage.settle()
    await stage.settle(members=(OWN, NEIGHBOUR))
    version = stage.pointer.current
    surplus = [list(one.surplus) for one in stage.keeper.status() if one.snapshot_version == version]
    assert (surplus, stage.warm()[version]) == ([[1, 3]], EVERYTHING)
    stage.now += SETTLE_S
    stage.keeper.hear("router", everywhere(version, stage.now))
    stage.keeper.tend()
    stage.now += LINGER_S + TURN_S  # the other one's turn is first
    stage.keeper.tend()
    assert stage.warm()[version] == [0, 2]


async def test_who_hears_of_a_version_hears_what_of_it_is_on_the_way(stage: Stage) -> None:
    """Never that nothing is: a router would take the version for whole."""
    heard: list[pb.GenerationStatus] = []
    stage.keeper = Keeper(
        stage.store,
        OWN,
        replicas=1,
        limits=Limits(1 << 30, 60.0),
        warm_requests=2,
        changed=lambda: heard.extend(stage.keeper.status()),
    )
    await stage.settle(members=(OWN, NEIGHBOUR))
    first = next(one for one in heard if one.snapshot_version == stage.pointer.current)
    assert (list(first.loading), list(first.loading_stand_ins)) == ([0, 2], [1, 3])


async def test_who_never_was_a_member_counts_himself_in(stage: Stage) -> None:
    """He is on his way there; who was one, and is not, holds nothing in the end."""
    await stage.settle(members=(NEIGHBOUR,))
    joining = stage.warm()[stage.pointer.current]
    await stage.settle(members=(OWN, NEIGHBOUR))
    await stage.settle(members=(NEIGHBOUR,))
    stage.now += SETTLE_S
    stage.keeper.hear("router", everywhere(stage.pointer.current, stage.now))
    stage.keeper.tend()
    stage.now += LINGER_S + TURN_S  # the other one's turn is first
    stage.keeper.tend()
    assert (joining, stage.warm()[stage.pointer.current]) == ([0, 2], [])


async def test_a_leaving_shard_waits_for_nobody_where_no_router_speaks(stage: Stage) -> None:
    """There is nobody to keep waiting for."""
    await stage.settle()
    stage.keeper.watchers = 1
    await stage.keeper.handed_over()
    stage.keeper.watchers = 0
    stage.keeper.hear("router", Word(stage.now))
    await stage.keeper.handed_over()


async def test_a_leaving_shard_goes_once_the_routers_say_that_others_have_its_share(stage: Stage) -> None:
    """And hears them while it waits."""
    await stage.settle(members=(OWN, NEIGHBOUR))
    stage.keeper.watchers = 1
    stage.keeper.hear("router", Word(stage.now))
    leaving = asyncio.create_task(stage.keeper.handed_over())
    await asyncio.sleep(0)
    early = leaving.done()
    stage.now += SETTLE_S
    stage.keeper.hear("router", everywhere(stage.pointer.current, stage.now))
    await asyncio.wait_for(leaving, 60)
    assert not early
