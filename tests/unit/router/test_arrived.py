"""A stranger who is to be known by what they just did is waited for within bounds: a page comes, whatever happens."""

from __future__ import annotations

from typing import cast

import pytest

from router.config import RouterConfig
from router.served.arrivals import Arrivals
from router.served.views import View, Views
from router.service import Router
from trunkshow.eventlog.watermark import Watermark
from trunkshow.serving.call import CallView
from trunkshow.serving.deadline import Deadline
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import recommendation_pb2 as pb

BUDGET_MS = 200.0


class Call:
    """A call that arrived just now, on a clock that is driven."""

    request_id, peer = "r-1", "ipv4:127.0.0.1:1"

    def __init__(self) -> None:
        self.now = self.arrived = 1000.0

    def clock(self) -> float:
        """As it is driven."""
        return self.now

    def deadline(self, default_ms: float) -> Deadline:
        """Of the router."""
        return Deadline.after(default_ms, self.now)


class NeverThere:
    """Hears nothing by when it is waited for; whoever waits is woken late."""

    def __init__(self, call: Call, late_s: float) -> None:
        self.waited_s: list[float] = []
        self._call, self._late_s = call, late_s

    async def reached(self, view: View, watermark: Watermark, within_s: float) -> bool:
        """Not, and so long it takes to tell."""
        del view, watermark
        self.waited_s.append(within_s)
        self._call.now += within_s + self._late_s
        return False

    def has_reached(self, view: View, watermark: Watermark) -> bool:
        """Nor now."""
        del view, watermark
        return False


@pytest.mark.parametrize("late_s", [0.0, 0.05, 0.5])
async def test_a_page_comes_though_nothing_is_heard_of_a_stranger(snapshot: Snapshot, late_s: float) -> None:
    """Half of the time is waited at most; where waiting took all of it a resident slate comes at once, and says why."""
    call = Call()
    router = Router(
        RouterConfig(store="", shards=("127.0.0.1:1",), deadline_ms=BUDGET_MS),
        Views.of(View.of(snapshot)),
        clock=call.clock,
    )
    arrivals = NeverThere(call, late_s)
    router._recommendation._arrivals = cast("Arrivals", arrivals)
    request = pb.RecommendRequest(user_id="nobody", carousels=["for-you"], at_least_as_fresh="log/0:7")
    answer = await router._recommendation.recommend(request.SerializeToString(), cast("CallView", call))
    slate = pb.RecommendResponse.FromString(answer)
    await router.close()
    assert slate.carousels[0].items
    assert pb.REASON_NOT_AS_FRESH in slate.receipt.reasons
    assert max(arrivals.waited_s) <= BUDGET_MS / 1000 / 2
