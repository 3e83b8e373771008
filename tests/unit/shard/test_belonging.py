"""A shard that the membership does not name says so, and is not ready; once it is named, it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from datasets import Built
from structlog.testing import capture_logs

from shard.belonging import Belonging
from shard.keeper import Keeper
from shard.scene import Limits
from trunkshow.snapshot.folder_store import FolderStore
from trunkshow.v1 import shard_pb2 as pb

OWN, OTHER = "10.0.0.1:7451", "10.0.0.2:7451"


@pytest.mark.parametrize(
    ("looks", "unknown", "counted"),
    [
        ([], False, {OWN}),
        ([{OTHER}], True, {OWN, OTHER}),
        ([{OTHER}, {OWN, OTHER}], False, {OWN, OTHER}),
        ([{OWN, OTHER}, {OTHER}], False, {OTHER}),
    ],
    ids=["no answer yet", "never named", "named later", "struck off"],
)
def test_who_is_counted(looks: list[set[str]], unknown: bool, counted: set[str]) -> None:
    """On its way a shard counts itself in; struck off, out."""
    belonging = Belonging(OWN)
    for members in looks:
        belonging = belonging.renewed(members)
    assert (belonging.unknown, belonging.counted) == (unknown, counted)
    assert bool(belonging.why_not_ready) == unknown


def test_what_is_to_be_done_is_said() -> None:
    """With both names, though not with those of a thousand members."""
    why = Belonging(OWN).renewed({f"10.0.1.{number}:7451" for number in range(200)}).why_not_ready
    assert OWN in why
    assert "10.0.1.0:7451" in why
    assert "--name" in why
    assert len(why) < 300


@pytest.fixture
async def keeper(built: Built) -> AsyncIterator[Keeper]:
    """On a store with one version."""
    said = Limits(1 << 30, 60.0)
    made = Keeper(FolderStore(built.store), OWN, replicas=1, limits=said, warm_requests=1, changed=lambda: None)
    made.pointed(FolderStore(built.store).pointer())
    yield made
    made.close()


async def until_nothing_is_left(keeper: Keeper) -> None:
    """All that it should hold is open."""
    for _ in range(100):
        keeper.tend()
        await keeper.lanes.bring_next()
    keeper.tend()


async def test_a_shard_that_is_not_named_is_not_ready_until_it_is(keeper: Keeper) -> None:
    """It is told once each way, has its share open meanwhile, and needs nothing more to be ready than its name."""
    ready = asyncio.ensure_future(keeper.ready())
    with capture_logs() as logs:
        keeper.joined((OTHER,))
        await until_nothing_is_left(keeper)
        keeper.joined((OTHER, "10.0.0.3:7451"))
        keeper.joined((OTHER,))
        await until_nothing_is_left(keeper)
    assert [line["event"] for line in logs if line["event"].startswith("member.")] == ["member.unknown"]
    assert keeper.generations
    assert (keeper.state(), ready.done(), OWN in keeper.why_not_ready) == (pb.SHARD_STATE_LOADING, False, True)
    with capture_logs() as logs:
        keeper.joined((OTHER, OWN))
    await asyncio.wait_for(ready, 60)
    assert (keeper.state(), keeper.why_not_ready) == (pb.SHARD_STATE_READY, "")
    assert [line["event"] for line in logs] == ["member.known"]


async def test_a_shard_that_was_struck_off_is_no_stranger(keeper: Keeper) -> None:
    """It hands over what it holds, as it did."""
    keeper.joined((OWN,))
    await until_nothing_is_left(keeper)
    with capture_logs() as logs:
        keeper.joined((OTHER,))
    assert not logs
    assert not keeper.why_not_ready
