"""A slate that is to be fresher than it can be comes all the same, in time: what is waited is bounded."""

from __future__ import annotations

import asyncio
import itertools

import datasets
import pytest

from shard.online.port import Nothing
from shard.predict import Predictor
from trunkshow.eventlog.watermark import Watermark
from trunkshow.serving.deadline import Deadline
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

USER = datasets.user_id(17)
STEP_S = 0.0005


class NeverThere(Nothing):
    """Knows nothing by when it is waited for; whoever waits is woken late. Drives the clock."""

    def __init__(self, late_s: float) -> None:
        self.waited: list[float] = []
        self._late_s = late_s
        self._now_s = 1000.0

    def clock(self) -> float:
        """A moment later each time, as work takes time."""
        self._now_s += STEP_S
        return self._now_s

    async def reached(self, watermark: Watermark, within_s: float) -> bool:
        """Not, and so long it takes to tell."""
        self.waited.append(within_s)
        self._now_s += within_s + self._late_s
        return False


@pytest.mark.parametrize("given_ms", [40.0, 150.0, 2000.0])
def test_an_answer_comes_though_who_waited_is_woken_late(snapshot: Snapshot, given_ms: float) -> None:
    """By an eighth of the time that there was: it is made before that is over, and says that it is not as fresh."""
    home = snapshot.directory.find(USER)
    assert home is not None
    opened = snapshot.open_partition(home.partition)
    online = NeverThere(late_s=given_ms / 1000 / 8)
    predictor = Predictor(snapshot, {home.partition: opened}, {}, online, clock=online.clock)
    asked = shard_pb2.PredictRequest(
        request=pb.RecommendRequest(user_id=USER, at_least_as_fresh="log/0:7").SerializeToString(),
        snapshot_version=snapshot.version,
        partitions=[home.partition],
        carousels=["for-you"],
    )
    for _ in itertools.repeat(None, 20):  # the first are made before it is known what one takes
        deadline = Deadline.after(given_ms, online.clock())
        answer = asyncio.run(predictor.predict(asked, deadline))
        slate = pb.RecommendResponse.FromString(answer.slate)
        assert answer.waited_ms > 999 * online.waited[-1]  # routers do not take that for load
        assert online.clock() < deadline.at
        assert slate.carousels
        assert pb.REASON_NOT_AS_FRESH in slate.receipt.reasons
    opened.close()
    assert max(online.waited) < given_ms / 1000
