"""A shard that answers from a script: a real server on a real port, whose answers a test chooses.

It obeys the contract that `protos/trunkshow/v1/shard.proto` states, as `test_shard_contract.py` claims of it and of
the real one: what a shard refuses never comes to the script. It keeps what it was asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress

from google.protobuf.message import DecodeError

from shard import limits
from trunkshow.bundles import Bundle, numbered
from trunkshow.errors import InvalidArgument, SnapshotMismatch, TrunkshowError
from trunkshow.serving import statuses
from trunkshow.serving.call import CallView
from trunkshow.serving.deadline import Deadline
from trunkshow.serving.limits import MESSAGE_BYTES_MAX
from trunkshow.serving.methods import Service
from trunkshow.serving.server import Server
from trunkshow.v1 import features_pb2, shard_pb2
from trunkshow.v1 import recommendation_pb2 as pb

Features = Callable[[shard_pb2.ReadFeaturesRequest], Awaitable[shard_pb2.ReadFeaturesResponse]]
Script = Callable[[shard_pb2.PredictRequest], Awaitable[shard_pb2.PredictResponse]]

BATCH_USERS_MAX = 64
FEATURE_KEYS_MAX = 100
DEADLINE_MS_MAX = 3_600_000


class FakeShard:
    """A scripted shard.

    Args:
        script: answers one prediction; may raise a TrunkshowError or wait for ever. In a batch, what it raises breaks
            the stream, as a bug of a shard does; a refusal (InvalidArgument, SnapshotMismatch) does not.
        version: of the snapshot whose partitions it reports as warm.
        warm: these.
        status_period_s: between signs of life on a watch stream.
        batch_users_max: predictions that it takes in one call; more are refused.

    Attributes:
        features: tells features; None where no event log is followed.
    """

    def __init__(
        self,
        script: Script,
        *,
        version: str = "v1",
        warm: Iterable[int] = range(4),
        status_period_s: float = 1.0,
        batch_users_max: int = BATCH_USERS_MAX,
    ) -> None:
        self.script = script
        self.features: Features | None = None
        self.features_asked: list[shard_pb2.ReadFeaturesRequest] = []
        self.asked: list[shard_pb2.PredictRequest] = []
        self.observed: list[shard_pb2.ObserveRequest] = []
        self.request_ids: list[str] = []
        self.batches: list[int] = []
        self.batch_deadlines: list[Deadline] = []
        self.watches = 0
        self.cancelled = 0
        self.status = status(version, warm)
        self.status.batch_users_max = batch_users_max
        self.silent = False
        self._status_period_s = status_period_s
        self._batch_users_max = batch_users_max
        self._changed = asyncio.Event()
        self._server: Server | None = None
        self._hang_up = asyncio.Event()

    async def start(self, listen: str = "127.0.0.1:0") -> str:
        """Listen; return the address."""
        self._server = Server([self._service()])
        self._hang_up = asyncio.Event()
        return f"127.0.0.1:{await self._server.start(listen)}"

    async def stop(self) -> None:
        """Drop every connection, as a killed process does."""
        if self._server is not None:
            await self._server.stop(0)
            self._server = None

    def report(self, new: shard_pb2.ShardStatus) -> None:
        """Tell every watcher."""
        self.status = new
        self._wake()

    def drain(self) -> None:
        """Tell every watcher that this shard takes nothing new."""
        new = shard_pb2.ShardStatus()
        new.CopyFrom(self.status)
        new.state = shard_pb2.SHARD_STATE_DRAINING
        self.report(new)

    def hang_up(self) -> None:
        """End every watch stream, as a shard that leaves does."""
        self._hang_up.set()
        self._wake()
        self._hang_up = asyncio.Event()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _service(self) -> Service:
        return Service(
            "trunkshow.v1.ShardService",
            unary={"Predict": self._predict, "Observe": self._observe, "ReadFeatures": self._read_features},
            stream={"PredictBatch": self._predict_batch, "Watch": self._watch},
            endless=frozenset({"Watch"}),
            request_bytes_max=MESSAGE_BYTES_MAX,
        )

    async def _predict(self, data: bytes, call: CallView) -> bytes:
        self.request_ids.append(call.request_id)
        try:
            answer = await self._answer(shard_pb2.PredictRequest.FromString(data))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return answer.SerializeToString()

    async def _read_features(self, data: bytes, call: CallView) -> bytes:
        del call
        asked = shard_pb2.ReadFeaturesRequest.FromString(data)
        self.features_asked.append(asked)
        if self.features is None:
            raise SnapshotMismatch("no event log is followed", reason="NO_EVENT_LOG")
        for field, ids in (("user_ids", asked.user_ids), ("item_ids", asked.item_ids)):
            if len(ids) > FEATURE_KEYS_MAX:
                raise InvalidArgument(f"{field}: {len(ids)} given", field=field)
        return (await self.features(asked)).SerializeToString()

    async def _predict_batch(self, data: bytes, call: CallView) -> AsyncIterator[bytes]:
        asked = shard_pb2.PredictBatchRequest.FromString(data)
        requests = asked.requests
        if not 0 < len(requests) <= self._batch_users_max:
            raise InvalidArgument(f"requests: {len(requests)} of them", field="requests", reason="BATCH_SIZE")
        self.batches.append(len(requests))
        self.batch_deadlines.append(call.deadline(DEADLINE_MS_MAX))
        bundle = Bundle(together=asked.together)
        for index, request in enumerate(requests):
            answering = asyncio.ensure_future(self._one_of_batch(request))
            await asyncio.wait({answering}, timeout=0)
            if len(bundle) and (bundle.is_full or not answering.done() or answering.exception()):
                yield bundle.message()
                bundle = Bundle(together=asked.together)
            bundle.add(numbered(index, (await answering).SerializeToString()))
        yield bundle.message()

    async def _one_of_batch(self, request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        try:
            return await self._answer(request)
        except (InvalidArgument, SnapshotMismatch):
            missing = [shard_pb2.Missing(carousel=one, reason=pb.REASON_SHARD_FAILED) for one in request.carousels]
            return shard_pb2.PredictResponse(missing=missing)

    async def _answer(self, request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        self.asked.append(request)
        standing_in = request.rung == pb.RUNG_STAND_IN
        held = {
            one.snapshot_version: set(one.stand_ins if standing_in else one.warm) for one in self.status.generations
        }
        if not set(request.partitions) <= held.get(request.snapshot_version, set()):
            raise SnapshotMismatch(f"{request.snapshot_version} {request.partitions}: not warm here")
        if not request.partitions:
            raise InvalidArgument("partitions: none", field="partitions")
        try:
            wrapped = pb.RecommendRequest.FromString(request.request)
        except DecodeError:
            raise statuses.malformed() from None
        limits.check(request, wrapped)
        return await self.script(request)

    async def _observe(self, data: bytes, call: CallView) -> bytes:
        del call
        seen = shard_pb2.ObserveRequest.FromString(data)
        if any(len(held.partitions) != len(held.others) for held in seen.held):
            raise InvalidArgument("held: arrays of different lengths", field="held")
        self.observed.append(seen)
        return shard_pb2.ObserveResponse().SerializeToString()

    async def _watch(self, data: bytes, call: CallView) -> AsyncIterator[bytes]:
        shard_pb2.WatchRequest.FromString(data)
        del call
        self.watches += 1
        hang_up = self._hang_up
        while not hang_up.is_set():
            changed = self._changed
            if not self.silent:
                yield shard_pb2.WatchResponse(status=self.status).SerializeToString()
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), self._status_period_s)


def status(
    version: str,
    warm: Iterable[int],
    state: shard_pb2.ShardState = shard_pb2.SHARD_STATE_READY,
    *,
    stand_ins: Iterable[int] = (),
) -> shard_pb2.ShardStatus:
    """What a shard with these partitions, and compact copies of these ones' users, says of itself."""
    generation = shard_pb2.GenerationStatus(snapshot_version=version, warm=sorted(warm), stand_ins=sorted(stand_ins))
    return shard_pb2.ShardStatus(name="fake", state=state, generations=[generation], requests=7, rss_bytes=11)


def carousel(
    carousel_id: str, items: Sequence[str], *, title: str = "", score: float = 1.0, rung: pb.Rung = pb.RUNG_SNAPSHOT
) -> pb.Carousel:
    """A carousel of these items, scores falling by a tenth."""
    shown = [pb.Item(item_id=item, score=score - place / 10) for place, item in enumerate(items)]
    return pb.Carousel(id=carousel_id, title=title or carousel_id, source="fake", rung=rung, items=shown)


def answer(
    made: Sequence[pb.Carousel], missing: Iterable[tuple[str, pb.Reason]] = (), version: str = "v1"
) -> shard_pb2.PredictResponse:
    """A shard's answer."""
    receipt = pb.Receipt(
        rung=made[0].rung if made else pb.RUNG_UNSPECIFIED,
        snapshot_version=version,
        stages=[pb.Stage(name="predict", ms=1.0)],
        effort=pb.EFFORT_FULL,
    )
    return shard_pb2.PredictResponse(
        slate=pb.RecommendResponse(carousels=made, receipt=receipt).SerializeToString(),
        rung=receipt.rung,
        missing=[shard_pb2.Missing(carousel=one, reason=reason) for one, reason in missing],
    )


def always(response: shard_pb2.PredictResponse) -> Script:
    """The same answer to everybody."""

    async def script(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        del request
        return response

    return script


def everything(prefix: str = "i", version: str = "v1") -> Script:
    """Two items for each carousel wanted, no item twice."""

    async def script(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        return answer(
            [
                carousel(
                    wanted,
                    [f"{prefix}{2 * place}", f"{prefix}{2 * place + 1}"],
                    rung=request.rung or pb.RUNG_SNAPSHOT,
                )
                for place, wanted in enumerate(request.carousels)
            ],
            version=version,
        )

    return script


def failing(error: TrunkshowError | None = None) -> Script:
    """An error for everybody."""

    async def script(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        del request
        raise error or TrunkshowError("scripted to fail")

    return script


async def late(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
    """No answer, ever: the caller's deadline ends it."""
    del request
    await asyncio.Event().wait()
    raise AssertionError


def knowing(users: Collection[str], version: str = "v1") -> Script:
    """Everything for these users and for whoever is folded in; every carousel missing for all others."""
    known = everything(version=version)

    async def script(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        if request.vector or pb.RecommendRequest.FromString(request.request).user_id in users:
            return await known(request)
        return answer((), [(wanted, pb.REASON_USER_UNKNOWN) for wanted in request.carousels], version)

    return script


async def counting(asked: shard_pb2.ReadFeaturesRequest) -> shard_pb2.ReadFeaturesResponse:
    """Features of everybody, in the order asked for."""
    return shard_pb2.ReadFeaturesResponse(
        users=[features_pb2.Features(id=one, known=True) for one in asked.user_ids],
        items=[features_pb2.Features(id=one, known=True) for one in asked.item_ids],
    )


def knowing_nobody() -> Script:
    """Every carousel missing, because the user is not known."""
    return knowing(())
