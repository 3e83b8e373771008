"""A batch at a router that falls silent: streams say what they are told to, and no router is there.

Each claim is of both forms, that of tasks and that of threads.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from queue import SimpleQueue
from time import monotonic
from typing import Any

import grpc
import pytest

from trunkshow import batch_parts, rival_batches, rival_rules
from trunkshow.rival_batches import answers, answers_blocking
from trunkshow.rival_rules import BATCH_BURST, Hedge
from trunkshow.v1 import recommendation_pb2 as pb

TIMEOUT_S = 60.0
USERS = "abcde"

Script = Callable[[int, "Stream"], None]


class Failed(grpc.RpcError):
    """A call's end."""

    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code


UNAVAILABLE = Failed(grpc.StatusCode.UNAVAILABLE)


class Stream:
    """A call that says what it is told to, for tasks and for threads; users are answered by their own names."""

    def __init__(self, request: pb.RecommendBatchRequest) -> None:
        self.users = "".join(one.user_id for one in request.requests)
        self.cancelled = threading.Event()
        self._said: SimpleQueue[pb.RecommendBatchResponse | Exception | None] = SimpleQueue()

    def say(self, users: str) -> Stream:
        """One message."""
        said = [
            pb.RecommendBatchResponse(
                index=self.users.index(user), response=pb.RecommendResponse(receipt=pb.Receipt(request_id=user))
            )
            for user in users
        ]
        said[0].also.extend(said[1:])
        self._said.put(said[0])
        return self

    def end(self, error: Exception | None = None) -> None:
        self._said.put(error)

    def cancel(self) -> bool:
        self.cancelled.set()
        self._said.put(Failed(grpc.StatusCode.CANCELLED))
        return True

    def _next(self) -> pb.RecommendBatchResponse | None:
        said = self._said.get(timeout=TIMEOUT_S)
        if isinstance(said, Exception):
            raise said
        return said

    def __iter__(self) -> Iterator[pb.RecommendBatchResponse]:
        while (said := self._next()) is not None:
            yield said

    async def __aiter__(self) -> AsyncIterator[pb.RecommendBatchResponse]:
        while (said := await asyncio.to_thread(self._next)) is not None:
            yield said


class Asked:
    """A client's batches, by tasks or by threads, against a script that is given each stream as it is begun."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, blocking: bool) -> None:
        self._monkeypatch = monkeypatch
        self.hedge = Hedge(lambda: 2)
        self.streams: list[Stream] = []
        self._blocking = blocking

    async def batch(
        self, script: Script, silence_s: float = TIMEOUT_S / 4, until: int | None = None, fresh: str = ""
    ) -> list[str]:
        """Everybody who was answered, by index; as many as wanted."""
        self._monkeypatch.setattr(batch_parts, "SILENCE_S", silence_s)

        def begin(request: pb.RecommendBatchRequest, seconds: float) -> Stream:
            assert 0 < seconds <= TIMEOUT_S
            self.streams.append(Stream(request))
            script(len(self.streams) - 1, self.streams[-1])
            return self.streams[-1]

        request = pb.RecommendBatchRequest(
            requests=[pb.RecommendRequest(user_id=user, at_least_as_fresh=fresh) for user in USERS], together=True
        )
        if self._blocking:
            return await asyncio.to_thread(self._wait, begin, request, until)
        answered, said = answers(self.hedge, begin, request, TIMEOUT_S), list[str]()
        async for one in answered:
            said.append(shown(one))
            if len(said) == until:
                await answered.aclose()
        return said

    def _wait(self, begin: Any, request: pb.RecommendBatchRequest, until: int | None) -> list[str]:
        answered, said = answers_blocking(self.hedge, begin, request, TIMEOUT_S), list[str]()
        for one in answered:
            said.append(shown(one))
            if len(said) == until:
                answered.close()
        return said


def shown(answer: pb.RecommendBatchResponse) -> str:
    """Whom it is for, by its index and by what it says; capital letters would be a slate for somebody else."""
    user = answer.response.receipt.request_id
    return user if USERS[answer.index] == user else user.upper()


@pytest.fixture(params=[False, True], ids=["tasks", "threads"])
async def asked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Asked]:
    monkeypatch.setattr(batch_parts, "AGAIN_MAX", 1)
    monkeypatch.setattr(batch_parts, "SPARED_S", 0.05)
    monkeypatch.setattr(rival_batches, "SPARED_S", 0.05)
    asked = Asked(monkeypatch, blocking=request.param)
    yield asked
    for stream in asked.streams:
        stream.cancel()  # nothing is left to wait for


async def cancelled(stream: Stream) -> bool:
    """Whether it is called off, sooner or later."""
    return await asyncio.to_thread(stream.cancelled.wait, TIMEOUT_S)


async def test_a_batch_is_one_call_where_nothing_is_silent(asked: Asked) -> None:
    """And that one ends by itself."""
    assert await asked.batch(lambda _, stream: stream.say("ca").say("bed").end()) == list("cabed")
    assert len(asked.streams) == 1


async def test_two_others_are_asked_for_what_is_missing(asked: Asked) -> None:
    """Each answer has the index that its request has in the batch, though the others were asked for some alone."""

    def script(number: int, stream: Stream) -> None:
        if number == 0:
            stream.say("db")
        elif number == 2:
            stream.say("ec").say("a").end()

    assert await asked.batch(script, 0.25) == list("dbeca")
    assert [stream.users for stream in asked.streams] == ["abcde", "ace", "ace"]


async def test_what_two_routers_answer_comes_once(asked: Asked) -> None:
    """Whoever is first."""

    def script(number: int, stream: Stream) -> None:
        if number == 1:
            stream.say("abc")
        elif number == 2:
            asked.streams[0].say("cd").say("a")
            stream.say("ab").say("e")

    assert sorted(await asked.batch(script, 0.02)) == list(USERS)


async def test_a_silent_stream_is_spared_for_a_while_then_called_off(asked: Asked) -> None:
    """Its router may answer after all; where it does not, it is found out, and the token comes back."""

    def script(number: int, stream: Stream) -> None:
        if number == 2:
            stream.say(USERS).end()

    began = monotonic()
    await asked.batch(script, 0.02)
    assert await cancelled(asked.streams[0])
    assert await cancelled(asked.streams[1])
    assert monotonic() - began >= 0.05
    assert tokens(asked.hedge) == BATCH_BURST


async def test_a_router_that_is_merely_slow_costs_a_token(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has too much to do as it is, and it said something before its while was over."""
    monkeypatch.setattr(rival_batches, "SPARED_S", 0.5)

    def script(number: int, stream: Stream) -> None:
        if number == 2:
            asked.streams[0].say("a")
            stream.say(USERS).end()

    await asked.batch(script, 0.02)
    assert await cancelled(asked.streams[1])
    assert tokens(asked.hedge) == BATCH_BURST - 1


def tokens(hedge: Hedge) -> int:
    """How many there were for batches; there are none any more."""
    taken = 0
    while hedge.batches.spend():
        taken += 1
    return taken


async def test_a_caller_who_goes_away_leaves_nothing_under_way(asked: Asked) -> None:
    """All streams are called off at once."""

    def script(number: int, stream: Stream) -> None:
        if number == 1:
            stream.say("a")

    assert await asked.batch(script, 0.02, until=1) == ["a"]
    assert len(asked.streams) == 3
    assert all(stream.cancelled.is_set() for stream in asked.streams)


async def test_an_error_counts_once_all_streams_are_over(asked: Asked) -> None:
    """And it is that of the first."""

    def script(number: int, stream: Stream) -> None:
        if number == 2:
            asked.streams[0].end(Failed(grpc.StatusCode.DEADLINE_EXCEEDED))
            asked.streams[1].end(UNAVAILABLE)
            stream.say("a").end(UNAVAILABLE)

    with pytest.raises(Failed) as raised:
        await asked.batch(script, 0.02)
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_stream_that_breaks_off_is_asked_again_of_one(asked: Asked) -> None:
    """As gRPC does only until a message has come."""

    def script(number: int, stream: Stream) -> None:
        if number == 0:
            stream.say("ab").end(UNAVAILABLE)
        else:
            stream.say("cde").end()

    assert await asked.batch(script) == list(USERS)
    assert [stream.users for stream in asked.streams] == [USERS, "cde"]


async def test_what_was_refused_is_not_asked_again(asked: Asked) -> None:
    """Any router would refuse it, and gRPC has asked again whom it could not reach."""
    for error in (Failed(grpc.StatusCode.INVALID_ARGUMENT), UNAVAILABLE):
        asked.streams.clear()
        with pytest.raises(Failed) as raised:
            await asked.batch(lambda _, stream, error=error: stream.end(error))  # type: ignore[misc]
        assert raised.value is error
        assert len(asked.streams) == 1


async def test_who_waits_by_their_own_wish_asks_nobody_else(asked: Asked) -> None:
    """The first is waited for, however long it is silent."""

    def script(_: int, stream: Stream) -> None:
        threading.Timer(0.1, lambda: stream.say(USERS).end()).start()

    assert await asked.batch(script, fresh="log/0:7", silence_s=0.02) == list(USERS)
    assert len(asked.streams) == 1


async def test_a_batch_is_over_with_its_last_answer_though_its_router_stops_there(asked: Asked) -> None:
    """A router that stands still just then costs nobody their deadline."""
    assert await asked.batch(lambda _, stream: stream.say(USERS)) == list(USERS)  # type: ignore[arg-type, return-value]
    assert len(asked.streams) == 1


async def test_batches_have_a_budget_of_their_own(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every router takes long, no more is asked twice than there are tokens; pages keep theirs."""
    monkeypatch.setattr(rival_rules, "BATCH_BURST", 0)
    asked.hedge = Hedge(lambda: 2)

    def script(_: int, stream: Stream) -> None:
        threading.Timer(0.1, lambda: stream.say(USERS).end()).start()

    assert await asked.batch(script, 0.02) == list(USERS)
    assert len(asked.streams) == 1
    assert asked.hedge.spend(0)


async def test_where_there_is_one_router_it_is_waited_for(asked: Asked) -> None:
    """Nobody else could answer."""
    asked.hedge = Hedge(lambda: 1)

    def script(_: int, stream: Stream) -> None:
        threading.Timer(0.1, lambda: stream.say(USERS).end()).start()

    assert await asked.batch(script, 0.02) == list(USERS)
    assert len(asked.streams) == 1
