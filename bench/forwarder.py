"""A bare grpc.aio server on uvloop that passes requests on as they came, and replies back: what a hop costs at least.

As a program it serves on a free port, which it prints, until SIGTERM: `python -m bench.forwarder TARGET METHOD`.
"""

from __future__ import annotations

import argparse
from typing import Any

import grpc
import grpc.aio
import uvloop

from bench import bare

METHOD = "/bench.Forwarder/Forward"
TIMEOUT_S = 5.0


async def serve(target: str, method: str) -> None:
    """Serve until SIGTERM."""
    async with grpc.aio.insecure_channel(target) as channel:
        ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)

        async def forward(request: bytes, context: Any) -> bytes:
            del context
            return await ask(request, timeout=TIMEOUT_S)

        await bare.serve("bench.Forwarder", {"Forward": grpc.unary_unary_rpc_method_handler(forward)})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("method")
    chosen = parser.parse_args()
    uvloop.run(serve(chosen.target, chosen.method))
