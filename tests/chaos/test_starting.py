"""A shard has begun to serve once routers ask it for something, and a call that is asked again is late, not failed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from cli.addresses import free_address
from cli.chaos import caller, starting
from trunkshow.v1 import shard_pb2


@asynccontextmanager
async def shard(*generations: shard_pb2.GenerationStatus) -> AsyncIterator[str]:
    """The address of one that says that it holds these."""

    async def watch(request: Any, context: Any) -> AsyncIterator[bytes]:
        del request, context
        status = shard_pb2.ShardStatus(generations=generations)
        yield shard_pb2.WatchResponse(status=status).SerializeToString()

    server = grpc.aio.server()
    watching = {"Watch": grpc.unary_stream_rpc_method_handler(watch)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("trunkshow.v1.ShardService", watching)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@pytest.mark.parametrize(
    ("held", "serves"),
    [({}, False), ({"loading": [1]}, False), ({"warm": [1]}, True), ({"stand_ins": [2]}, True)],
)
async def test_a_shard_serves_once_something_is_warm(held: dict[str, list[int]], serves: bool) -> None:
    async with shard(shard_pb2.GenerationStatus(snapshot_version="one", **held)) as address:  # type: ignore[arg-type]
        assert await starting.holds_something(address) is serves


async def test_nobody_serves_where_nobody_listens() -> None:
    assert not await starting.holds_something(free_address())


async def test_another_router_that_is_late_is_asked_on() -> None:
    """With what is left of 200 ms first, and then for as long as its caller waits."""
    given = list[float]()

    async def method(request: Any, timeout: float) -> str:  # noqa: ASYNC109 - as gRPC calls it
        del request
        given.append(timeout)
        if len(given) == 1:
            nothing = grpc.aio.Metadata()
            raise grpc.aio.AioRpcError(grpc.StatusCode.DEADLINE_EXCEEDED, nothing, nothing)
        return "late"

    assert await caller._rival(method, None, caller.GIVE_UP_S - 0.06) == "late"  # type: ignore[arg-type]
    assert given == pytest.approx([0.14, 1.8])
