"""Calls to routers that end when a test says so, of tasks and of threads. Not a test."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import grpc
import grpc.aio

from trunkshow.rival_rules import Hedge
from trunkshow.rivals import raced

TIMEOUT_S = 60.0


class Scripted:
    """Begins calls that end when they are told to."""

    def __init__(self) -> None:
        self.calls: list[asyncio.Future[str]] = []
        self._begun = asyncio.Event()

    def begin(self, seconds: float) -> asyncio.Future[str]:
        assert seconds <= TIMEOUT_S
        self.calls.append(asyncio.get_running_loop().create_future())
        self._begun.set()
        return self.calls[-1]

    async def until(self, calls: int) -> None:
        while len(self.calls) < calls:
            self._begun.clear()
            await asyncio.wait_for(self._begun.wait(), TIMEOUT_S)


def asking(scripted: Scripted, hedge: Hedge) -> asyncio.Task[str]:
    return asyncio.ensure_future(raced(hedge, scripted.begin, TIMEOUT_S))


class Answered:
    """A call of a thread that ends at the third asking."""

    def __init__(self, ended: threading.Event) -> None:
        self._ended = ended

    def add_done_callback(self, hear: Any) -> None:
        threading.Thread(target=lambda: self._ended.wait(TIMEOUT_S) and hear(self), daemon=True).start()

    def done(self) -> bool:
        return self._ended.is_set()

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.OK

    def result(self) -> str:
        return "answered"


class Ended:
    """A call of a thread that is over, or will be once it is told how."""

    def __init__(self, code: grpc.StatusCode | None = None) -> None:
        self._code = code
        self._hear: list[Any] = []

    def add_done_callback(self, hear: Any) -> None:
        self._hear.append(hear)
        if self.done():
            hear(self)

    def end(self, code: grpc.StatusCode) -> None:
        self._code = code
        for hear in self._hear:
            hear(self)

    def done(self) -> bool:
        return self._code is not None

    def code(self) -> grpc.StatusCode | None:
        return self._code

    def result(self) -> str:
        return "answered"
