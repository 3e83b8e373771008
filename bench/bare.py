"""What bare servers of the benches have in common: methods over bytes, a free port, which is printed, until SIGTERM."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from typing import Any

import grpc
import grpc.aio


async def serve(service: str, methods: Mapping[str, grpc.RpcMethodHandler[Any, Any]]) -> None:
    """Serve these methods, and nothing around them, until SIGTERM."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, dict(methods)),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    await over.wait()
    await server.stop(None)
