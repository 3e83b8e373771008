"""When a client asks other routers as well, because the one that it asked takes long: decided here, and done, twice.

A router that stands still (its machine paused, its disk or its network gone) keeps its connections, and gRPC finds out
in seconds only; until then a call to it is to cost a hedge, not an answer. Rules:

1. Only what asks, never what records, nor what waits by its caller's wish: `channel.is_hedged`. And only where the
   target names several routers (`targets`).
2. Patience and budget are those of `trunkshow.hedging`: the p95 of recent answers within bounds, and a token. It comes
   back where the router first asked gave no answer at all, and the hedge was right; routers that are merely slow, since
   there is too much to do, are soon asked no more than once each.
3. Two calls go out at once. gRPC's round robin does not say which router a call went to, nor takes one back; but calls
   that are begun one right after the other go to different ones, so that one of the two goes past whichever is slow.
4. The first answer counts. An error counts once all have failed, and then it is that of the first.
5. gRPC takes a call that is called off for a failure of its router, and ejects one that fails half of its calls. So the
   others get a while to be answered after all: only a router that stands still is to be ejected, not one that is slow.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, TypeVar

import grpc

from trunkshow.hedging import Patience, Tokens
from trunkshow.latencies import Latencies

RIVALS = 2
"""Calls of one hedge; see rule 3."""

PATIENCE = Patience(default_ms=60.0, floor_ms=40.0, ceiling_ms=80.0)
"""A router hedges among its shards long before; who is still silent then is slow itself."""

SHARE = 0.02
"""Of requests that may be hedged in the long run; with two calls each, a twenty-fifth more of them. With 0.05, and a
burst of 256, and no token given back, a flood of five times what a cluster sustains left half of the good answers
(`trunkshow chaos --fault overload --seed 1`); with this, about four fifths are left (bench/RELIABILITY.md)."""

BURST = 64
"""Hedges whose first call is not seen to be silent yet: of a caller who asks some 250 times a second."""

SPARED_S = 0.4
"""For a call that was outrun: who is silent for so long stands still. Threads leave it to its own deadline."""

Answer = TypeVar("Answer")


class Hedge:
    """Whether a client's calls are hedged, and when; may be shared between threads.

    Args:
        several: whether there are several routers, as far as is known.

    Attributes:
        beginning: held by a thread that begins calls, so that nobody's comes between the two of a hedge (rule 3).
    """

    def __init__(self, several: Callable[[], bool]) -> None:
        self.beginning = threading.Lock()
        self._several = several
        self._tokens = Tokens(SHARE, BURST)
        self._latencies = Latencies()
        self._lock = threading.Lock()

    def patience_s(self, timeout_s: float) -> float | None:
        """How long a call of so many seconds is waited for before others are asked; None where none are."""
        if not self._several():
            return None
        with self._lock:
            self._tokens.earn()
            patience_s = PATIENCE.of(self._latencies.p95_ms) / 1e3
        return patience_s if patience_s < timeout_s else None

    def spend(self) -> bool:
        """Whether others may be asked now."""
        with self._lock:
            return self._tokens.spend()

    def was_right(self) -> None:
        """Whoever was asked first never answered: the hedge cost nobody anything who could have done more."""
        with self._lock:
            self._tokens.give_back()

    def answered(self, seconds: float) -> None:
        """A call was answered after so long."""
        with self._lock:
            self._latencies.add(seconds * 1e3)


async def raced(hedge: Hedge, begin: Callable[[float], Awaitable[Answer]], timeout_s: float) -> Answer:
    """The first answer of a call, or of others like it.

    Args:
        hedge: the client's.
        begin: begins a call, with so many seconds for it.
        timeout_s: for all of it.

    Raises:
        grpc.RpcError: as the first call does.
    """
    patience_s = hedge.patience_s(timeout_s)
    if patience_s is None:
        return await begin(timeout_s)
    until = monotonic() + timeout_s
    first: asyncio.Future[Answer] = asyncio.ensure_future(begin(timeout_s))
    since: dict[asyncio.Future[Answer], float] = {first: monotonic()}
    try:
        await asyncio.wait(since, timeout=patience_s)
        left_s = until - monotonic()
        if not first.done() and left_s > 0 and hedge.spend():
            now = monotonic()
            since |= {asyncio.ensure_future(begin(left_s)): now for _ in range(RIVALS)}
        winner = await _winner(set(since)) or first
    except asyncio.CancelledError:
        for one in since:
            one.cancel()
        raise
    for one in since.keys() - {winner}:
        asyncio.get_running_loop().call_later(SPARED_S, _spared, hedge, one, one is first)
        one.add_done_callback(_forget)
    answer = winner.result()
    hedge.answered(monotonic() - since[winner])
    return answer


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


def _forget(one: asyncio.Future[Any]) -> None:
    """It failed too late to be of interest, and is not to be complained of."""
    if not one.cancelled():
        one.exception()


def raced_blocking(hedge: Hedge, begin: Callable[[float], Any], patience_s: float, timeout_s: float) -> Any:
    """The same for threads.

    Args:
        hedge: the client's.
        begin: begins a call, which is both a `grpc.Future` and a `grpc.Call`.
        patience_s: that the hedge has with it.
        timeout_s: for all of it.

    Raises:
        grpc.RpcError: as the first call does.
    """
    woken = threading.Event()
    calls: list[tuple[float, Any]] = []

    def ask(seconds: float, times: int = 1) -> None:
        with hedge.beginning:
            begun = [(monotonic(), begin(seconds)) for _ in range(times)]
        calls.extend(begun)
        for _, call in begun:
            call.add_done_callback(lambda _: woken.set())

    until = monotonic() + timeout_s
    ask(timeout_s)
    if not woken.wait(patience_s) and (left_s := until - monotonic()) > 0 and hedge.spend():
        ask(left_s, RIVALS)
        calls[0][1].add_done_callback(lambda first: _judged(hedge, first))
    while True:
        woken.wait()
        woken.clear()
        over = [(since, call) for since, call in calls if call.done()]
        for since, call in over:
            if call.code() is grpc.StatusCode.OK:
                hedge.answered(monotonic() - since)
                return call.result()
        if len(over) == len(calls):
            raise calls[0][1]


def _judged(hedge: Hedge, first: Any) -> None:
    if first.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        hedge.was_right()
