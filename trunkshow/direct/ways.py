"""The short way: what is asked of a shard instead of the router, and what of its answer is taken. Decisions alone.

Rules:

1. The short way is open while a router has said who holds what, and gave a sign of life within the last 3 s; and for a
   plain request (`placement`) of a user whose home is known (`routes`), which a shard holds that is not resting
   (`shards`), where there is time for two ways.
2. A whole slate of that snapshot, of the rung FRESH or SNAPSHOT, is the answer. Anything else is not: the router is
   asked, at once.
3. A shard that takes longer than it lately did gets the router as its rival, within a budget of a tenth of the
   requests; when half of the time is over, without one.
4. A user for whom a shard could not make all of it is left to the router for as long as the route lives.
5. When tombstones were read, or who holds what is of another snapshot, routes from before are not used.

Sending, waiting and the clock are left to `trunkshow.direct.client` and `trunkshow.direct.async_client`. Safe between
threads: a short way is one lock around what it knows, and parses outside of it.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import grpc
from google.protobuf.message import DecodeError

from trunkshow.direct.placement import NOBODY, Placement
from trunkshow.direct.routes import ROUTES_MAX, Route, Routes
from trunkshow.direct.shards import LINES_MAX, Ending, Shards
from trunkshow.hedging import PATIENCE, Patience, Tokens
from trunkshow.serving.grants import GRANT_KEY
from trunkshow.v1 import direct_pb2, shard_pb2
from trunkshow.v1 import recommendation_pb2 as pb

SILENCE_S = 3.0
"""Routers give a sign of life every second."""

BUDGET_MS_MIN = 50.0
"""With less time there is none for two ways: a router keeps 15 ms of what it gets for its own lists."""

SHARE = 0.5
"""Of the time, for the short way; the router gets the rest."""

TAKEN = frozenset({pb.RUNG_FRESH, pb.RUNG_SNAPSHOT})


Way = Literal["direct", "router", "mended"]


@dataclass(frozen=True)
class Ways:
    """Which ways requests for slates went, since the client was made.

    Attributes:
        direct: answered by a shard.
        router: answered by the router, nobody else asked.
        mended: answered by the router, after a shard was asked.
        hedged: of the direct and mended ones, those for which the router was asked as a rival.
    """

    direct: int = 0
    router: int = 0
    mended: int = 0
    hedged: int = 0


class Plan(NamedTuple):
    """A shard that is to be asked.

    Attributes:
        user: for whom.
        route: that was followed.
        address: of the shard.
        predict: a serialised PredictRequest.
        metadata: that lets it in.
        patience_ms: after which the router is asked as well, where the budget allows.
        share_ms: after which it is in any case.
    """

    user: str
    route: Route
    address: str
    predict: bytes
    metadata: tuple[tuple[str, str], ...]
    patience_ms: float
    share_ms: float


class ShortWay:
    """Decides what goes the short way.

    Args:
        routes_max: users whose homes are kept.
        chance: from [0, 1).
        patience: before the router is asked as well.

    Attributes:
        placement: the last one heard; `NOBODY` where none holds any more.
    """

    def __init__(
        self,
        routes_max: int = ROUTES_MAX,
        chance: Callable[[], float] = random.random,
        patience: Patience = PATIENCE,
    ) -> None:
        self.placement = NOBODY
        self._went: Counter[str] = Counter()
        self._routes = Routes(routes_max)
        self._shards = Shards(chance, patience)
        self._tokens = Tokens()
        self._forgotten = ""
        self._grant = ""
        self._heard_at = float("-inf")
        self._lock = threading.Lock()

    def hear(self, report: direct_pb2.WatchPlacementResponse, now: float) -> None:
        """A router's report."""
        self._heard_at = now
        if not report.HasField("placement"):
            return
        placement = Placement.of(report.placement)
        with self._lock:
            self.placement = placement
            self._shards.keep(placement.addresses[:LINES_MAX])
            if placement.forgotten != self._forgotten:
                self._routes.clear()
                self._forgotten = placement.forgotten

    def lost(self) -> None:
        """The router's reports have ended; what is known of users holds as before, should the next ones agree."""
        self.placement = NOBODY

    def open(self, now: float) -> bool:
        """Whether there is anybody to ask."""
        return bool(self.placement.version) and now - self._heard_at <= SILENCE_S

    def silent(self, now: float) -> bool:
        """Whether the router's last sign of life is too old."""
        return now - self._heard_at > SILENCE_S

    @property
    def any_wanted(self) -> bool:
        """Whether there are users to ask about."""
        return self._routes.any_wanted

    def take_wanted(self, most: int) -> list[str]:
        """Users to ask about now."""
        with self._lock:
            return self._routes.take_wanted(most)

    def learn(self, users: list[str], answer: direct_pb2.GetRoutesResponse, asked_at: float) -> None:
        """What a router said of users; nothing where it is of another state than what is watched."""
        with self._lock:
            watched = self.placement.version, self.placement.forgotten
            if answer.snapshot_version and (answer.snapshot_version, answer.forgotten) == watched:
                self._routes.learn(users, answer, asked_at)
                self._grant = answer.grant

    def plan(self, request: pb.RecommendRequest, budget_ms: float, now: float) -> Plan | None:
        """Whom to ask; None where that is the router.

        Args:
            request: for a slate.
            budget_ms: that the caller gives.
            now: seconds, monotonic.
        """
        placement = self.placement
        budget_ms = min(budget_ms, placement.deadline_ms)
        if not self.open(now) or budget_ms < BUDGET_MS_MIN or not (wanted := placement.wanted(request)):
            return None
        with self._lock:
            route = self._routes.find(request.user_id, placement.version, now)
            if route is None:
                return None
            address = self._shards.choose(placement.holders.get(route.partition, ()), now)
            if address is None:
                return None
            self._tokens.earn()
            self._shards.began(address)
            patience_ms = self._shards.patience_ms(address)
            metadata = ((GRANT_KEY, self._grant),) if self._grant else ()
        predict = shard_pb2.PredictRequest(
            request=request.SerializeToString(),
            snapshot_version=route.version,
            partitions=(route.partition,),
            carousels=wanted,
            rung=pb.RUNG_SNAPSHOT,
        )
        share_ms = budget_ms * SHARE
        asked = predict.SerializeToString()
        return Plan(request.user_id, route, address, asked, metadata, min(patience_ms, share_ms), share_ms)

    def may_hedge(self, plan: Plan, elapsed_ms: float) -> bool:
        """Whether the router is asked as well, now that the patience is over."""
        with self._lock:
            return elapsed_ms >= plan.share_ms or self._tokens.spend()

    def taken(self, plan: Plan, data: bytes) -> pb.RecommendResponse | Ending:
        """The slate of a shard's answer; what it comes to where the router is to be asked instead."""
        try:
            answer = shard_pb2.PredictResponse.FromString(data)
            slate = pb.RecommendResponse.FromString(answer.slate)
        except DecodeError:
            return Ending.FAILED
        whole = bool(slate.carousels) and not answer.missing
        known = slate.receipt.snapshot_version == plan.route.version
        if whole and known and all(one.rung in TAKEN for one in slate.carousels):
            return slate
        with self._lock:
            self._routes.leave_to_router(plan.user, plan.route)
        return Ending.UNFIT

    def ended(self, plan: Plan, ending: Ending, ms: float, now: float) -> None:
        """An asking has ended so, after so long."""
        with self._lock:
            self._shards.ended(plan.address, ending, ms, now)
            if ending is Ending.NOT_HELD:
                self._routes.forget(plan.user)

    def went(self, way: Way, *, hedged: bool = False) -> None:
        """A request was answered."""
        with self._lock:
            self._went[way] += 1
            self._went["hedged"] += hedged

    @property
    def ways(self) -> Ways:
        """That requests went."""
        with self._lock:
            return Ways(**self._went)


_ENDINGS = {
    grpc.StatusCode.DEADLINE_EXCEEDED: Ending.LATE,
    grpc.StatusCode.FAILED_PRECONDITION: Ending.NOT_HELD,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Ending.OVERLOADED,
}


def ending_of(code: grpc.StatusCode | None) -> Ending:
    """What the status of a shard's call stands for."""
    return _ENDINGS.get(code, Ending.FAILED) if code is not None else Ending.FAILED
