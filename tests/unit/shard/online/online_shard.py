"""A shard's upkeep and predictor over a built snapshot: the log, the clocks and what it holds are the test's."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import datasets
from followed_log import FollowedLog
from memory_log import MemoryLog

from shard.online.upkeep import Upkeep
from shard.predict import Predictor
from shard.scene import Kind, Piece
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.forgotten_file import ForgottenFile
from trunkshow.serving.deadline import Deadline
from trunkshow.snapshot.partition import Partition
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import events_pb2, log_pb2, shard_pb2
from trunkshow.v1 import recommendation_pb2 as pb

NEW = "somebody-new"
WANTED = ("for-you",)
ids = itertools.count()


def event(user: str, item: str, kind: int, after_s: float = 60.0, event_id: str = "") -> events_pb2.Event:
    """One that happened so long after the data of the snapshot ends."""
    made = events_pb2.Event(event_id=event_id or f"e{next(ids)}", user_id=user, item_id=item, interaction=kind)
    made.timestamp.FromMilliseconds(round((event.data_until_s + after_s) * 1000))  # type: ignore[attr-defined]
    return made


def click(user: str, item: str) -> events_pb2.Event:
    """A click."""
    return event(user, item, events_pb2.INTERACTION_CLICK)


class Shard:
    """One that holds what it is told to; its log, and its time, are the test's."""

    def __init__(
        self,
        snapshot: Snapshot,
        log: FollowedLog,
        partitions: dict[int, Partition],
        cache: Path | None = None,
        *,
        forgotten_first: bool = False,
    ) -> None:
        self.snapshot, self.log, self.partitions = snapshot, log, partitions
        self.now = 1000.0
        self.since_data_s = 120.0
        self.tombstones = MemoryLog("gone")
        self.upkeep = Upkeep(
            log,
            self.tombstones,
            file=ForgottenFile(cache) if cache is not None else None,
            events_max=1000,
            impressions_max=1000,
            within_s=30.0,
            forgotten_first=forgotten_first,
            clock=lambda: self.now,
            wall=lambda: event.data_until_s + self.since_data_s,  # type: ignore[attr-defined]
        )
        self.upkeep.prepare(snapshot)
        self.residents = self.upkeep.admit(snapshot)
        self.predictor = Predictor(snapshot, partitions, {}, self.residents, clock=lambda: self.now)

    async def hold(self, *numbers: int) -> None:
        """Hold these partitions, each opened as the keeper would."""
        pieces = [Piece(self.snapshot.version, Kind.HOME, number) for number in numbers]
        self.upkeep.want(pieces)
        for piece in pieces:
            await asyncio.wait_for(self.upkeep.whole(piece), 60)

    async def hears(self, *events: events_pb2.Event) -> Watermark:
        """These are recorded, and heard of."""
        mark = await self.log.append(events, 1)
        await turns(lambda: self.upkeep.follower.progress.covers(mark))
        return mark

    async def forgets(self, user: str, after_s: float) -> None:
        """Somebody asks to be forgotten, so long after the data of the snapshot ends."""
        forget = log_pb2.Forget(id="t", user_id=user, events_until=str(await self.log.end(1)))
        forget.timestamp.FromMilliseconds(round((event.data_until_s + after_s) * 1000))  # type: ignore[attr-defined]
        assert await self.upkeep.forgotten.reached(await self.tombstones.forget(forget, 1), 5)

    async def unknown(self, user: str, **asked: object) -> bool:
        """Whether a user is a stranger here."""
        request = pb.RecommendRequest(user_id=user).SerializeToString()
        where = {"partitions": [self.home(user)], "carousels": WANTED, **asked}
        predict = shard_pb2.PredictRequest(request=request, snapshot_version=self.snapshot.version, **where)  # type: ignore[arg-type]
        missing = (await self.predictor.predict(predict, Deadline.after(150, self.now))).missing
        return [one.reason for one in missing] == [pb.REASON_USER_UNKNOWN]

    async def slate(self, user: str, wanted: tuple[str, ...] = WANTED, **request: object) -> pb.RecommendResponse:
        """A user's slate."""
        asked = shard_pb2.PredictRequest(
            request=pb.RecommendRequest(user_id=user, **request).SerializeToString(),  # type: ignore[arg-type]
            snapshot_version=self.snapshot.version,
            partitions=[self.home(user)],
            carousels=wanted,
        )
        answer = await self.predictor.predict(asked, Deadline.after(150, self.now))
        slate = pb.RecommendResponse.FromString(answer.slate)
        assert answer.rung == slate.receipt.rung
        return slate

    def home(self, user: str) -> int:
        """Where a user lives."""
        found = self.snapshot.directory.find(user)
        return found.partition if found is not None else self.residents.homes.partition_of(user) or 0

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Shard]:
        """It runs."""
        running = asyncio.create_task(self.upkeep.run())
        try:
            yield self
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


async def turns(until: Callable[[], bool]) -> None:
    """Give others turns until something is so."""
    for _ in range(60_000):
        if until():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came to that")


USER = datasets.user_id(17)


def unlike(shard: Shard, user: str) -> list[str]:
    """Items that are nothing like what a user gets, of one kind."""
    record = shard.partitions[shard.home(user)].user(user)
    assert record is not None
    vectors = shard.snapshot.ials.vectors
    farthest = int((vectors @ record.vector).argmin())
    return [shard.snapshot.catalogue.id(int(row)) for row in (vectors @ vectors[farthest]).argsort()[::-1][:12]]


def nearness(shard: Shard, slate: pb.RecommendResponse, liked: list[str]) -> float:
    """How near what a slate shows is to some items, in the mean."""
    vectors, row = shard.snapshot.ials.vectors, shard.snapshot.catalogue.row
    return float((vectors[[row(item) for item in items(slate)]] @ vectors[[row(item) for item in liked]].T).mean())


def items(slate: pb.RecommendResponse) -> list[str]:
    """Shown."""
    return [item.item_id for carousel in slate.carousels for item in carousel.items]
