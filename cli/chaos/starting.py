"""When a process that was started has begun to serve: until then it gives way to all others (`cli.chaos.priority`).

a router   it listens: what it answers from is open by then
a shard    something is warm: routers ask for that from then on, while the rest is still being opened
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import grpc
import grpc.aio

from cli.addresses import split_address
from trunkshow.channel import SHARD_OPTIONS
from trunkshow.v1 import shard_pb2

WATCH = "/trunkshow.v1.ShardService/Watch"
TOLD_WITHIN_S = 1.0


async def listens(address: str) -> bool:
    """Whether somebody does."""
    with suppress(OSError):
        _, writer = await asyncio.open_connection(*split_address(address))
        writer.close()
        return True
    return False


async def holds_something(address: str) -> bool:
    """Whether a shard has something to answer from."""
    if not await listens(address):
        return False
    async with grpc.aio.insecure_channel(address, options=SHARD_OPTIONS) as channel:
        watching: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(WATCH)
        with suppress(grpc.RpcError):
            async for report in watching(shard_pb2.WatchRequest().SerializeToString(), timeout=TOLD_WITHIN_S):
                generations = shard_pb2.WatchResponse.FromString(report).status.generations
                return any(one.warm or one.stand_ins for one in generations)
    return False
