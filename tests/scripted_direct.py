"""A router's DirectService, and a shard, that answer from a script: for clients that ask shards. Not a test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from scripted_router import Seen

from trunkshow.errors import TrunkshowError
from trunkshow.v1 import direct_pb2, shard_pb2
from trunkshow.v1 import recommendation_pb2 as pb

VERSION = "v1"
HANGS_S_MAX = 20.0

Script = Callable[[shard_pb2.PredictRequest], shard_pb2.PredictResponse]


@dataclass
class Told:
    """What a router tells such clients, and what it was asked.

    Attributes:
        placement: that is watched; `report` puts another one in its place.
        homes: of users; whoever is not in it is only the router's.
        routes: asked for, oldest first.
    """

    placement: direct_pb2.Placement
    homes: dict[str, int] = field(default_factory=dict)
    life_ms: int = 60_000
    grant: str = "granted"
    routes: list[list[str]] = field(default_factory=list)
    watches: int = 0
    _changed: threading.Event = field(default_factory=threading.Event)
    _over: threading.Event = field(default_factory=threading.Event)

    def report(self, placement: direct_pb2.Placement) -> None:
        """Tell whoever watches."""
        self.placement = placement
        self._changed.set()

    def end(self) -> None:
        """End every watch."""
        self._over.set()
        self._changed.set()

    def _get_routes(self, data: bytes, context: grpc.ServicerContext) -> bytes:
        del context
        users = list(direct_pb2.GetRoutesRequest.FromString(data).user_ids)
        self.routes.append(users)
        return direct_pb2.GetRoutesResponse(
            snapshot_version=self.placement.snapshot_version,
            partitions=[self.homes.get(user, -1) + 1 for user in users],
            life_ms=self.life_ms,
            grant=self.grant,
            forgotten=self.placement.forgotten,
        ).SerializeToString()

    def _watch(self, data: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        del data
        self.watches += 1
        said = None
        while context.is_active() and not self._over.is_set():
            now = self.placement
            news, said = (now if now is not said else None), now
            yield direct_pb2.WatchPlacementResponse(placement=news).SerializeToString()
            self._changed.wait(0.2)
            self._changed.clear()

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """As gRPC takes them."""
        methods: dict[str, Any] = {
            "GetRoutes": grpc.unary_unary_rpc_method_handler(self._get_routes),
            "WatchPlacement": grpc.unary_stream_rpc_method_handler(self._watch),
        }
        return [grpc.method_handlers_generic_handler("trunkshow.v1.DirectService", methods)]


@dataclass
class ScriptedShard:
    """A shard that does as it is told.

    Attributes:
        target: its address.
        script: makes answers; an exception instead is raised; None hangs, until the caller gives up.
        seen: every call, oldest first.
    """

    target: str = ""
    script: Script | TrunkshowError | None = field(default_factory=lambda: whole)
    seen: list[Seen] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def _predict(self, data: bytes, context: grpc.ServicerContext) -> bytes:
        asked = shard_pb2.PredictRequest.FromString(data)
        metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        self.seen.append(Seen(asked, metadata, context.time_remaining() or 0.0, context.is_active))
        script = self.script
        if script is None:
            given_up = threading.Event()
            context.add_callback(given_up.set)
            given_up.wait(HANGS_S_MAX)
            return b""
        if isinstance(script, TrunkshowError):
            context.abort(script.code, script.message)
            raise AssertionError
        return script(asked).SerializeToString()


def whole(asked: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
    """Every carousel, complete."""
    return made_of(asked.carousels, version=asked.snapshot_version)


def made_of(
    carousels: Any,
    *,
    version: str = VERSION,
    rung: pb.Rung = pb.RUNG_SNAPSHOT,
    missing: tuple[tuple[str, pb.Reason], ...] = (),
) -> shard_pb2.PredictResponse:
    """An answer with these carousels."""
    slate = pb.RecommendResponse(
        carousels=[
            pb.Carousel(id=one, title=one, rung=rung, items=[pb.Item(item_id=f"shard-{one}")]) for one in carousels
        ],
        receipt=pb.Receipt(
            rung=rung, snapshot_version=version, effort=pb.EFFORT_FULL, stages=[pb.Stage(name="predict", ms=1)]
        ),
    )
    lost = [shard_pb2.Missing(carousel=one, reason=reason) for one, reason in missing]
    return shard_pb2.PredictResponse(slate=slate.SerializeToString(), missing=lost, rung=rung)


def placement(*targets: str, version: str = VERSION, **changed: Any) -> direct_pb2.Placement:
    """These shards hold partitions 0 to 3 each."""
    holders = [direct_pb2.Holder(address=one, partitions=range(4)) for one in targets]
    usual: dict[str, Any] = {"carousels": ["for-you", "popular"], "deadline_ms": 20_000}
    return direct_pb2.Placement(snapshot_version=version, holders=holders, **(usual | changed))


@contextmanager
def scripted_shard() -> Iterator[ScriptedShard]:
    """A shard that listens until the block is left."""
    shard = ScriptedShard()
    server = grpc.server(ThreadPoolExecutor(8), options=(("grpc.so_reuseport", 0),))
    predict = grpc.unary_unary_rpc_method_handler(shard._predict)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("trunkshow.v1.ShardService", {"Predict": predict}),)
    )
    shard.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield shard
    finally:
        server.stop(None).wait()
