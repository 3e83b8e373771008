"""Calls to several routers, of which the first answer counts: for tasks, and for threads.

When others are asked as well, and why two of them, is said in `trunkshow.rival_rules`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from time import monotonic
from typing import Any, TypeVar
from weakref import WeakSet

import grpc
import grpc.aio

from trunkshow.rival_rules import RIVALS, SPARED_S, Hedge

Answer = TypeVar("Answer")
Looks = Iterator[tuple[float, Callable[[int], bool]]]

_OUTRUN: WeakSet[asyncio.Future[Any]] = WeakSet()
"""Tasks that nobody waits for any more."""


async def raced(
    hedge: Hedge,
    begin: Callable[[float], Awaitable[Answer]],
    timeout_s: float,
    *,
    waits: bool = False,
    by: Callable[[Answer], str] = lambda _: "",
) -> Answer:
    """The first answer of a call, or of others like it.

    Args:
        hedge: the client's.
        begin: begins a call, with so many seconds for it.
        timeout_s: for all of it.
        waits: it takes long by its caller's wish.
        by: tells which router an answer is of; empty where that is not known.

    Raises:
        grpc.RpcError: as the first call does.
    """
    patience_s = hedge.patience_s(timeout_s, waits=waits)
    if patience_s is None:
        return await begin(timeout_s)
    began, number = monotonic(), hedge.begin()
    try:
        answer, of = await _raced(hedge, number, begin, patience_s, timeout_s)
    finally:
        hedge.end(number)
    hedge.answered_by(by(answer), of)
    if not waits:
        hedge.answered(monotonic() - began)
    return answer


async def _raced(
    hedge: Hedge, number: int, begin: Callable[[float], Awaitable[Answer]], patience_s: float, timeout_s: float
) -> tuple[Answer, int]:
    """And the number of the call that was begun as the answered one was."""
    until = monotonic() + timeout_s
    first: asyncio.Future[Answer] = asyncio.ensure_future(begin(timeout_s))
    asked, rivals_of = {first}, number
    try:
        hedged = await _is_hedged(hedge, number, first, hedge.looks(patience_s, timeout_s))
        rivals_of = hedge.begun
        left_s = until - monotonic()
        if hedged and left_s > 0:
            asked |= {asyncio.ensure_future(begin(left_s)) for _ in range(RIVALS)}
        winner = await _winner(set(asked))
    except asyncio.CancelledError:
        for one in asked:
            one.cancel()
        raise
    outrun = asked - {winner} if len(asked) > 1 else set()
    for one in outrun:
        asyncio.get_running_loop().call_later(SPARED_S, _spared, hedge, one, one is first)
        one.add_done_callback(partial(_ended, hedge) if one is first else forget)
    return (winner or first).result(), number if winner is first else rivals_of


async def _is_hedged(hedge: Hedge, number: int, first: asyncio.Future[Answer], looks: Looks) -> bool:
    """Whether others are to be asked, once it is time for that; not where the first has come, or nobody waits."""
    began = monotonic()
    for at_s, spend in looks:
        await asyncio.wait({first}, timeout=max(began + at_s - monotonic(), 0))
        if first.done() or asyncio.current_task() in _OUTRUN:
            return False
        if spend(number):
            return True
    return False


def spare(task: asyncio.Future[Any]) -> None:
    """Give a task that was outrun, and may be in `raced`, its while (rule 5); it asks nobody else meanwhile."""
    _OUTRUN.add(task)
    task.add_done_callback(forget)
    asyncio.get_running_loop().call_later(SPARED_S, task.cancel)


async def _winner(waiting: set[asyncio.Future[Answer]]) -> asyncio.Future[Answer] | None:
    """The first that is answered; None where all have failed."""
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            if not one.cancelled() and one.exception() is None:
                return one
    return None


def _spared(hedge: Hedge, one: asyncio.Future[Any], first: bool) -> None:
    """It had its while; a first call that is silent still says that its router stands still."""
    if first and not one.done():
        hedge.was_right()
    one.cancel()


def _ended(hedge: Hedge, first: asyncio.Future[Any]) -> None:
    """A first call has ended that was outrun. By its own deadline, which may come before its while is over: silent."""
    error = None if first.cancelled() else first.exception()
    if isinstance(error, grpc.aio.AioRpcError) and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        hedge.was_right()


def forget(one: asyncio.Future[Any]) -> None:
    """It failed too late to be of interest, and is not to be complained of."""
    if not one.cancelled():
        one.exception()


def raced_blocking(
    hedge: Hedge,
    begin: Callable[[float], Any],
    patience_s: float,
    timeout_s: float,
    *,
    waits: bool = False,
    by: Callable[[Any], str] = lambda _: "",
) -> Any:
    """The same for threads.

    Args:
        hedge: the client's.
        begin: begins a call, which is both a `grpc.Future` and a `grpc.Call`.
        patience_s: that the hedge has with it.
        timeout_s: for all of it.
        waits: it takes long by its caller's wish.
        by: tells which router an answer is of; empty where that is not known.

    Raises:
        grpc.RpcError: as the first call does.
    """
    began, number = monotonic(), hedge.begin()
    try:
        answer, of = _raced_blocking(hedge, number, begin, patience_s, timeout_s)
    finally:
        hedge.end(number)
    hedge.answered_by(by(answer), of)
    if not waits:
        hedge.answered(monotonic() - began)
    return answer


def _raced_blocking(
    hedge: Hedge, number: int, begin: Callable[[float], Any], patience_s: float, timeout_s: float
) -> tuple[Any, int]:
    """And the number of the call that was begun as the answered one was."""
    woken = threading.Event()
    calls: list[Any] = []

    def ask(seconds: float, times: int = 1) -> None:
        with hedge.beginning:
            begun = [begin(seconds) for _ in range(times)]
        calls.extend(begun)
        for call in begun:
            call.add_done_callback(lambda _: woken.set())

    began = monotonic()
    ask(timeout_s)
    hedged, rivals_of = False, number
    for at_s, spend in hedge.looks(patience_s, timeout_s):
        if woken.wait(max(began + at_s - monotonic(), 0)) or (hedged := spend(number)):
            break
    if hedged and (left_s := began + timeout_s - monotonic()) > 0:
        rivals_of = hedge.begun
        ask(left_s, RIVALS)
        calls[0].add_done_callback(lambda first: _judged(hedge, first))
    while True:
        woken.wait()
        woken.clear()
        over = [call for call in calls if call.done()]
        for call in over:
            if call.code() is grpc.StatusCode.OK:
                return call.result(), number if call is calls[0] else rivals_of
        if len(over) == len(calls):
            raise calls[0]


def _judged(hedge: Hedge, first: Any) -> None:
    if first.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        hedge.was_right()
