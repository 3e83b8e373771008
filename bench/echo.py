"""The yardstick: a bare grpc.aio server on uvloop that answers every call with the same bytes.

As a program it serves on a free port, which it prints, until SIGTERM: `python -m bench.echo REPLY_BYTES`.
"""

from __future__ import annotations

import argparse
from typing import Any

import grpc
import uvloop

from bench import bare

METHOD = "/bench.Echo/Echo"


async def serve(reply_bytes: int) -> None:
    """Serve until SIGTERM."""
    reply = bytes(reply_bytes)

    async def answer(request: bytes, context: Any) -> bytes:
        del request, context
        return reply

    await bare.serve("bench.Echo", {"Echo": grpc.unary_unary_rpc_method_handler(answer)})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reply_bytes", type=int)
    uvloop.run(serve(parser.parse_args().reply_bytes))
