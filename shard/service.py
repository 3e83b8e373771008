"""ShardService over bytes: parse, answer, serialise.

What an answer is made of is left to `shard.predict`, what can be asked for to `shard.keeper`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from functools import partial

import structlog

from shard import batch
from shard.config import ShardConfig
from shard.heard import word_of
from shard.keeper import Keeper
from shard.kept import SENT, STALE, Kept, KeptSlates
from shard.online.features import FeatureReader
from trunkshow.errors import DeadlineExceeded, InvalidArgument, Overloaded, SnapshotMismatch
from trunkshow.online.trends import NO_TRENDS, Trends
from trunkshow.serving.auth import Role
from trunkshow.serving.call import CallView
from trunkshow.serving.deadline import Deadline, monotonic
from trunkshow.serving.limits import MESSAGE_BYTES_MAX
from trunkshow.serving.methods import Service
from trunkshow.serving.process import resident_bytes
from trunkshow.serving.telemetry import Throttle
from trunkshow.v1 import shard_pb2

NAME = "trunkshow.v1.ShardService"

PREDICT_MS_MAX = 3_600_000.0
"""What a prediction is given where its caller set no deadline, which routers always do."""

REMEMBER_EVERY = 16
"""Of so many predictions one is kept, for warming up what is opened next."""


log = structlog.get_logger()


class ShardService:
    """What a shard answers.

    Attributes:
        answered: predictions, since the start.
        kept: slates that may be sent again.
        forgotten: watermark of the tombstones that were read; empty where none are.
        trends: what trends now.
        features: tells feature windows; None where no event log is followed.

    Args:
        config: of this shard.
        name: this shard's address in the membership.
    """

    def __init__(self, config: ShardConfig, name: str) -> None:
        self._config = config
        self._name = name
        self._keeper: Keeper | None = None
        self._draining = False
        self._requests = itertools.count()
        self.answered = 0
        self.kept = KeptSlates(config.kept_slates_mib << 20)
        self.forgotten: Callable[[], str] = lambda: ""
        self.trends: Callable[[], Trends] = lambda: NO_TRENDS
        self.features: FeatureReader | None = None
        self._cancelled = 0
        self._refused_work = 0
        self._changed = asyncio.Event()
        self._throttle = Throttle()

    def service(self) -> Service:
        """The methods, for registration."""
        return Service(
            NAME,
            unary={"Predict": self.predict, "Observe": self.observe, "ReadFeatures": self.read_features},
            stream={"PredictBatch": self.predict_batch, "Watch": self.watch},
            endless=frozenset({"Watch"}),
            role=Role.ROUTER,
            roles={"Predict": Role.PREDICT},
            request_bytes_max=MESSAGE_BYTES_MAX,
        )

    def serve(self, keeper: Keeper) -> None:
        """Answer from what the keeper holds."""
        self._keeper = keeper
        self.changed()

    def drain(self) -> None:
        """Tell every watcher that this shard takes nothing new."""
        self._draining = True
        self.changed()

    def changed(self) -> None:
        """Wake every watch stream."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def predict(self, request: bytes, call: CallView) -> bytes:
        """Predict. What is kept is sent again before anything is parsed."""
        kept = self.kept.find(request)
        if kept is not None and (answer := self._again(request, kept)) is not None:
            return answer.SerializeToString()
        asked = shard_pb2.PredictRequest.FromString(request)
        answer = await self._predicted(asked, call.deadline(PREDICT_MS_MAX), partial(self.kept.keep, request))
        return answer.SerializeToString()

    async def predict_batch(self, request: bytes, call: CallView) -> AsyncIterator[bytes]:
        """PredictBatch. A request that Predict would refuse, or fail at, is answered with every carousel missing.

        Nothing is kept: a batch asks for everybody once, and would drive out what shoppers ask for again.
        """
        deadline = call.deadline(PREDICT_MS_MAX)
        asked = shard_pb2.PredictBatchRequest.FromString(request)
        if not 0 < len(asked.requests) <= self._config.batch_users_max:
            message = f"requests: {len(asked.requests)} of them; 1 to {self._config.batch_users_max} are allowed"
            raise InvalidArgument(message, field="requests", reason="BATCH_SIZE")

        def failed(error: Exception) -> None:
            self._throttle.log(log.error, "predict.failed", request_id=call.request_id, exc_info=error)

        async with aclosing(batch.answers(asked, partial(self._one_of_batch, deadline), failed)) as answers:
            async for answer in answers:
                yield answer

    async def watch(self, request: bytes, call: CallView) -> AsyncIterator[bytes]:
        """Watch."""
        del call
        shard_pb2.WatchRequest.FromString(request)
        keeper = self._keeper
        self._watched(keeper, 1)
        try:
            while True:
                changed = self._changed
                yield shard_pb2.WatchResponse(status=self.status()).SerializeToString()
                # asyncio.wait, unlike wait_for, makes no exception of a period that passed quietly.
                waiting = asyncio.ensure_future(changed.wait())
                await asyncio.wait({waiting}, timeout=self._config.status_period_s)
                waiting.cancel()
        finally:
            self._watched(keeper, -1)

    async def observe(self, request: bytes, call: CallView) -> bytes:
        """Observe."""
        word = word_of(shard_pb2.ObserveRequest.FromString(request), monotonic())
        if self._keeper is not None:
            self._keeper.hear(call.peer, word)
        return shard_pb2.ObserveResponse().SerializeToString()

    async def read_features(self, request: bytes, call: CallView) -> bytes:
        """ReadFeatures.

        Raises:
            InvalidArgument: too many are asked for.
            SnapshotMismatch: there is no log, or its past was not heard yet.
        """
        del call
        asked = shard_pb2.ReadFeaturesRequest.FromString(request)
        if self.features is None:
            raise SnapshotMismatch("this shard follows no event log; it is started with --log", reason="NO_EVENT_LOG")
        return (await self.features.read(asked)).SerializeToString()

    def status(self) -> shard_pb2.ShardStatus:
        """What this shard says of itself."""
        keeper = self._keeper
        state = shard_pb2.SHARD_STATE_LOADING if keeper is None else keeper.state()
        trends = self.trends()
        return shard_pb2.ShardStatus(
            name=self._name,
            state=shard_pb2.SHARD_STATE_DRAINING if self._draining else state,
            generations=keeper.status() if keeper is not None else [],
            requests=self.answered,
            rss_bytes=resident_bytes(),
            cancelled=self._cancelled,
            refused_work=self._refused_work,
            forgotten=self.forgotten(),
            trends=trends.to_message() if trends is not NO_TRENDS else None,
            why_not_ready=keeper.why_not_ready if keeper is not None else "",
            batch_users_max=self._config.batch_users_max,
        )

    def _again(self, request: bytes, kept: Kept) -> shard_pb2.PredictResponse | None:
        """A slate that was kept; None where it may not be sent again, and is not kept any more."""
        generation = self._keeper.generations.get(kept.version) if self._keeper is not None else None
        answer = generation.predictor.again(kept) if generation is not None else None
        if answer is None:
            self.kept.drop(request)
            STALE.inc()
            return None
        SENT.inc()
        self.answered += 1
        if next(self._requests) % REMEMBER_EVERY == 0 and self._keeper is not None:
            self._keeper.recent.append(shard_pb2.PredictRequest.FromString(request))
        return answer

    async def _one_of_batch(self, deadline: Deadline, asked: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        """What is kept of it, which is as old afterwards as before, or what Predict would make."""
        if len(self.kept):
            request = asked.SerializeToString()
            kept = self.kept.look(request)
            if kept is not None and (answer := self._again(request, kept)) is not None:
                return answer
        return await self._predicted(asked, deadline)

    async def _predicted(
        self, asked: shard_pb2.PredictRequest, deadline: Deadline, keep: Callable[[Kept], None] | None = None
    ) -> shard_pb2.PredictResponse:
        generation = self._keeper.generations.get(asked.snapshot_version) if self._keeper is not None else None
        if self._keeper is None or generation is None:
            raise SnapshotMismatch(f"snapshot {asked.snapshot_version!r} is not held here")
        try:
            if deadline.remaining_ms(monotonic()) <= 0:
                raise DeadlineExceeded("the time was over before the work began")
            with generation.uses.reading():
                answer = await generation.predictor.predict(asked, deadline, keep)
        except asyncio.CancelledError:
            self._cancelled += 1
            raise
        except (DeadlineExceeded, Overloaded):
            self._refused_work += 1
            raise
        self.answered += 1
        if next(self._requests) % REMEMBER_EVERY == 0:
            self._keeper.recent.append(asked)
        return answer

    def _watched(self, keeper: Keeper | None, more: int) -> None:
        if keeper is not None:
            keeper.watchers += more
            keeper.poke()
