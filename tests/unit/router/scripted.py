"""Replicas, calls and timers that a test plays by hand: nothing happens until the test says so, and no time passes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import grpc
import grpc.aio

from trunkshow.latencies import Kind, Latencies
from trunkshow.v1 import shard_pb2

ANSWER = shard_pb2.PredictResponse(slate=b"\x0a\x00")


class Clock:
    """A clock that stands until it is moved; timers run when it passes them."""

    def __init__(self) -> None:
        self.now = 100.0
        self._timers: list[Timer] = []

    def __call__(self) -> float:
        return self.now

    def set_timer(self, seconds: float, call: Callable[[], None]) -> Timer:
        """As `loop.call_later`."""
        timer = Timer(self.now + seconds, call)
        self._timers.append(timer)
        return timer

    @property
    def waiting(self) -> list[Timer]:
        """Timers that are neither cancelled nor due."""
        return [timer for timer in self._timers if not timer.over]

    def pass_ms(self, ms: float) -> None:
        """So much time goes by; what was due in it has run, in order."""
        until = self.now + ms / 1000
        while due := [timer for timer in self.waiting if timer.at <= until]:
            timer = min(due, key=lambda one: one.at)
            self.now, timer.over = max(self.now, timer.at), True
            timer.call()
        self.now = until


class Timer:
    """One timer."""

    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at = at
        self.call = call
        self.over = False

    def cancel(self) -> None:
        """Let it pass without a word."""
        self.over = True


class Call:
    """A call that is on its way until the test ends it."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.was_cancelled = False
        self._ended: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._callbacks: list[Callable[[Any], None]] = []

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """As grpc.aio's."""
        self._callbacks.append(callback)

    @property
    def over(self) -> bool:
        """Whether it was answered, or failed, or cancelled."""
        return self._ended.done()

    def __await__(self) -> Generator[Any, None, bytes]:
        return self._ended.__await__()

    def cancel(self) -> bool:
        """As grpc.aio's."""
        self.was_cancelled = True
        return self._ended.cancel()

    def answer(self, message: shard_pb2.PredictResponse = ANSWER) -> None:
        """The shard answers."""
        self._end(lambda: self._ended.set_result(message.SerializeToString()))

    def garble(self) -> None:
        """The shard answers with what is no message."""
        self._end(lambda: self._ended.set_result(b"\xff"))

    def fail(self, code: grpc.StatusCode) -> None:
        """The shard, or the way to it, fails."""
        error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "scripted")
        self._end(lambda: self._ended.set_exception(error))

    def _end(self, end: Callable[[], None]) -> None:
        end()
        for callback in self._callbacks:
            callback(self)


class Replica:
    """A shard's channel, as far as asking goes."""

    def __init__(self, address: str, p95_ms: float = 10.0) -> None:
        self.address = address
        self.in_flight = 0
        self.last_error = ""
        self.calls: list[Call] = []
        self.latencies = {kind: Latencies() for kind in Kind}
        for latencies in self.latencies.values():
            latencies.tail_ms = p95_ms

    def predict(self, request: bytes, *, timeout: float, metadata: object) -> Call:
        """Begin a call."""
        del request, metadata
        self.calls.append(Call(timeout))
        return self.calls[-1]

    def forget_latencies(self) -> None:
        """As a channel's."""
        self.latencies = {kind: Latencies() for kind in Kind}

    @property
    def call(self) -> Call:
        """The latest one."""
        return self.calls[-1]

    async def close(self, grace_s: float | None = None) -> None:
        """Nothing to cut."""


async def settled(running: Awaitable[Any]) -> None:
    """Let whatever can go on do so: a few turns of the loop, no time."""
    del running
    for _ in range(10):
        await asyncio.sleep(0)
