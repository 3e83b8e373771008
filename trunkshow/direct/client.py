"""The blocking client that asks shards itself.

Two threads of its own follow the router: one hears who holds what, one asks where users live. They begin with the first
request, and end with `close`.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic
from typing import Any, NamedTuple

import grpc

from trunkshow import channel as wire
from trunkshow.answers import Slate
from trunkshow.client import Client
from trunkshow.direct.following import AGAIN, GATHER_S, ROUTES_MS, USERS_MAX, changed_lines, line_options
from trunkshow.direct.routes import ROUTES_MAX
from trunkshow.direct.trip import Trip
from trunkshow.direct.ways import SILENCE_S, ShortWay, Ways
from trunkshow.errors import from_rpc_error
from trunkshow.v1 import direct_pb2
from trunkshow.v1 import recommendation_pb2 as pb

JOIN_S = 2.0


class _Line(NamedTuple):
    channel: grpc.Channel
    predict: grpc.UnaryUnaryMultiCallable[bytes, bytes]


class DirectClient(Client):
    """A blocking client that asks shards itself, and the router wherever that is not the plain case.

    Args:
        target: the router, as for `Client`.
        deadline_ms: as for `Client`.
        credentials: as for `Client`.
        api_key: as for `Client`; shards never see it.
        token: as for `Client`; shards never see it.
        shard_credentials: for TLS to shards; `credentials` where None.
        shard_name: that shards' certificates hold, where they are asked by addresses that no certificate can.
        routes_max: users whose homes are kept, about 250 bytes each.
    """

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
        self._beginning = threading.Lock()
        self._shard_credentials = shard_credentials or credentials
        self._shard_options = line_options(shard_name)
        self._lines: dict[str, _Line] = {}
        self._threads: tuple[threading.Thread, ...] = ()
        self._watching: Any = None
        self._wanted = threading.Event()
        self._told = threading.Event()
        self._closed = threading.Event()

    def __repr__(self) -> str:
        return f"DirectClient({self.target!r}, deadline_ms={self.deadline_ms:g})"

    @property
    def ways(self) -> Ways:
        """Which ways requests for slates went, since the client was made."""
        return self._way.ways

    @property
    def direct(self) -> bool:
        """Whether shards can be asked now."""
        return self._way.open(monotonic())

    def close(self) -> None:
        """Close the connections; calls under way are cancelled."""
        self._closed.set()
        self._wanted.set()
        self._hang_up()
        for thread in self._threads:
            thread.join(JOIN_S)
        while self._lines:
            self._lines.popitem()[1].channel.close()
        super().close()

    def connect(self, timeout_s: float = wire.CONNECT_TIMEOUT_S) -> None:
        """Connect to the router, and hear from it which shards can be asked; a router that says so to nobody will do.

        Raises:
            Unavailable: nobody answered within `timeout_s`.
        """
        until = monotonic() + timeout_s
        super().connect(timeout_s)
        self._begin()
        self._told.wait(max(until - monotonic(), 0.0))

    def _slate(self, message: pb.RecommendRequest, deadline_ms: float, request_id: str) -> Slate:
        began = monotonic()
        self._begin()
        plan = self._way.plan(message, deadline_ms, began)
        if self._way.any_wanted:
            self._wanted.set()
        if plan is None:
            slate = super()._slate(message, deadline_ms, request_id)
            self._way.went("router")
            return slate
        return self._raced(Trip(self._way, plan, began, deadline_ms, request_id), message)

    def _raced(self, trip: Trip, message: pb.RecommendRequest) -> Slate:
        """The first good answer, of the shard or of the router."""
        woken = threading.Event()
        router: Any = None
        shard: Any = None
        try:
            shard = self._ask_shard(trip)
            if shard is not None:
                shard.add_done_callback(lambda _: woken.set())
            while True:
                if trip.flying or router is not None:
                    woken.wait(trip.wait_s(monotonic()))
                    woken.clear()
                landed = trip.flying and shard is not None and shard.done()
                if landed and (slate := self._landed(trip, shard)) is not None:
                    router = None  # left to its own deadline (rule 5 of `trunkshow.rival_rules`); its callback holds it
                    return slate
                if router is None and trip.asks_router(monotonic()):
                    router = self._ask_router(trip, message)
                    router.add_done_callback(lambda _: woken.set())
                elif router is not None and router.done() and (not trip.flying or router.exception() is None):
                    return trip.mended(_result(router), monotonic())
        finally:
            trip.called_off(monotonic())
            for call in (shard, router):
                if call is not None:
                    call.cancel()

    def _ask_shard(self, trip: Trip) -> Any:
        """The call, under way; None where it could not be begun."""
        line = self._lines.get(trip.plan.address)
        metadata = (*wire.metadata(trip.request_id), *trip.plan.metadata)
        with suppress(ValueError):  # the line was closed meanwhile
            if line is not None:
                timeout_s = trip.left_ms(monotonic()) / 1e3
                return line.predict.future(trip.plan.predict, timeout=timeout_s, metadata=metadata)
        trip.failed(None, monotonic())
        return None

    def _ask_router(self, trip: Trip, message: pb.RecommendRequest) -> Any:
        method = wire.RECOMMEND
        call = self._channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)
        metadata = (*wire.metadata(trip.request_id), *self._identity())
        return call.future(message, timeout=trip.left_ms(monotonic()) / 1e3, metadata=metadata)

    def _landed(self, trip: Trip, shard: Any) -> Slate | None:
        """The slate of a call that has ended; None where the router's is to be it."""
        try:
            data = shard.result()
        except grpc.RpcError as error:
            code = error.code() if isinstance(error, grpc.Call) else None
            trip.failed(code, monotonic())
        except grpc.FutureCancelledError:  # its line was closed
            trip.failed(None, monotonic())
        else:
            return trip.answered(data, monotonic())
        return None

    def _begin(self) -> None:
        if self._threads:
            return
        with self._beginning:
            if not self._threads and not self._closed.is_set():
                work = {"placement": self._watch, "routes": self._route}
                threads = [threading.Thread(target=run, name=name, daemon=True) for name, run in work.items()]
                self._threads = tuple(threads)
                for thread in threads:
                    thread.start()

    def _watch(self) -> None:
        """Hear who holds what, until closed."""
        failures = 0
        while not self._closed.is_set():
            with suppress(Exception):  # whatever it is, there is the router, and the next try
                for report in self._reports():
                    failures = 0
                    self._heard(report)
            self._way.lost()
            self._told.set()
            failures += 1
            self._closed.wait(AGAIN.after(failures, random.random()))  # noqa: S311  # no secret hangs on it

    def _reports(self) -> Iterable[direct_pb2.WatchPlacementResponse]:
        method = wire.WATCH_PLACEMENT
        watch = self._channel.unary_stream(method.path, method.request.SerializeToString, method.response.FromString)
        self._watching = watch(direct_pb2.WatchPlacementRequest(), metadata=self._identity())
        return self._watching  # type: ignore[no-any-return]

    def _hang_up(self) -> None:
        if self._watching is not None:
            self._watching.cancel()

    def _heard(self, report: direct_pb2.WatchPlacementResponse) -> None:
        """Who is named has a line from before that is known, and who is not has none any more."""
        opened, closed = changed_lines(self._lines, report)
        for address in opened:
            channel = wire.open_channel(address, self._shard_credentials, self._shard_options)
            self._lines[address] = _Line(channel, channel.unary_unary(wire.PREDICT))
        self._way.hear(report, monotonic())
        for address in closed:
            self._lines.pop(address).channel.close()
        self._told.set()

    def _route(self) -> None:
        """Ask where wanted users live, until closed; hang up on a router that has gone silent."""
        while not self._closed.is_set():
            wanted = self._wanted.wait(SILENCE_S)
            if self._way.silent(monotonic()):
                self._hang_up()
            if wanted:
                self._closed.wait(GATHER_S)
                self._wanted.clear()
                self._ask_routes()

    def _ask_routes(self) -> None:
        while not self._closed.is_set():
            users = self._way.take_wanted(USERS_MAX)
            if not users:
                return
            asked_at = monotonic()
            try:
                answer = self._call(wire.GET_ROUTES, direct_pb2.GetRoutesRequest(user_ids=users), ROUTES_MS, "")
            except Exception:  # whatever it is, the router answers for these users meanwhile
                self._closed.wait(AGAIN.first_s)
            else:
                self._way.learn(users, answer, asked_at)


def _result(router: Any) -> Slate:
    """The router's slate; what it raised otherwise."""
    try:
        return Slate.from_message(router.result())
    except grpc.RpcError as error:
        raise from_rpc_error(error) from error
