"""The shards that the contract is held against: the fake one of the router tests, and the real one. Not a test."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import datasets
import grpc
import grpc.aio
import pytest
from fake_failures import hurried, losing, out_of_time
from fake_shard import FakeShard, Script, failing, knowing, status

from shard.config import ShardConfig
from shard.effort import SHARES
from shard.generation import Generation
from shard.keeper import Keeper
from shard.placement import share
from shard.scene import Limits
from shard.service import ShardService
from trunkshow.errors import TrunkshowError, from_rpc_error
from trunkshow.models.protocol import Arrays, Candidates, Query, Shelf, Training
from trunkshow.serving.server import Server
from trunkshow.snapshot.folder_store import FolderStore
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.states import State
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

HELD, NEXT, ELSEWHERE = (0, 1), 2, 3
"""Partitions that a shard under test holds warm, loads next, and never holds."""

OWN = "shard-under-test"
OTHER = next(
    name for name in map("another-{}".format, range(1000)) if share(OWN, (OWN, name), ELSEWHERE + 1, 1) == (*HELD, NEXT)
)
"""A member beside which the shard under test holds just these."""

USERS = tuple(datasets.user_id(number) for number in range(400))
WANTED = ("popular", "for-you")
BATCH_MAX = 64
HOURS_S = 36_000.0
"""A period in which no test ends: what is reported is reported for another reason."""

TIME_MS = 10_000.0
"""That a prediction is given."""

LEAST = SHARES[pb.EFFORT_MINIMAL]
"""Of what full effort costs."""

BROKEN, CULPRIT = "broken", "breaks"
"""A carousel that cannot be made, and the model that should make it."""


class Breaks:
    """A plugged-in model with a bug."""

    name: ClassVar[str] = CULPRIT
    carousel: ClassVar[str] = BROKEN
    title: ClassVar[str] = "Nobody sees this"
    inline: ClassVar[bool] = True

    @classmethod
    def fit(cls, training: Training) -> Arrays:
        """Nothing."""
        del training
        return {}

    @classmethod
    def open(cls, arrays: Arrays) -> Self:
        """It has nothing to open."""
        del arrays
        return cls()

    def recommend(self, query: Query, shelf: Shelf, count: int) -> Candidates:
        """A bug."""
        raise ZeroDivisionError


@dataclass(frozen=True)
class Subject:
    """A shard under test, as a router sees it, and what can happen to it.

    Attributes:
        version: of the snapshot that it serves.
        user: who lives in the first partition that it holds.
        vector: of the length that its model has.
        channel: to it.
        load_next: brings the partition NEXT up, and after it the copies of who lives ELSEWHERE.
        drain: what SIGTERM does.
        neighbour: who lives ELSEWHERE.
        slow: lets predictions have taken so many milliseconds of late.
    """

    version: str
    user: str
    vector: bytes
    channel: grpc.aio.Channel
    load_next: Callable[[], Awaitable[object]]
    drain: Callable[[], None]
    neighbour: str
    slow: Callable[[float], None]

    def asking(self, user: str = "", **changed: Any) -> shard_pb2.PredictRequest:
        """A prediction to ask for: the user's, from the partition where they live."""
        wrapped = pb.RecommendRequest(user_id=user or self.user).SerializeToString()
        usual = {"request": wrapped, "snapshot_version": self.version, "partitions": HELD[:1], "carousels": WANTED}
        return shard_pb2.PredictRequest(**usual | changed)

    async def predict(self, asked: shard_pb2.PredictRequest | bytes) -> shard_pb2.PredictResponse:
        """Predict."""
        data = asked if isinstance(asked, bytes) else asked.SerializeToString()
        call = self.channel.unary_unary("/trunkshow.v1.ShardService/Predict")
        return shard_pb2.PredictResponse.FromString(await call(data, timeout=TIME_MS / 1000))

    async def slate(self, asked: shard_pb2.PredictRequest) -> pb.RecommendResponse:
        """The slate of a prediction."""
        return pb.RecommendResponse.FromString((await self.predict(asked)).slate)

    async def batch(
        self, asked: list[shard_pb2.PredictRequest] | bytes, *, together: bool = False
    ) -> list[shard_pb2.PredictBatchResponse]:
        """PredictBatch, to its end."""
        if not isinstance(asked, bytes):
            asked = shard_pb2.PredictBatchRequest(requests=asked, together=together).SerializeToString()
        call = self.channel.unary_stream("/trunkshow.v1.ShardService/PredictBatch")
        return [shard_pb2.PredictBatchResponse.FromString(answer) async for answer in call(asked, timeout=60)]

    async def features(self, asked: shard_pb2.ReadFeaturesRequest) -> shard_pb2.ReadFeaturesResponse:
        """ReadFeatures."""
        call = self.channel.unary_unary("/trunkshow.v1.ShardService/ReadFeatures")
        return shard_pb2.ReadFeaturesResponse.FromString(await call(asked.SerializeToString(), timeout=60))

    async def observe(self, seen: shard_pb2.ObserveRequest | bytes) -> shard_pb2.ObserveResponse:
        """Observe."""
        data = seen if isinstance(seen, bytes) else seen.SerializeToString()
        call = self.channel.unary_unary("/trunkshow.v1.ShardService/Observe")
        return shard_pb2.ObserveResponse.FromString(await call(data, timeout=60))

    async def watch(self) -> AsyncIterator[shard_pb2.ShardStatus]:
        """Watch; the test reads as much as it wants."""
        call = self.channel.unary_stream("/trunkshow.v1.ShardService/Watch")
        async for data in call(b"", timeout=60):
            yield shard_pb2.WatchResponse.FromString(data).status


Starting = Callable[[float], Any]


@asynccontextmanager
async def fake(snapshot: Snapshot, period_s: float) -> AsyncIterator[Subject]:
    """The fake, scripted to answer as a shard that is well."""
    del snapshot
    well = losing(BROKEN, CULPRIT, pb.REASON_MODEL_FAILED, knowing(USERS))
    shard = FakeShard(well, warm=HELD, status_period_s=period_s)
    coming = iter([status("v1", (*HELD, NEXT)), status("v1", (*HELD, NEXT), stand_ins=(ELSEWHERE,))])

    async def load_next() -> None:
        shard.report(next(coming))

    def slow(ms: float) -> None:
        script: Script = failing(out_of_time()) if LEAST * ms > TIME_MS else hurried(well)
        shard.script = well if ms < TIME_MS else script

    async with grpc.aio.insecure_channel(await shard.start()) as channel:
        yield Subject(
            version="v1",
            user=USERS[0],
            vector=b"\0" * 16,
            channel=channel,
            load_next=load_next,
            drain=shard.drain,
            neighbour=USERS[1],
            slow=slow,
        )
    await shard.stop()


@asynccontextmanager
async def real(snapshot: Snapshot, period_s: float) -> AsyncIterator[Subject]:
    """The real one, over the built snapshot."""
    service = ShardService(ShardConfig(store="", status_period_s=period_s), OWN)
    keeper = Keeper(
        FolderStore(Path("never read")),
        OWN,
        replicas=1,
        limits=Limits(0, 60.0),
        warm_requests=1,
        changed=service.changed,
    )
    service.serve(keeper)
    # Opened here and not by the keeper: the snapshot is every test's, and LMDB opens a file once per process.
    with_bug = copy.copy(snapshot)
    with_bug.models = {**snapshot.models, CULPRIT: Breaks()}
    generation = keeper.generations[snapshot.version] = Generation(with_bug, 1)

    def slow(ms: float) -> None:
        for _ in range(200):
            generation.predictor._costs.learn(pb.EFFORT_FULL, 1, ms)

    keeper.joined((OWN, OTHER))
    keeper.pointed(Pointer(1, {snapshot.version: State.CURRENT}))
    keeper.tend()
    for _ in HELD:
        await keeper.lanes.bring_next()
    server = Server([service.service()])
    port = await server.start("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Subject(
            version=snapshot.version,
            user=generation.warm[HELD[0]].sample_users(1)[0],
            vector=b"\0" * 4 * snapshot.ials.factors,
            channel=channel,
            load_next=keeper.lanes.bring_next,
            drain=service.drain,
            neighbour=next(user for user in USERS if lives(snapshot, user) == ELSEWHERE),
            slow=slow,
        )
    await server.stop(0)
    for piece in generation.pieces:
        generation.drop(piece)


def lives(snapshot: Snapshot, user: str) -> int:
    """The partition that is a user's home."""
    found = snapshot.directory.find(user)
    assert found is not None
    return found.partition


async def refusal(call: Awaitable[object]) -> TrunkshowError:
    """What a call is refused with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)
