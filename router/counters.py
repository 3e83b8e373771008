"""What this router has served since it started; read by `GetClusterStatus`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from trunkshow.v1 import recommendation_pb2 as pb


class Counters:
    """Numbers that only go up.

    Attributes:
        requests: slates answered.
        carousels: by the rung that made them.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.carousels: Counter[pb.Rung] = Counter()

    def passed_on(self, carousels: int) -> None:
        """A shard's slate went out undecoded; shards make the rung SNAPSHOT and no other."""
        self.requests += 1
        self.carousels[pb.RUNG_SNAPSHOT] += carousels

    def served(self, made: Iterable[pb.Carousel]) -> None:
        """A slate of these carousels went out."""
        self.requests += 1
        self.carousels.update(carousel.rung for carousel in made)
