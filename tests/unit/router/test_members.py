"""Shards come and go while a router serves: it finds them where it was told to look, and tells them of one another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc.aio
import pytest
from fake_shard import FakeShard, everything
from router_caller import Caller

from router.config import RouterConfig
from router.served.views import View, Views
from router.service import Router
from trunkshow.serving.server import Server
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import recommendation_pb2 as pb

Opened = list[Callable[[], Awaitable[object]]]


@pytest.fixture
async def opened() -> AsyncIterator[Opened]:
    """What is to be closed in the end, in reverse order."""
    closing: Opened = []
    yield closing
    for close in reversed(closing):
        await close()


async def begin(members: Path, snapshot: Snapshot, opened: Opened) -> Caller:
    """A router that looks its shards up in a file."""
    router = Router(RouterConfig(store="", members=f"file:{members}", deadline_ms=2000), Views.of(View.of(snapshot)))
    opened.append(router.close)
    await router.start()
    server = Server(router.services())
    port = await server.start("127.0.0.1:0")
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    opened.extend((lambda: server.stop(0), channel.close))
    return Caller(channel)


async def shard(opened: Opened, partitions: range) -> tuple[FakeShard, str]:
    """A shard that holds these partitions, and where."""
    made = FakeShard(everything(), warm=partitions)
    address = await made.start()
    opened.append(made.stop)
    return made, address


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Bounded: the file is looked at every second."""
    async with asyncio.timeout(60):
        while not await true():  # noqa: ASYNC110  # a file sets no event of ours
            await asyncio.sleep(0.02)


async def test_a_shard_that_joins_is_asked_and_one_that_leaves_is_forgotten(
    snapshot: Snapshot, opened: Opened, tmp_path: Path
) -> None:
    """The file says who there is."""
    members = tmp_path / "members"
    _, first = await shard(opened, range(2))
    joining, second = await shard(opened, range(2, 4))
    members.write_text(f"{first}\n")
    caller = await begin(members, snapshot, opened)
    before = (await caller.recommend("u2")).receipt.rung

    members.write_text(f"{first}\n{second} # new\n")

    async def joined() -> bool:
        return (await caller.recommend("u2")).receipt.rung == pb.RUNG_SNAPSHOT

    await until(joined)
    members.write_text(f"{first}\n")
    await joining.stop()

    async def forgotten() -> bool:
        return [one.address for one in (await caller.status()).shards] == [first]

    await until(forgotten)
    assert before == pb.RUNG_POPULAR or before == pb.RUNG_SEGMENT


async def test_a_router_without_any_member_serves_what_it_has(
    snapshot: Snapshot, opened: Opened, tmp_path: Path
) -> None:
    """It does not wait for a file that is not there."""
    caller = await begin(tmp_path / "members", snapshot, opened)
    assert (await caller.recommend("u0")).receipt.rung == pb.RUNG_SEGMENT


async def test_shards_hear_what_the_others_hold(snapshot: Snapshot, opened: Opened, tmp_path: Path) -> None:
    """Each its own tale."""
    members = tmp_path / "members"
    first, one = await shard(opened, range(2))
    _, two = await shard(opened, range(1, 4))
    members.write_text(f"{one}\n{two}\n")
    await begin(members, snapshot, opened)
    told = {0: 0, 1: 1, 2: 1, 3: 1}

    async def heard() -> bool:
        held = first.observed[-1].held if first.observed else []
        return [dict(zip(each.partitions, each.others, strict=True)) for each in held] == [told]

    await until(heard)
    assert first.observed
