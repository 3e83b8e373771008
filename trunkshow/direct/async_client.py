"""`trunkshow.direct.DirectClient` for asyncio: the same arguments, values, limits and errors, awaited."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from time import monotonic
from typing import NamedTuple, Never

import grpc
import grpc.aio

from trunkshow import channel as wire
from trunkshow.answers import Slate
from trunkshow.async_client import AsyncClient, open_channel
from trunkshow.calling_off import call_off
from trunkshow.direct.following import AGAIN, GATHER_S, ROUTES_MS, USERS_MAX, changed_lines, line_options
from trunkshow.direct.routes import ROUTES_MAX
from trunkshow.direct.trip import Trip
from trunkshow.direct.ways import SILENCE_S, ShortWay, Ways
from trunkshow.rivals import spare
from trunkshow.v1 import direct_pb2
from trunkshow.v1 import recommendation_pb2 as pb


class _Line(NamedTuple):
    channel: grpc.aio.Channel
    predict: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]


class AsyncDirectClient(AsyncClient):
    """A client for asyncio that asks shards itself; see `trunkshow.direct.DirectClient` for the arguments."""

    def __init__(
        self,
        target: str,
        *,
        deadline_ms: float = wire.DEADLINE_MS,
        credentials: grpc.ChannelCredentials | None = None,
        api_key: str = "",
        token: wire.Token = "",
        shard_credentials: grpc.ChannelCredentials | None = None,
        shard_name: str = "",
        routes_max: int = ROUTES_MAX,
    ) -> None:
        super().__init__(target, deadline_ms=deadline_ms, credentials=credentials, api_key=api_key, token=token)
        self._way = ShortWay(routes_max)
        self._shard_credentials = shard_credentials or credentials
        self._shard_options = line_options(shard_name)
        self._lines: dict[str, _Line] = {}
        self._tasks: set[asyncio.Task[object]] = set()
        self._closed = False
        self._wanted = asyncio.Event()
        self._told = asyncio.Event()

    def __repr__(self) -> str:
        return f"AsyncDirectClient({self.target!r}, deadline_ms={self.deadline_ms:g})"

    @property
    def ways(self) -> Ways:
        """Which ways requests for slates went, since the client was made."""
        return self._way.ways

    @property
    def direct(self) -> bool:
        """Whether shards can be asked now."""
        return self._way.open(monotonic())

    async def close(self) -> None:
        """Close the connections; calls under way are cancelled."""
        self._closed = True
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(line.channel.close() for line in self._lines.values()))
        self._lines.clear()
        await super().close()

    async def connect(self, timeout_s: float = wire.CONNECT_TIMEOUT_S) -> None:
        """Connect to the router, and hear from it which shards can be asked; a router that says so to nobody will do.

        Raises:
            Unavailable: nobody answered within `timeout_s`.
        """
        until = monotonic() + timeout_s
        await super().connect(timeout_s)
        self._begin()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(until - monotonic(), 0.0)):
                await self._told.wait()

    async def _slate(self, message: pb.RecommendRequest, deadline_ms: float, request_id: str) -> Slate:
        began = monotonic()
        self._begin()
        plan = self._way.plan(message, deadline_ms, began)
        if self._way.any_wanted:
            self._wanted.set()
        if plan is None:
            slate = await super()._slate(message, deadline_ms, request_id)
            self._way.went("router")
            return slate
        return await self._raced(Trip(self._way, plan, began, deadline_ms, request_id), message)

    async def _raced(self, trip: Trip, message: pb.RecommendRequest) -> Slate:
        """The first good answer, of the shard or of the router."""
        woken = asyncio.Event()
        router: asyncio.Future[Slate] | None = None
        shard: grpc.aio.UnaryUnaryCall[bytes, bytes] | None = None
        try:
            shard = self._ask_shard(trip)
            if shard is not None:
                shard.add_done_callback(lambda _: woken.set())
            while True:
                if trip.flying or router is not None:
                    await _rung(woken, trip.wait_s(monotonic()))
                over = shard if trip.flying and shard is not None and shard.done() else None
                if over is not None and (slate := await _landed(trip, over)) is not None:
                    if router is not None:
                        spare(router)
                        router = None
                    return slate
                if router is None and trip.asks_router(monotonic()):
                    left_ms = trip.left_ms(monotonic())
                    router = asyncio.ensure_future(super()._slate(message, left_ms, trip.request_id))
                    router.add_done_callback(lambda _: woken.set())
                elif router is not None and router.done() and (not trip.flying or router.exception() is None):
                    return trip.mended(router.result(), monotonic())
        finally:
            trip.called_off(monotonic())
            if shard is not None:
                call_off(shard)
            if router is not None and not router.cancel() and not router.cancelled():
                router.exception()  # it was too late to be of use, and is not to be complained of

    def _ask_shard(self, trip: Trip) -> grpc.aio.UnaryUnaryCall[bytes, bytes] | None:
        """The call, under way; None where it could not be begun."""
        line = self._lines.get(trip.plan.address)
        metadata = (*wire.metadata(trip.request_id), *trip.plan.metadata)
        try:
            if line is not None:
                timeout_s = trip.left_ms(monotonic()) / 1e3
                return line.predict(trip.plan.predict, timeout=timeout_s, metadata=metadata)
        except grpc.aio.UsageError:  # the line was closed meanwhile
            pass
        trip.failed(None, monotonic())
        return None

    def _begin(self) -> None:
        if not (self._tasks or self._closed):
            self._tasks = {asyncio.create_task(self._watch()), asyncio.create_task(self._route())}

    async def _watch(self) -> Never:
        """Hear who holds what, for ever."""
        failures = 0
        while True:
            with suppress(Exception):  # whatever it is, there is the router, and the next try
                async with aclosing(self._reports()) as reports:
                    async for report in reports:
                        failures = 0
                        await self._heard(report)
            self._way.lost()
            self._told.set()
            failures += 1
            await asyncio.sleep(AGAIN.after(failures, random.random()))  # noqa: S311  # no secret hangs on it

    async def _reports(self) -> AsyncGenerator[direct_pb2.WatchPlacementResponse]:
        method = wire.WATCH_PLACEMENT
        watching = self._channel.unary_stream(method.path, method.request.SerializeToString, method.response.FromString)
        call = watching(direct_pb2.WatchPlacementRequest(), metadata=self._identity())
        try:
            while True:
                async with asyncio.timeout(SILENCE_S):
                    report = await call.read()
                if not isinstance(report, method.response):  # the end of the stream
                    return
                yield report
        finally:
            call.cancel()

    async def _heard(self, report: direct_pb2.WatchPlacementResponse) -> None:
        """Who is named has a line from before that is known, connected already, and who is not has none any more."""
        opened, closed = changed_lines(self._lines, report)
        for address in opened:
            channel = open_channel(address, self._shard_credentials, self._shard_options)
            channel.get_state(try_to_connect=True)
            self._lines[address] = _Line(channel, channel.unary_unary(wire.PREDICT))
        self._way.hear(report, monotonic())
        self._told.set()
        for address in closed:
            await self._lines.pop(address).channel.close()

    async def _route(self) -> Never:
        """Ask where wanted users live, for ever."""
        while True:
            await self._wanted.wait()
            await asyncio.sleep(GATHER_S)
            self._wanted.clear()
            while users := self._way.take_wanted(USERS_MAX):
                asked_at = monotonic()
                try:
                    request = direct_pb2.GetRoutesRequest(user_ids=users)
                    answer = await self._call(wire.GET_ROUTES, request, ROUTES_MS, "")
                    self._way.learn(users, answer, asked_at)
                except Exception:  # whatever it is, the router answers for these users meanwhile
                    await asyncio.sleep(AGAIN.first_s)


async def _rung(woken: asyncio.Event, seconds: float | None) -> None:
    """Wait until woken, so long at most."""
    timer = None if seconds is None else asyncio.get_running_loop().call_later(seconds, woken.set)
    await woken.wait()
    woken.clear()
    if timer is not None:
        timer.cancel()


async def _landed(trip: Trip, shard: grpc.aio.UnaryUnaryCall[bytes, bytes]) -> Slate | None:
    """The slate of a call that has ended; None where the router's is to be it."""
    try:
        return trip.answered(await shard, monotonic())
    except grpc.aio.AioRpcError as error:
        trip.failed(error.code(), monotonic())
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # it is we who are told to stop
            raise
        trip.failed(None, monotonic())  # its line was closed
    return None
