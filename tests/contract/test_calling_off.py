"""What calling a gRPC call off does, seen on a real server."""

from __future__ import annotations

import asyncio
import ctypes
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from typing import Any
from xml.etree import ElementTree

import grpc
import pytest

from trunkshow.calling_off import call_off

CALLS = 1_000
PATIENCE_S = 60.0

Method = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]


class Endless:
    """Never answers, and tells when it was asked and when it was cancelled."""

    def __init__(self) -> None:
        self.asked = asyncio.Queue[None]()
        self.cancelled = asyncio.Queue[None]()

    async def wait(self, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        """Until it is cancelled."""
        del request, context
        self.asked.put_nowait(None)
        try:
            return await asyncio.get_running_loop().create_future()
        finally:
            self.cancelled.put_nowait(None)


@pytest.fixture
async def endless() -> AsyncIterator[tuple[Endless, Method]]:
    """It, served, and its method over bytes."""
    service, server = Endless(), grpc.aio.server()
    wait = grpc.unary_unary_rpc_method_handler(service.wait)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Endless", {"Wait": wait}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel, asyncio.timeout(PATIENCE_S):
        yield service, channel.unary_unary("/test.Endless/Wait")
    await server.stop(None)


async def test_the_server_sees_it_and_whoever_waits_is_told(endless: tuple[Endless, Method]) -> None:
    """As with the call's own cancel."""
    service, ask = endless
    call = ask(b"")
    await service.asked.get()
    assert call_off(call)
    with pytest.raises(asyncio.CancelledError):
        await call
    assert call.cancelled()
    assert not call_off(call)
    await service.cancelled.get()


async def test_what_is_called_off_leaves_nothing_behind(endless: tuple[Endless, Method]) -> None:
    """The call's own cancel leaves several hundred bytes that nobody can free; should that change, this can go."""
    service, ask = endless

    async def asked_and(cancel: Callable[[Any], object], calls: int) -> int:
        for _ in range(calls):
            call = ask(b"")
            await service.asked.get()
            cancel(call)
            await service.cancelled.get()
        return in_use()

    async def left(cancel: Callable[[Any], object]) -> float:
        before = await asked_and(cancel, CALLS // 10)
        return (await asked_and(cancel, CALLS) - before) / CALLS

    ours, its_own = await left(call_off), await left(lambda call: call.cancel())
    assert ours < its_own - 300


def in_use() -> int:
    """Bytes that this process has allocated in C, on whichever thread, and not given back."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "malloc_info"):
        pytest.skip("only glibc tells what is allocated")
    libc.fdopen.restype = ctypes.c_void_p
    with tempfile.TemporaryFile() as file:
        stream = ctypes.c_void_p(libc.fdopen(os.dup(file.fileno()), b"w"))
        libc.malloc_info(0, stream)
        libc.fclose(stream)
        file.seek(0)
        told = ElementTree.parse(file).getroot()
    free = sum(int(total.get("size", 0)) for total in told.findall("total") if total.get("type") in ("fast", "rest"))
    system = told.find("system[@type='current']")
    assert system is not None
    return int(system.get("size", 0)) - free
