"""Claims about gRPC's asyncio server: what it costs an event loop to take in a call."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import grpc
import grpc.aio

CALLS = 50
TASKS_OF_CALLER = 1
TASKS_OF_SERVER = 2
"""For the handler, and to hear that the caller left."""


async def test_a_call_is_taken_in_without_a_task_of_its_own() -> None:
    """With one more for each, calls wait before any handler sees them: for most of a second where a machine is busy."""
    loop, tasks = asyncio.get_running_loop(), 0

    def counted(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **more: Any) -> asyncio.Task[Any]:
        nonlocal tasks
        tasks += 1
        return asyncio.Task(work, loop=loop, **more)

    async def echo(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        del context
        return request

    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(echo)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Echo", {"Echo": method})])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/test.Echo/Echo")
            await call(b"the first one connects")
            loop.set_task_factory(counted)
            for _ in range(CALLS):
                await call(b"")
    finally:
        loop.set_task_factory(None)
        await server.stop(None)
    assert tasks <= CALLS * (TASKS_OF_CALLER + TASKS_OF_SERVER)
