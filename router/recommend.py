"""One user's slate, from the best rung that the time left allows.

    known user    → ask home → nothing missing          → the shard's bytes, passed on unread
                             → something missing        → its slate, gaps stepped down
                             → does not know the user   → as a stranger
                             → nobody answers           → everything stepped down
    stranger      → items in hand → fold in, ask the nearest partitions, merge, step gaps down
                  → nothing in hand → the shop's own lists

Plans are made here, synchronously; whom to ask, what to fill gaps with and how to merge are `router.fanout`,
`router.resident` and `router.merge`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from google.protobuf.message import DecodeError

from router import ladder, receipt
from router.attempts import Gathered
from router.counters import Counters
from router.fanout import Fanout
from router.merge import merged, slotted
from router.receipt import Asking, Reach
from router.resident import Need, Resident
from trunkshow import carousels
from trunkshow.models.protocol import NO_FLOATS, Floats
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.snapshot.directory import Home
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

SLACK = 2
"""Shards that are merged are asked for so many times the items shown: one may be shown further up already."""


class Plan(NamedTuple):
    """A request whose user is known, ready to be asked for.

    Attributes:
        request: parsed and valid.
        home: where the user lives.
        wanted: carousels, in order.
        predict: what the home shard is asked.
    """

    request: pb.RecommendRequest
    home: Home
    wanted: tuple[str, ...]
    predict: shard_pb2.PredictRequest


class Recommender:
    """Makes slates.

    Args:
        snapshot: whose directory, catalogue and shared models this router serves.
        fanout: to the shards.
        resident: for what they leave open.
        counters: told of every slate.
        probes: partitions asked for a stranger with items in hand.
        clock: monotonic.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        fanout: Fanout,
        resident: Resident,
        counters: Counters,
        *,
        probes: int,
        clock: Clock = monotonic,
    ) -> None:
        self._version = snapshot.version
        self._has_occasions = snapshot.has_occasions
        self._directory = snapshot.directory
        self._probe = snapshot.codebook.probe
        self._fanout = fanout
        self._resident = resident
        self._counters = counters
        self._probes = min(probes, snapshot.partitions)
        self._clock = clock

    def plan(self, data: bytes, request: pb.RecommendRequest) -> Plan | None:
        """What to ask whom; None for a stranger."""
        home = self._directory.find(request.user_id)
        if home is None:
            return None
        wanted = self._wanted(request, impersonal=False)
        predict = shard_pb2.PredictRequest(
            request=data, snapshot_version=self._version, partitions=(home.partition,), carousels=wanted
        )
        return Plan(request, home, wanted, predict)

    async def slate(self, data: bytes, request: pb.RecommendRequest, asking: Asking) -> bytes:
        """A serialised RecommendResponse for a valid request; never an error.

        Args:
            data: the request as it arrived.
            request: the same, parsed.
            asking: who asks, and until when shards may be waited for.
        """
        plan = self.plan(data, request)
        if plan is None:
            return await self._stranger(request, asking)
        began = self._clock()
        predict, until = plan.predict.SerializeToString(), asking.shards_by
        outcome = await self._fanout.ask(self._version, plan.home.partition, predict, until, asking.request_id)
        reach = Reach(1, 0, (self._clock() - began) * 1000, outcome.attempts, until.remaining_ms(began))
        if outcome.answer is None:
            return self._stepped_down(plan, asking, outcome.reasons, reach if outcome.attempts else Reach(1))
        return await self.answered(plan, asking, outcome.answer, reach)

    async def answered(self, plan: Plan, asking: Asking, answer: shard_pb2.PredictResponse, reach: Reach) -> bytes:
        """The slate of a known user whose home shard answered."""
        missing = {one.carousel: one.reason for one in answer.missing}
        if not (answer.slate or missing):
            return self._stepped_down(plan, asking, (pb.REASON_SHARD_FAILED,), reach)
        if pb.REASON_USER_UNKNOWN in missing.values():
            return await self._stranger(plan.request, asking)
        reasons = self._context_reasons(plan.request)
        reach = reach._replace(answered=1)
        if len(missing) < len(plan.wanted) and all(ladder.left_out(*one) for one in missing.items()):
            self._counters.passed_on(len(plan.wanted) - len(missing))
            reasons.extend(dict.fromkeys(missing.values()))
            return answer.slate + receipt.routers_part(asking, reach, reasons, self._clock())
        try:
            slate = pb.RecommendResponse.FromString(answer.slate)
        except DecodeError:
            return self._stepped_down(plan, asking, (pb.REASON_SHARD_FAILED,), reach._replace(answered=0))
        need = self._resident.need(plan.request, plan.home.segment)
        return self._completed(plan.wanted, slate.carousels, missing, need, reasons, asking, reach, [slate.receipt])

    def _stepped_down(self, plan: Plan, asking: Asking, reasons: Sequence[pb.Reason], reach: Reach) -> bytes:
        """The slate of a known user for whom nobody answered."""
        need = self._resident.need(plan.request, plan.home.segment)
        told = [*reasons, *self._context_reasons(plan.request)]
        return self._completed(plan.wanted, (), {}, need, told, asking, reach)

    async def _stranger(self, request: pb.RecommendRequest, asking: Asking) -> bytes:
        """The slate of somebody whom the snapshot does not know."""
        context = self._resident.rows(request.context_item_ids)
        reasons = [pb.REASON_USER_UNKNOWN, *self._context_reasons(request)]
        in_time = asking.shards_by.remaining_ms(self._clock()) > 0
        vector = self._resident.taste(context) if in_time else NO_FLOATS
        if len(vector):
            return await self._folded_in(request, vector, reasons, asking)
        reasons.append(pb.REASON_SHARD_LATE if context and not in_time else pb.REASON_NOTHING_IN_HAND)
        wanted = self._wanted(request, impersonal=True)
        need = self._resident.need(request, segment=-1)
        return self._completed(wanted, (), {}, need, reasons, asking, Reach())

    async def _folded_in(
        self, request: pb.RecommendRequest, vector: Floats, reasons: list[pb.Reason], asking: Asking
    ) -> bytes:
        wanted = self._wanted(request, impersonal=False)
        partitions = self._probe(vector, self._probes)
        began = self._clock()
        gathered = await self._ask_nearest(request, partitions, wanted, vector, asking)
        until = asking.shards_by
        shard_ms = (self._clock() - began) * 1000
        reach = Reach(len(partitions), gathered.answered, shard_ms, gathered.attempts, until.remaining_ms(began))
        slates, unreadable = _decoded(gathered.answers)
        reasons.extend(gathered.reasons)
        if slates:
            reasons.append(pb.REASON_FOLDED_IN)
        if unreadable:
            reasons.append(pb.REASON_SHARD_FAILED)
        if slates and (unreadable or gathered.answered < len(partitions)):
            reasons.append(pb.REASON_PARTITION_MISSING)
        need = self._resident.need(request, segment=-1, vector=vector)
        made = merged([slate.carousels for slate in slates], wanted, need.count)
        missing = _left_open(wanted, made, gathered.answers) if slates else {}
        return self._completed(wanted, made, missing, need, reasons, asking, reach, [slate.receipt for slate in slates])

    async def _ask_nearest(
        self,
        request: pb.RecommendRequest,
        partitions: Sequence[int],
        wanted: Sequence[str],
        vector: Floats,
        asking: Asking,
    ) -> Gathered:
        roomy = pb.RecommendRequest()
        roomy.CopyFrom(request)
        # Beyond what callers may ask for: between router and shard that limit does not hold.
        roomy.items_per_carousel = SLACK * (request.items_per_carousel or carousels.ITEMS_DEFAULT)
        data, taste = roomy.SerializeToString(), vector.astype("<f4").tobytes()

        def request_for(numbers: Sequence[int]) -> bytes:
            return shard_pb2.PredictRequest(
                request=data, snapshot_version=self._version, partitions=numbers, carousels=wanted, vector=taste
            ).SerializeToString()

        return await self._fanout.ask_many(self._version, partitions, request_for, asking.shards_by, asking.request_id)

    def _completed(
        self,
        wanted: Sequence[str],
        made: Sequence[pb.Carousel],
        missing: dict[str, pb.Reason],
        need: Need,
        reasons: Sequence[pb.Reason],
        asking: Asking,
        reach: Reach,
        of_shards: Sequence[pb.Receipt] = (),
    ) -> bytes:
        slate, more = self._resident.complete(wanted, made, missing, need)
        self._counters.served(slate)
        said = receipt.whole(
            asking,
            reach,
            slate,
            [*reasons, *more],
            version=self._version,
            of_shards=of_shards,
            now=self._clock(),
        )
        return pb.RecommendResponse(carousels=slate, receipt=said).SerializeToString()

    def _wanted(self, request: pb.RecommendRequest, *, impersonal: bool) -> tuple[str, ...]:
        return carousels.resolve(
            request.carousels, request.surface, impersonal=impersonal, has_occasions=self._has_occasions
        )

    def _context_reasons(self, request: pb.RecommendRequest) -> list[pb.Reason]:
        in_hand = request.context_item_ids
        if in_hand and len(self._resident.rows(in_hand)) < len(in_hand):
            return [pb.REASON_CONTEXT_ITEM_UNKNOWN]
        return []


def _left_open(
    wanted: Sequence[str], made: Sequence[pb.Carousel], answers: Sequence[shard_pb2.PredictResponse]
) -> dict[str, pb.Reason]:
    """Why carousels are missing that no shard made: what one of them said, else that there was nothing left."""
    reasons = dict.fromkeys(wanted, pb.REASON_CAROUSEL_EMPTY)
    reasons.update((one.carousel, one.reason) for answer in answers for one in answer.missing)
    by_slot = slotted((carousel.id for carousel in made), wanted)
    return {slot: reasons[slot] for slot in wanted if not by_slot[slot]}


def _decoded(answers: Sequence[shard_pb2.PredictResponse]) -> tuple[list[pb.RecommendResponse], int]:
    """The slates that can be read, and how many cannot."""
    slates = []
    for answer in answers:
        try:
            slates.append(pb.RecommendResponse.FromString(answer.slate))
        except DecodeError:
            continue
    return slates, len(answers) - len(slates)
