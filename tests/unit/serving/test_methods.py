"""What a caller sees of a handler, whatever the handler did."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator

import echo_service as echo
import grpc
import grpc.aio
import pytest
import structlog
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from trunkshow.errors import DOMAIN, FIELD_KEY, REASON_KEY, NotFound, from_rpc_error
from trunkshow.serving import methods, telemetry
from trunkshow.serving.methods import REQUEST_BYTES_MAX, InFlight
from trunkshow.serving.server import Server


@pytest.fixture
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the echo service."""
    server = Server([echo.SERVICE])
    port = await server.start("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened
    await server.stop(0)


async def call(channel: grpc.aio.Channel, method: str, request: bytes = b"", **options: object) -> bytes:
    """One unary call over bytes."""
    answer = await channel.unary_unary(f"/{echo.NAME}/{method}")(request, **options)
    assert isinstance(answer, bytes)
    return answer


async def refused(channel: grpc.aio.Channel, method: str, request: bytes = b"") -> grpc.aio.AioRpcError:
    """The error of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(channel, method, request)
    return caught.value


async def test_bytes_go_in_and_come_out_as_they_are(channel: grpc.aio.Channel) -> None:
    """No serialiser touches what a handler sees or gives."""
    assert await call(channel, "Echo", b"\x00\xff\x00") == b"\x00\xff\x00"


async def test_bytes_that_are_no_message_are_refused_with_a_reason(channel: grpc.aio.Channel) -> None:
    """Malformed bytes are the caller's error."""
    error = await refused(channel, "Parse", b"\xff\xff\xff")
    outcome = from_rpc_error(error)
    assert (error.code(), outcome.field, outcome.reason) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "request",
        "MALFORMED_REQUEST",
    )


async def test_an_outcome_becomes_its_status(channel: grpc.aio.Channel) -> None:
    """The status on the exception's class and its message arrive."""
    error = await refused(channel, "Miss")
    assert (error.code(), error.details()) == (
        grpc.StatusCode.NOT_FOUND,
        "there is no item 'hat'; ask for another",
    )


async def test_an_outcome_names_reason_and_field_in_plain_metadata(channel: grpc.aio.Channel) -> None:
    """A caller without any library for status details can read why."""
    trailing = dict((await refused(channel, "Miss")).trailing_metadata())
    assert (trailing[REASON_KEY], trailing[FIELD_KEY]) == ("ITEM_UNKNOWN", "item_id")


async def test_an_outcome_carries_error_info(channel: grpc.aio.Channel) -> None:
    """A caller with the standard library reads google.rpc.ErrorInfo."""
    status = rpc_status.from_call(await refused(channel, "Miss"))
    info = error_details_pb2.ErrorInfo()
    assert status is not None
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain, dict(info.metadata)) == ("ITEM_UNKNOWN", DOMAIN, {"field": "item_id"})


async def test_an_outcome_is_rebuilt_by_the_client(channel: grpc.aio.Channel) -> None:
    """What the server raised is what the client gets."""
    assert isinstance(from_rpc_error(await refused(channel, "Miss")), NotFound)


async def test_a_bug_is_internal_and_the_process_lives(channel: grpc.aio.Channel) -> None:
    """An exception costs one call."""
    error = await refused(channel, "Break")
    assert error.code() == grpc.StatusCode.INTERNAL
    assert await call(channel, "Echo", b"still here") == b"still here"


async def test_a_bug_is_logged_with_its_traceback(channel: grpc.aio.Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log has what the caller does not get."""
    written = io.StringIO()
    telemetry.configure("info", stream=written)
    # The module's own may have spoken before, to another stream.
    monkeypatch.setattr(methods, "log", structlog.get_logger())
    try:
        await refused(channel, "Break")
    finally:
        telemetry.configure("error")
        structlog.reset_defaults()  # or whichever logger speaks first after this stays deaf to `capture_logs`
    line = json.loads(written.getvalue())
    assert (line["event"], line["exception"][0]["exc_type"]) == ("request.failed", "ZeroDivisionError")


async def test_a_request_beyond_our_limit_is_refused_with_a_reason(channel: grpc.aio.Channel) -> None:
    """Below gRPC's hard limit there is ours, which explains itself."""
    outcome = from_rpc_error(await refused(channel, "Echo", bytes(REQUEST_BYTES_MAX + 1)))
    assert (outcome.field, outcome.reason) == ("request", "REQUEST_TOO_LARGE")


async def test_a_stream_can_fail_half_way(channel: grpc.aio.Channel) -> None:
    """What was sent before the failure arrives, and then the status."""
    stream = channel.unary_stream(f"/{echo.NAME}/Count")(b"5")
    got = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for one in stream:
            got.append(one)  # noqa: PERF401 - a comprehension would lose what came before the failure
    assert (got, caught.value.code()) == ([b"0", b"1", b"2"], grpc.StatusCode.NOT_FOUND)


async def test_the_callers_request_id_is_used(channel: grpc.aio.Channel) -> None:
    """A printable id of the caller's goes through."""
    assert await call(channel, "Identify", metadata=(("x-request-id", "order-17"),)) == b"order-17"


@pytest.mark.parametrize("theirs", ["", "x" * 129])
async def test_an_unusable_request_id_is_replaced(channel: grpc.aio.Channel, theirs: str) -> None:
    """An id without bounds would go into every log line."""
    assert await call(channel, "Identify", metadata=(("x-request-id", theirs),)) != theirs.encode()


async def test_generated_request_ids_differ(channel: grpc.aio.Channel) -> None:
    """Two calls never share a generated id."""
    assert await call(channel, "Identify") != await call(channel, "Identify")


async def test_an_unknown_method_is_unimplemented(channel: grpc.aio.Channel) -> None:
    """What was not registered is gRPC's to refuse."""
    assert (await refused(channel, "Nothing")).code() == grpc.StatusCode.UNIMPLEMENTED


async def test_idle_is_waited_for_until_the_last_call_has_left() -> None:
    """Everybody who waits hears of it, also where a call comes at the same moment; and it can be waited for again."""
    in_flight = InFlight()
    await in_flight.idle()
    for _ in range(2):
        in_flight.enter()
        in_flight.enter()
        waiting = [asyncio.ensure_future(in_flight.idle()) for _ in range(2)]
        in_flight.leave()
        await asyncio.sleep(0)
        assert not any(one.done() for one in waiting)
        in_flight.leave()
        in_flight.enter()
        await asyncio.gather(*waiting)
        in_flight.leave()
