"""From functions over bytes to gRPC methods: limits, request ids, counts and errors, wrapped once at registration.

Handlers see and give bytes, and parse them themselves, so that a router can pass on what it need not touch.
The wrapping happens when the service is registered and not in an interceptor, whose price is paid on every
call. What a status is made of is left to `trunkshow.serving.statuses`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Never

import grpc
import grpc.aio
import structlog

from trunkshow.serving import metrics, statuses
from trunkshow.serving.arriving import arriving
from trunkshow.serving.auth import Guard, Role
from trunkshow.serving.call import Call, CallView, Context
from trunkshow.serving.deadline import monotonic

REQUEST_BYTES_MAX = 1 << 20
"""Of a caller's request; more are refused with a reason."""

OK, CANCELLED = "OK", "CANCELLED"
"""Statuses that no exception of ours stands for."""

Unary = Callable[[bytes, CallView], Awaitable[bytes]]
Stream = Callable[[bytes, CallView], AsyncIterator[bytes]]
Status = tuple[grpc.StatusCode, str, statuses.Metadata]
Upload = Callable[[AsyncIterator[bytes], CallView], Awaitable[bytes]]

log = structlog.get_logger()


@dataclass(frozen=True)
class Service:
    """A gRPC service made of functions over bytes.

    Attributes:
        name: its full name, such as trunkshow.v1.ShardService.
        unary: one request, one response, by method name.
        stream: one request, many responses.
        upload: many requests, one response; each is read when the handler asks for it, so that one that takes its time
            holds its caller back. A drain ends them with UNAVAILABLE: only their callers know how long they are.
        endless: of the streams, those that last until the caller leaves; a drain does not wait for them.
        request_bytes_max: larger requests are refused.
        role: that a caller must have, where the server has a guard.
        roles: other ones, by method name.
    """

    name: str
    unary: Mapping[str, Unary] = field(default_factory=dict)
    stream: Mapping[str, Stream] = field(default_factory=dict)
    upload: Mapping[str, Upload] = field(default_factory=dict)
    endless: frozenset[str] = frozenset()
    request_bytes_max: int = REQUEST_BYTES_MAX
    role: Role = Role.OPERATE
    roles: Mapping[str, Role] = field(default_factory=dict)


class InFlight:
    """How many calls are being answered, and when the endless ones among them must end.

    Attributes:
        count: but for endless streams.
        over: set when endless streams must end.
        leaving: set when nothing more is read of uploads.
    """

    def __init__(self) -> None:
        self.count = 0
        self.over = asyncio.Event()
        self.leaving = asyncio.Event()
        self._emptied: asyncio.Event | None = None

    def enter(self) -> None:
        """One more."""
        self.count += 1

    def leave(self) -> None:
        """One less."""
        self.count -= 1
        if self.count == 0 and self._emptied is not None:
            self._emptied.set()
            self._emptied = None

    async def idle(self) -> None:
        """Wait until there are none."""
        if self.count:
            self._emptied = self._emptied or asyncio.Event()
            await self._emptied.wait()


def generic_handler(service: Service, in_flight: InFlight, guard: Guard | None = None) -> grpc.GenericRpcHandler:
    """The service as gRPC takes it: no (de)serialisers, every method wrapped."""
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
    for name, unary in service.unary.items():
        handlers[name] = grpc.unary_unary_rpc_method_handler(_unary(unary, _gate(service, name, guard), in_flight))
    for name, stream in service.stream.items():
        endless = name in service.endless
        bounded = _until(stream, in_flight.over) if endless else _counted(stream, in_flight)
        wrapped = _stream(bounded, _gate(service, name, guard), endless=endless)
        handlers[name] = grpc.unary_stream_rpc_method_handler(wrapped)
    for name, upload in service.upload.items():
        handlers[name] = grpc.stream_unary_rpc_method_handler(_upload(upload, _gate(service, name, guard), in_flight))
    return grpc.method_handlers_generic_handler(service.name, handlers)


@dataclass(frozen=True)
class _Gate:
    """What stands before a method.

    Attributes:
        method: its name, with the service's.
        limit: bytes of a request.
        admit: refuses callers; None where everybody may.
        role: that it asks for.
    """

    method: str
    limit: int
    admit: Callable[[Call, Role], None] | None
    role: Role

    def check(self, request: bytes, call: Call) -> None:
        """Return where the call may go on."""
        self.check_caller(call)
        self.check_size(request)

    def check_caller(self, call: Call) -> None:
        """Return where this caller may call."""
        if self.admit is not None:
            self.admit(call, self.role)

    def check_size(self, request: bytes) -> None:
        """Return where the request is not too large."""
        if len(request) > self.limit:
            raise statuses.too_large(len(request), self.limit)


def _gate(service: Service, name: str, guard: Guard | None) -> _Gate:
    admit = None if guard is None else guard.admit
    role = service.roles.get(name, service.role)
    return _Gate(f"{service.name}/{name}", service.request_bytes_max, admit, role)


def _unary(handler: Unary, gate: _Gate, in_flight: InFlight) -> Callable[[bytes, Context], Any]:
    def answer(request: bytes, call: Call) -> Awaitable[bytes]:
        gate.check(request, call)
        return handler(request, call)

    return _answered(answer, gate, in_flight)


def _upload(handler: Upload, gate: _Gate, in_flight: InFlight) -> Callable[[AsyncIterator[bytes], Context], Any]:
    async def answer(requests: AsyncIterator[bytes], call: Call) -> bytes:
        gate.check_caller(call)
        async with aclosing(arriving(requests, gate.check_size, in_flight.leaving)) as checked:
            return await handler(checked, call)

    return _answered(answer, gate, in_flight)


def _answered(
    answer: Callable[[Any, Call], Awaitable[bytes]], gate: _Gate, in_flight: InFlight
) -> Callable[[Any, Context], Any]:
    """A method with one response, counted, and what it raises turned into a status."""
    meter = metrics.meter(gate.method)

    async def answered(asked: Any, context: Context) -> bytes:
        call = Call(context)
        in_flight.enter()
        code = CANCELLED
        try:
            response = await answer(asked, call)
            code = OK
            return response
        except Exception as error:  # whatever it was, the process lives
            status = _status(call, gate.method, error)
            code = status[0].name
        finally:
            in_flight.leave()
            meter.ended(code)
            meter.took(monotonic() - call.arrived)
        # Here, and without the request: gRPC's own exception keeps frames, and what is handled meanwhile, and itself.
        del asked
        return await _refuse(context, status)

    return answered


def _stream(handler: Stream, gate: _Gate, *, endless: bool = False) -> Callable[[bytes, Context], Any]:
    meter = metrics.meter(gate.method)

    async def answer(request: bytes, context: Context) -> AsyncIterator[bytes]:
        call = Call(context)
        code = CANCELLED
        status: Status | None = None
        try:
            gate.check(request, call)
            async for response in handler(request, call):
                yield response
            code = OK
        except Exception as error:  # as above
            status = _status(call, gate.method, error)
            code = status[0].name
        finally:
            meter.ended(code)
            if not endless:
                meter.took(monotonic() - call.arrived)
        if status is not None:
            del request  # as above
            await _refuse(context, status)

    return answer


def _counted(handler: Stream, in_flight: InFlight) -> Stream:
    async def answer(request: bytes, call: CallView) -> AsyncIterator[bytes]:
        in_flight.enter()
        try:
            async for response in handler(request, call):
                yield response
        finally:
            in_flight.leave()

    return answer


def _until(handler: Stream, over: asyncio.Event) -> Stream:
    """The stream, ended when it is over: who watches hears of the drain to its end, and does not delay it."""

    async def answer(request: bytes, call: CallView) -> AsyncIterator[bytes]:
        responses = handler(request, call)
        ending = asyncio.ensure_future(over.wait())
        response: asyncio.Future[Any] = ending
        try:
            while True:
                response = asyncio.ensure_future(anext(responses, None))
                await asyncio.wait({response, ending}, return_when=asyncio.FIRST_COMPLETED)
                if not response.done() or (answered := response.result()) is None:
                    return
                yield answered
        finally:
            response.cancel()
            ending.cancel()

    return answer


def _status(call: Call, method: str, error: Exception) -> Status:
    """What the caller is told, and not the exception: kept in a frame that it went through, it would hold itself.

    With it all that the call had would stay, its request included, until the garbage collector comes by.
    """
    outcome = statuses.as_outcome(error)
    if outcome is None:
        log.error("request.failed", method=method, request_id=call.request_id, exc_info=error)
        outcome = statuses.internal(call.request_id)
    return outcome.code, outcome.message, statuses.trailing_metadata(outcome)


async def _refuse(context: Context, status: Status) -> Never:
    await context.abort(*status)
