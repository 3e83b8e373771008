"""The yardstick: a bare grpc.aio server on uvloop that answers every call with the same bytes.

As a program it serves on a free port, which it prints, until SIGTERM: `python -m bench.echo REPLY_BYTES`.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from typing import Any

import grpc
import grpc.aio
import uvloop

METHOD = "/bench.Echo/Echo"


async def serve(reply_bytes: int) -> None:
    """Serve until SIGTERM."""
    reply = bytes(reply_bytes)

    async def answer(request: bytes, context: Any) -> bytes:
        del request, context
        return reply

    server = grpc.aio.server()
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {"Echo": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    await over.wait()
    await server.stop(None)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reply_bytes", type=int)
    uvloop.run(serve(parser.parse_args().reply_bytes))
