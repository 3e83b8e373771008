"""A batch's answers, of which other routers are asked as well where its own falls silent; for tasks, and for threads.

When, and for what, is decided by `trunkshow.batch_parts`. Here streams are begun and heard, and the caller gets each
answer once. A stream that was outrun is heard on for `SPARED_S` before it is called off (rule 5 of
`trunkshow.rival_rules`); a caller who goes away calls off everything at once. Nothing is read ahead of a slow caller
but a message per stream.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Protocol, TypeVar

import grpc

from trunkshow.batch_parts import Batch, Part
from trunkshow.bundles import each
from trunkshow.calling_off import call_off
from trunkshow.rival_rules import SPARED_S, Hedge
from trunkshow.rivals import forget
from trunkshow.v1 import recommendation_pb2 as pb

Answer = pb.RecommendBatchResponse
Stray = Callable[[int], object]


class Awaited(Protocol):
    """A call whose messages are awaited."""

    def __aiter__(self) -> AsyncIterator[Answer]: ...

    def cancel(self) -> bool:
        """Call it off."""
        ...


class Blocking(Protocol):
    """A call whose messages are waited for."""

    def __iter__(self) -> Iterator[Answer]: ...

    def cancel(self) -> object:
        """Call it off."""
        ...


Call = TypeVar("Call")
Begin = Callable[[pb.RecommendBatchRequest, float], Call]
"""Begins a call, with so many seconds for it."""


def answers(
    hedge: Hedge,
    begin: Begin[Awaited],
    request: pb.RecommendBatchRequest,
    timeout_s: float,
    stray: Stray = lambda _: None,
) -> AsyncGenerator[Answer]:
    """Each answer of a batch, as soon as it is there, with its index. The call is begun at once.

    Args:
        hedge: the client's.
        begin: begins a call.
        request: the whole batch.
        timeout_s: for all of it.
        stray: hears of what a stream answered twice, or was not asked for, where there are several routers.

    Raises:
        grpc.RpcError: as the first call does.
    """
    if not hedge.several:
        return _plain(begin(request, timeout_s))
    hedge.batches.earn()
    batch = Batch(request, timeout_s, monotonic(), hedge.batches, stray)
    return _heard(batch, begin, begin(request, timeout_s))


async def _plain(call: Awaited) -> AsyncGenerator[Answer]:
    try:
        async for message in call:
            for answer in each(message):
                yield answer
    finally:
        call.cancel()


class _Stream:
    """A call, and the message of it that is awaited."""

    def __init__(self, part: Part, call: Awaited) -> None:
        self.part, self.call = part, call
        self._messages = aiter(call)
        self.hear()

    def hear(self) -> None:
        self.read: asyncio.Future[Answer | None] = asyncio.ensure_future(self._next())

    async def _next(self) -> Answer | None:
        return await anext(self._messages, None)

    def failed(self) -> BaseException | None:
        """What the message that was awaited ended with instead."""
        return asyncio.CancelledError() if self.read.cancelled() else self.read.exception()

    async def drained(self) -> None:
        """Hear it to its end, for its router's sake."""
        with suppress(grpc.RpcError):
            while True:
                message = await self.read
                self.part.silent = False
                if message is None:
                    return
                self.hear()

    def call_off(self) -> None:
        self.read.add_done_callback(forget)
        call_off(self.call)


async def _heard(batch: Batch, begin: Begin[Awaited], first: Awaited) -> AsyncGenerator[Answer]:
    streams = [_Stream(batch.parts[0], first)]
    try:
        while not batch.over:
            live = {one.read: one for one in streams if one.part.live}
            done, _ = await asyncio.wait(live, timeout=batch.patience_s, return_when=asyncio.FIRST_COMPLETED)
            asked = [] if done else batch.silence(monotonic())
            for stream in [live[read] for read in done]:
                if (error := stream.failed()) is not None or (message := stream.read.result()) is None:
                    asked += batch.ended(stream.part, error, monotonic())
                    continue
                for answer in batch.take(stream.part, message):
                    yield answer
                stream.hear()
            left_s = batch.left_s(monotonic())
            streams += [_Stream(part, begin(part.request, left_s)) for part in asked]
        if batch.error is not None:
            raise batch.error
        if len(streams) > 1:
            _spare(batch, [one for one in streams if one.part.live])
            streams = []
    finally:
        for one in streams:
            one.call_off()


def _spare(batch: Batch, outrun: list[_Stream]) -> None:
    """Leave them a while to end by themselves."""
    draining = [asyncio.ensure_future(one.drained()) for one in outrun]

    def over() -> None:
        batch.settle()
        for one, task in zip(outrun, draining, strict=True):
            if not task.done():
                one.call_off()

    asyncio.get_running_loop().call_later(SPARED_S, over)


def answers_blocking(
    hedge: Hedge,
    begin: Begin[Blocking],
    request: pb.RecommendBatchRequest,
    timeout_s: float,
) -> Generator[Answer]:
    """The same for threads. Where there are several routers, each stream is heard by a thread of its own.

    Raises:
        grpc.RpcError: as the first call does.
    """
    with hedge.beginning:
        first = begin(request, timeout_s)
    if not hedge.several:
        return _plain_blocking(first)
    hedge.batches.earn()
    return _heard_blocking(hedge, Batch(request, timeout_s, monotonic(), hedge.batches), begin, first)


def _plain_blocking(call: Blocking) -> Generator[Answer]:
    try:
        for message in call:
            yield from each(message)
    finally:
        call.cancel()


class _Reader:
    """A call, and the thread that hears it: a message, and the next one once that is taken."""

    def __init__(self, part: Part, call: Blocking, inbox: SimpleQueue[_Heard]) -> None:
        self.part, self.call = part, call
        self._inbox = inbox
        self._taken = threading.Semaphore(0)
        self._heeded = True
        threading.Thread(target=self._hear, name="batch", daemon=True).start()

    def _hear(self) -> None:
        error: Exception | None = None
        try:
            for message in self.call:
                if self._heeded:
                    self._inbox.put((self, message, None))
                    self._taken.acquire()
                self.part.silent = False
        except Exception as raised:  # it is the caller's, who would wait for ever
            error = raised
        self.part.silent = False
        self._inbox.put((self, None, error))

    def taken(self) -> None:
        self._taken.release()

    def unheeded(self) -> None:
        """Hear it to its end, for its router's sake."""
        self._heeded = False
        self._taken.release()

    def call_off(self) -> None:
        self.call.cancel()
        self.unheeded()


_Heard = tuple[_Reader, Answer | None, BaseException | None]


def _heard_blocking(hedge: Hedge, batch: Batch, begin: Begin[Blocking], first: Blocking) -> Generator[Answer]:
    inbox: SimpleQueue[_Heard] = SimpleQueue()
    readers = [_Reader(batch.parts[0], first, inbox)]
    try:
        while not batch.over:
            asked: list[Part] = []
            try:
                reader, message, error = inbox.get(timeout=batch.patience_s)
            except Empty:
                asked = batch.silence(monotonic())
            else:
                if message is None:
                    asked = batch.ended(reader.part, error, monotonic())
                else:
                    yield from batch.take(reader.part, message)
                    reader.taken()
            if asked:
                left_s = batch.left_s(monotonic())
                with hedge.beginning:  # rule 3 of rival_rules
                    calls = [(part, begin(part.request, left_s)) for part in asked]
                readers += [_Reader(part, call, inbox) for part, call in calls]
        if batch.error is not None:
            raise batch.error
        if len(readers) > 1:
            _spare_blocking(batch, [one for one in readers if one.part.live])
            readers = []
    finally:
        for reader in readers:
            reader.call_off()


def _spare_blocking(batch: Batch, outrun: list[_Reader]) -> None:
    def over() -> None:
        batch.settle()
        for one in outrun:
            one.call.cancel()

    for one in outrun:
        one.unheeded()
    later = threading.Timer(SPARED_S, over)
    later.daemon = True
    later.start()
