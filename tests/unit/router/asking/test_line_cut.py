"""A line that is cut under a batch costs the batch that shard, and nothing else: a real server, which never answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from router.asking.fanout import Fanout
from router.cluster.observing import Observer
from router.cluster.shard_channel import ShardChannels
from router.cluster.topology import Generation, ShardFacts, Topology
from router.cluster.watch import Board
from trunkshow.serving.deadline import Deadline, monotonic
from trunkshow.v1 import shard_pb2


class Silent:
    """A shard that takes calls and answers none."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def stream(self, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> AsyncIterator[bytes]:
        """PredictBatch."""
        del request, context
        self.asked.set()
        await asyncio.Event().wait()
        yield b""

    async def unary(self, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        """Observe."""
        del context
        self.asked.set()
        await asyncio.Event().wait()
        return request


@asynccontextmanager
async def silent() -> AsyncIterator[tuple[Silent, str]]:
    """It, and its address."""
    service, server = Silent(), grpc.aio.server()
    methods = {
        "PredictBatch": grpc.unary_stream_rpc_method_handler(service.stream),
        "Observe": grpc.unary_unary_rpc_method_handler(service.unary),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("trunkshow.v1.ShardService", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield service, f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


def board(address: str) -> Board:
    """Where the shard holds a partition."""
    held = Generation("v1", frozenset({0}))
    facts = ShardFacts(address, shard_pb2.SHARD_STATE_READY, (held,))
    return Board(Topology.of([address]).updated(address, facts))


async def test_a_batch_whose_line_is_cut_ends() -> None:
    """So that its users are asked for elsewhere: to wait on would be to wait until the caller gives up."""
    async with silent() as (service, address), asyncio.timeout(20):
        channels = ShardChannels([address])
        fanout = Fanout(channels, board(address))
        until = Deadline.after(60_000, monotonic())

        async def answers() -> list[shard_pb2.PredictBatchResponse]:
            return [one async for one in fanout.ask_batch("v1", address, b"", 8, until, "id")]

        asking = asyncio.create_task(answers())
        await service.asked.wait()
        line = channels.get(address)
        assert line is not None
        await line.close()
        assert await asking == []
        assert not asking.cancelled()
        assert line.in_flight == 0
        assert line.last_error == "its line was cut"
        assert await answers() == []  # a line that is closed already


async def test_who_is_told_to_stop_stops() -> None:
    """A caller who leaves is not taken for a line that was cut."""
    async with silent() as (service, address), asyncio.timeout(20):
        fanout = Fanout(ShardChannels([address]), board(address))
        until = Deadline.after(60_000, monotonic())

        async def answers() -> list[shard_pb2.PredictBatchResponse]:
            return [one async for one in fanout.ask_batch("v1", address, b"", 8, until, "id")]

        asking = asyncio.create_task(answers())
        await service.asked.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_a_line_that_is_cut_while_its_shard_is_told_ends_nothing() -> None:
    """The router goes on telling the others."""
    async with silent() as (service, address), asyncio.timeout(20):
        channels = ShardChannels([address])
        telling = asyncio.create_task(Observer(board(address), channels)._told())
        await service.asked.wait()
        line = channels.get(address)
        assert line is not None
        await line.close()
        await telling
        assert not telling.cancelled()
