"""A prediction that nobody waits for any more, as a shard on a real port sees it."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, Never

import grpc.aio

from shard.config import ShardConfig
from shard.service import ShardService
from trunkshow.serving.server import Server
from trunkshow.v1 import shard_pb2


class Slow:
    """A predictor whose model takes its time."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def predict(self, *_: object) -> Never:
        self.begun.set()
        await asyncio.Event().wait()
        raise AssertionError


async def test_the_loser_of_a_hedge_is_seen_to_be_cancelled() -> None:
    """What a router calls off ends in the shard, and is counted; the shard answers on."""
    slow = Slow()
    generation: Any = SimpleNamespace(predictor=slow, uses=SimpleNamespace(reading=nullcontext))
    keeper: Any = SimpleNamespace(
        generations={"v1": generation},
        state=lambda: shard_pb2.SHARD_STATE_READY,
        status=list,
        why_not_ready="",
        hear=lambda *_: None,
    )
    service = ShardService(ShardConfig(store="."), "own:1")
    service.serve(keeper)
    server = Server([service.service()])
    target = f"127.0.0.1:{await server.start('127.0.0.1:0')}"
    try:
        async with grpc.aio.insecure_channel(target) as channel:
            predict = channel.unary_unary("/trunkshow.v1.ShardService/Predict")
            loser = predict(shard_pb2.PredictRequest(snapshot_version="v1").SerializeToString(), timeout=60)
            await slow.begun.wait()
            loser.cancel()
            observe = channel.unary_unary("/trunkshow.v1.ShardService/Observe")
            async with asyncio.timeout(60):
                while not service.status().cancelled:
                    await observe(b"", timeout=60)
        assert (service.status().cancelled, service.status().requests) == (1, 0)
    finally:
        await server.stop(0)
