"""A whole router with an event log, and one without."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import grpc
import grpc.aio
import pytest
from memory_log import MemoryLog
from router_caller import Start

from router.recording.recorder import Outcome, Recorder
from router.recording.service import EventService
from trunkshow.errors import PermissionDenied, Unavailable, from_rpc_error
from trunkshow.eventlog.log import LogUnavailable, Read
from trunkshow.eventlog.validation import Policy
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.forgotten_file import FILE_NAME
from trunkshow.serving.auth import CallerGuard, Principal, Role
from trunkshow.serving.deadline import Deadline
from trunkshow.serving.server import Server
from trunkshow.v1 import events_pb2 as pb
from trunkshow.v1 import log_pb2
from trunkshow.v1 import recommendation_pb2 as pb2

LOG = "nats://127.0.0.1:1/EVENTS"
CLICK = pb.Event(event_id="e1", user_id="ann", item_id="hat", interaction=pb.INTERACTION_CLICK)


class SilentLog(MemoryLog):
    """One that says nothing to whoever asks."""

    async def end(self, within_s: float) -> Watermark:
        """It does not answer."""
        raise LogUnavailable("it was told to be gone")

    async def follow(self, after: Watermark | None) -> AsyncGenerator[Read, None]:
        """Nothing comes."""
        await asyncio.Event().wait()
        yield Read(log_pb2.Record(), Watermark("gone"), 0)


async def test_a_router_records_and_its_status_says_how_far(start: Start) -> None:
    """Slates have nothing to do with it: its shard is not there."""
    log = MemoryLog()
    caller = await start(event_log=log, watch_silence_s=0.05)
    answer = await caller.record(CLICK)
    status = (await caller.status()).event_log
    assert (answer.recorded, [one.event_id for one in log.events]) == (1, ["e1"])
    assert (status.url, status.reachable, status.position) == (log.url, True, answer.watermark)


async def test_a_log_that_is_gone_costs_no_slate(start: Start) -> None:
    """Recording says so, and so does the status."""
    log = MemoryLog()
    log.gone = True
    caller = await start(event_log=log, watch_silence_s=0.05)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await caller.record(CLICK)
    assert (await caller.recommend()).carousels
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert not (await caller.status()).event_log.reachable


async def test_a_router_without_a_log_has_none_to_tell_of(start: Start) -> None:
    """And says which option is missing."""
    caller = await start(watch_silence_s=0.05)
    with pytest.raises(grpc.aio.AioRpcError, match="--log"):
        await caller.record(CLICK)
    assert not (await caller.status()).HasField("event_log")


class Roles:
    """Knows callers by what they may."""

    version = 0

    def principal(self, credential: str, now: float) -> Principal | None:
        del now
        return Principal(credential, frozenset({Role(credential)}))


async def test_a_forgotten_user_is_a_stranger_to_the_router_at_once(start: Start) -> None:
    """Not even the popular list of their segment is theirs; and the status says how many tombstones were read."""
    caller = await start(event_log=MemoryLog(), tombstones=MemoryLog("gone"), watch_silence_s=0.05)
    before = (await caller.recommend()).receipt
    receipt = await caller.forget("u0")
    after = (await caller.recommend()).receipt
    assert (before.rung, pb2.REASON_USER_UNKNOWN in before.reasons) == (pb2.RUNG_SEGMENT, False)
    assert (after.rung, pb2.REASON_USER_UNKNOWN in after.reasons) == (pb2.RUNG_POPULAR, True)
    assert (await caller.status()).event_log.forgotten == receipt.watermark == "gone/0:1"


async def test_a_forgotten_user_is_a_stranger_to_a_router_that_starts_beside_a_log_that_is_gone(
    start: Start, tmp_path: Path
) -> None:
    """What was heard of them lies beside the copies that it serves from."""
    caller = await start(event_log=MemoryLog(), tombstones=MemoryLog("gone"), watch_silence_s=0.05, cache=tmp_path)
    await caller.forget("u0")
    for _ in range(60_000):
        if (tmp_path / FILE_NAME).exists():
            break
        await asyncio.sleep(0.001)
    log, tombstones = MemoryLog(), SilentLog("gone")
    log.gone = tombstones.gone = True
    again = await start(event_log=log, tombstones=tombstones, watch_silence_s=0.05, cache=tmp_path)
    receipt = (await again.recommend()).receipt
    assert (receipt.rung, pb2.REASON_USER_UNKNOWN in receipt.reasons) == (pb2.RUNG_POPULAR, True)


async def test_where_the_forgotten_come_first_a_router_begins_once_they_are_known(start: Start) -> None:
    """However long their log does not answer; otherwise it does not wait for it."""
    tombstones = MemoryLog("gone")
    tombstones.gone = True
    await start(event_log=MemoryLog(), tombstones=tombstones, watch_silence_s=0.05)
    starting = asyncio.ensure_future(
        start(event_log=MemoryLog(), tombstones=tombstones, watch_silence_s=0.05, forgotten_first=True, log=LOG)
    )
    done, _ = await asyncio.wait({starting}, timeout=0.5)
    assert not done
    tombstones.gone = False
    await tombstones.forget(log_pb2.Forget(id="t", user_id="u0"), 1)
    receipt = (await (await asyncio.wait_for(starting, 60)).recommend()).receipt
    assert (receipt.rung, pb2.REASON_USER_UNKNOWN in receipt.reasons) == (pb2.RUNG_POPULAR, True)


async def test_only_a_stranger_who_did_nothing_is_not_told_that_something_had_not_arrived(start: Start) -> None:
    """Of whom the router heard something up to there, or whom it knows, and no shard answered for, it says so."""
    caller = await start(event_log=MemoryLog(), watch_silence_s=0.05)
    mark = (await caller.record(CLICK)).watermark
    stranger = (await caller.recommend("eve", at_least_as_fresh=mark)).receipt.reasons
    clicked = (await caller.recommend("ann", at_least_as_fresh=mark)).receipt.reasons
    known = (await caller.recommend("u0", at_least_as_fresh=mark)).receipt.reasons
    beyond = (await caller.recommend("eve", at_least_as_fresh="memory/0:99")).receipt.reasons
    assert pb2.REASON_USER_UNKNOWN in stranger
    assert [pb2.REASON_NOT_AS_FRESH in one for one in (stranger, clicked, known, beyond)] == [False, True, True, True]


@pytest.mark.parametrize(("role", "may"), [("record", False), ("read", False), ("operate", True)])
@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("ForgetUser", pb.ForgetUserRequest(user_id="ann")),
        ("RecordItems", pb.RecordItemsRequest(items=[pb.NewItem(id="hat")])),
    ],
)
async def test_who_forgets_or_tells_of_items_needs_the_role_of_an_operator(
    method: str, request_: pb.ForgetUserRequest | pb.RecordItemsRequest, role: str, may: bool
) -> None:
    """A page that records must not be able to."""
    service = EventService(Recorder(MemoryLog(), Policy(age_s_max=86_400)), 2_000).service()
    server = Server([service], guard=CallerGuard([Roles()]))
    port = await server.start("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            asked = channel.unary_unary(f"/trunkshow.v1.EventService/{method}")
            await asked(request_.SerializeToString(), metadata=(("x-api-key", role),))
    await server.stop(0)
    assert isinstance(from_rpc_error(caught.value), Unavailable if may else PermissionDenied)


@pytest.mark.parametrize(("role", "may"), [("record", True), ("read", False), ("operate", False)])
@pytest.mark.parametrize("method", ["RecordEvents", "StreamEvents"])
async def test_who_records_needs_the_role(method: str, role: str, may: bool) -> None:
    """Reading slates does not come with it."""
    service = EventService(Recorder(MemoryLog(), Policy(age_s_max=86_400)), 2_000).service()
    server = Server([service], guard=CallerGuard([Roles()]))
    port = await server.start("127.0.0.1:0")
    data = pb.RecordEventsRequest(events=[CLICK]).SerializeToString()
    shown = (("x-api-key", role),)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        path = f"/trunkshow.v1.EventService/{method}"
        asking = (
            channel.unary_unary(path)(data, metadata=shown)
            if method == "RecordEvents"
            else channel.stream_unary(path)(iter([data]), metadata=shown)
        )
        try:
            await asking
            admitted = True
        except grpc.aio.AioRpcError as error:
            admitted = not isinstance(from_rpc_error(error), PermissionDenied)
    await server.stop(0)
    assert admitted is may


class Events:
    """What a call held, which can be missed."""


@pytest.mark.parametrize("seconds", [0.3, 30], ids=["told not to ask again", "may ask again"])
async def test_a_call_that_failed_holds_its_events_no_longer(seconds: float) -> None:
    """A log that hangs would cost a router as much as all callers send until the garbage collector comes by."""
    held: list[weakref.ref[Events]] = []

    class Failing(Recorder):
        """Has something in its frame when it fails."""

        async def record(self, events: Sequence[pb.Event], deadline: Deadline) -> Outcome:
            """Nothing is recorded."""
            mine = Events()
            held.append(weakref.ref(mine))
            raise Unavailable("the log does not answer", reason="LOG_UNAVAILABLE")

    server = Server([EventService(Failing(MemoryLog(), Policy(86_400.0)), 2000).service()])
    port = await server.start("127.0.0.1:0")
    gc.disable()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            record = channel.unary_unary("/trunkshow.v1.EventService/RecordEvents")
            with pytest.raises(grpc.aio.AioRpcError):
                await record(pb.RecordEventsRequest(events=[CLICK]).SerializeToString(), timeout=seconds)
            async with asyncio.timeout(60):
                while held[0]() is not None:  # noqa: ASYNC110 - gRPC lets go of the call a moment after its answer
                    await asyncio.sleep(0.001)
    finally:
        gc.enable()
        await server.stop(0)
