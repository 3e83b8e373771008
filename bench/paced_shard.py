"""A shard of known capacity: one prediction after the other, each after the same time, and no processor needed for it.

It stands for a machine that is busy. What it says of itself and how it is asked are those of a real shard; its slates
are always the same. As a program it serves on a free port, which it prints, until SIGTERM:
`python -m bench.paced_shard VERSION PARTITIONS MS`.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import uvloop

from bench import bare
from bench.wanted import WANTED
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

SERVICE = "trunkshow.v1.ShardService"
STATUS_PERIOD_S = 1.0


def slate(version: str) -> shard_pb2.PredictResponse:
    """Two carousels of ten."""
    made = [
        pb.Carousel(
            id=name,
            title=name,
            source="paced",
            rung=pb.RUNG_SNAPSHOT,
            items=[
                pb.Item(item_id=f"{place}-{number:06d}", score=1.0, reason="made up") for number in range(WANTED.items)
            ],
        )
        for place, name in enumerate(WANTED.carousels)
    ]
    receipt = pb.Receipt(rung=pb.RUNG_SNAPSHOT, snapshot_version=version)
    return shard_pb2.PredictResponse(slate=pb.RecommendResponse(carousels=made, receipt=receipt).SerializeToString())


async def serve(version: str, partitions: int, ms: float) -> None:
    """Serve until SIGTERM."""
    reply = slate(version).SerializeToString()
    turn = asyncio.Lock()  # whoever is cancelled in the queue leaves it, first come, first served

    async def predict(request: bytes, context: Any) -> bytes:
        del request, context
        async with turn:
            await asyncio.sleep(ms / 1000)
        return reply

    async def watch(request: bytes, context: Any) -> AsyncIterator[bytes]:
        del request, context
        held = shard_pb2.GenerationStatus(snapshot_version=version, warm=range(partitions))
        status = shard_pb2.ShardStatus(name="paced", state=shard_pb2.SHARD_STATE_READY, generations=[held])
        while True:
            yield shard_pb2.WatchResponse(status=status).SerializeToString()
            await asyncio.sleep(STATUS_PERIOD_S)

    async def observe(request: bytes, context: Any) -> bytes:
        del request, context
        return b""

    await bare.serve(
        SERVICE,
        {
            "Predict": grpc.unary_unary_rpc_method_handler(predict),
            "Watch": grpc.unary_stream_rpc_method_handler(watch),
            "Observe": grpc.unary_unary_rpc_method_handler(observe),
        },
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version")
    parser.add_argument("partitions", type=int)
    parser.add_argument("ms", type=float)
    chosen = parser.parse_args()
    uvloop.run(serve(chosen.version, chosen.partitions, chosen.ms))
