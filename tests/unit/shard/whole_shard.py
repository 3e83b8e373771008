"""A shard that holds all of a snapshot, asked in this process; the fixture `shard` gives one. Not a test."""

from __future__ import annotations

import asyncio
from typing import Any

import datasets
import numpy as np
from datasets import Built

from shard.predict import Predictor
from trunkshow import carousels
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

HOME = carousels.resolve((), "home", impersonal=False)
USER = datasets.user_id(17)


class Shard:
    """A snapshot with all its partitions at hand."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.partitions = {number: snapshot.open_partition(number) for number in range(snapshot.partitions)}
        self.stand_ins = {number: snapshot.open_stand_ins(number) for number in range(snapshot.partitions)}
        self.predictor = Predictor(snapshot, self.partitions, self.stand_ins)

    def home(self, user: str) -> int:
        """The partition that a user lives in."""
        found = self.snapshot.directory.find(user)
        assert found is not None
        return found.partition

    def answer(self, asked: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        """Predict."""
        return asyncio.run(self.predictor.predict(asked))

    def slate(
        self, user: str = USER, wanted: tuple[str, ...] = HOME, vector: np.ndarray | None = None, **request: Any
    ) -> dict[str, pb.Carousel]:
        """A user's carousels by id; of one who is folded in where there is a vector."""
        return {carousel.id: carousel for carousel in self.full(user, wanted, vector, **request)[0].carousels}

    def full(
        self, user: str = USER, wanted: tuple[str, ...] = HOME, vector: np.ndarray | None = None, **request: Any
    ) -> tuple[pb.RecommendResponse, dict[str, int]]:
        """A user's slate, and why carousels are missing from it."""
        partitions = [self.home(user)] if vector is None else sorted(self.partitions)
        answer = self.answer(
            shard_pb2.PredictRequest(
                request=pb.RecommendRequest(user_id=user, **request).SerializeToString(),
                snapshot_version=self.snapshot.version,
                partitions=partitions,
                carousels=wanted,
                vector=b"" if vector is None else vector.astype("<f4").tobytes(),
            )
        )
        return pb.RecommendResponse.FromString(answer.slate), {lost.carousel: lost.reason for lost in answer.missing}

    def close(self) -> None:
        """Give the files back."""
        for opened in (*self.partitions.values(), *self.stand_ins.values()):
            opened.close()


def had(built: Built, user: str) -> list[str]:
    """What a user bought, newest first."""
    events = [event for event in built.shop.events if event.user == user]
    return [event.item for event in sorted(events, key=lambda event: -event.time_ms)]


def shown(slate: dict[str, pb.Carousel]) -> list[str]:
    """Every item of a slate."""
    return [item.item_id for carousel in slate.values() for item in carousel.items]


def described(built: Built, item: str) -> datasets.Item:
    """An item's row of the items table."""
    return built.shop.items[int(item.removeprefix("item-"))]
