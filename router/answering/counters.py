"""What this router has served since it started; read by `GetClusterStatus`, and told to whoever listens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from trunkshow.serving import metrics
from trunkshow.v1 import recommendation_pb2 as pb

ABORTED = metrics.counter(
    "trunkshow_partial_aborted_total", "Requests that got an error, as they asked, instead of a lower rung."
)


class Answered(NamedTuple):
    """An answer to somebody to whom something personal can be shown.

    Attributes:
        meant: the version that it was meant from: asked first, or to be asked first if anybody had held it.
        made: the version that the first carousel is from.
        rung: of the first carousel.
        failed: a shard failed or was late, or a model broke, whatever became of the slate.
        ms: from the request's arrival until its answer was made.
    """

    meant: str
    made: str
    rung: pb.Rung
    failed: bool
    ms: float


class Counters:
    """Numbers that only go up.

    Attributes:
        requests: slates answered.
        carousels: by the rung that made them.
        aborted: requests that got an error because they would rather have that than a low rung.
        listeners: told of every answer to somebody who is known, or folded in.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.carousels: Counter[pb.Rung] = Counter()
        self.aborted = 0
        self.listeners: list[Callable[[Answered], None]] = []

    def passed_on(self, carousels: int, rung: pb.Rung) -> None:
        """A shard's slate went out undecoded; all of it is of one rung."""
        self.requests += 1
        self.carousels[rung] += carousels

    def served(self, made: Iterable[pb.Carousel]) -> None:
        """A slate of these carousels went out."""
        self.requests += 1
        self.carousels.update(carousel.rung for carousel in made)

    def abort(self) -> None:
        """A request got an error, as it asked."""
        self.aborted += 1
        ABORTED.inc()

    def resident(self, rungs: Counter[pb.Rung]) -> None:
        """A slate that was made before went out; its carousels by rung."""
        self.requests += 1
        self.carousels.update(rungs)

    def tell(self, answered: Answered) -> None:
        """An answer went out."""
        for listen in self.listeners:
            listen(answered)
