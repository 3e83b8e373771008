"""One request, asked of one snapshot, for comparison: what a shopper would see of it that is personal, and how fast.

The shards are asked as for a shopper, for all carousels that the request wants, but through a fan-out of its own: what
fails or hangs here changes nothing for shoppers. Nothing steps down, since what another rung would answer says nothing
of this snapshot. Where shoppers have asked too little lately, requests are made up: strangers with a few items in hand
that go together. They are folded in, and so try the models, the taste hash and the partitions of both snapshots, but no
user's own record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from google.protobuf.message import DecodeError

from router.asking.fanout import Fanout
from router.served.views import View
from router.slates import ladder, merge
from router.trials.measures import Answer
from router.trials.sample import Chance
from trunkshow import carousels
from trunkshow.models.popularity import GLOBAL_ITEMS_MAX, Popularity
from trunkshow.serving.deadline import Clock, Deadline, monotonic
from trunkshow.snapshot.directory import Home
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

REQUEST_ID = "rehearsal"
"""In the shards' logs."""

IN_HAND = 3
"""Items beside the first that a made-up stranger has in hand."""

Lists = dict[str, tuple[str, ...]]


class Replay:
    """Asks shards again what shoppers asked.

    Args:
        fanout: to the shards; nobody else's.
        deadline_ms: that each answer is given.
        probes: partitions asked for a stranger.
        clock: monotonic.
    """

    def __init__(self, fanout: Fanout, *, deadline_ms: float, probes: int, clock: Clock = monotonic) -> None:
        self._fanout = fanout
        self._deadline_ms = deadline_ms
        self._probes = probes
        self._clock = clock

    async def answer(self, view: View, request: pb.RecommendRequest) -> Answer:
        """What a snapshot makes of a request; failed where it cannot be asked for what the request names."""
        wanted = view.wanted(request, impersonal=False)
        nothing: Lists = {carousel: () for carousel in wanted if not ladder.of_the_shop(carousel)}
        if not view.admits(request):
            return Answer(nothing, 0.0, failed=True)
        began = self._clock()
        until = Deadline.after(self._deadline_ms, began)
        home = view.find(request.user_id)
        if home is not None:
            made = await self._known(view, home, request, wanted, until)
        else:
            made = await self._stranger(view, request, wanted, until)
        ms = (self._clock() - began) * 1000
        if made is None:
            return Answer(nothing, ms, failed=True)
        return Answer({**nothing, **_shown(made, nothing)}, ms)

    async def _known(
        self, view: View, home: Home, request: pb.RecommendRequest, wanted: Sequence[str], until: Deadline
    ) -> list[pb.Carousel] | None:
        predict = shard_pb2.PredictRequest(
            request=request.SerializeToString(),
            snapshot_version=view.version,
            partitions=(home.partition,),
            carousels=wanted,
        ).SerializeToString()
        outcome = await self._fanout.ask(view.version, home.partition, predict, until, REQUEST_ID)
        return _carousels(outcome.answer) if outcome.answer is not None else None

    async def _stranger(
        self, view: View, request: pb.RecommendRequest, wanted: Sequence[str], until: Deadline
    ) -> list[pb.Carousel] | None:
        vector = view.resident.taste(view.resident.rows(request.context_item_ids))
        if not len(vector):
            return []
        data, taste = request.SerializeToString(), vector.astype("<f4").tobytes()

        def request_for(numbers: Sequence[int]) -> bytes:
            return shard_pb2.PredictRequest(
                request=data, snapshot_version=view.version, partitions=numbers, carousels=wanted, vector=taste
            ).SerializeToString()

        partitions = view.nearest(vector, self._probes)
        gathered = await self._fanout.ask_many(view.version, partitions, request_for, until, REQUEST_ID)
        slates = [made for answer in gathered.answers if (made := _carousels(answer)) is not None]
        if len(slates) < len(gathered.answers) or gathered.answered < len(partitions):
            return None
        return merge.merged(slates, wanted, request.items_per_carousel or carousels.ITEMS_DEFAULT)


def personal(view: View, request: pb.RecommendRequest) -> bool:
    """Whether a snapshot has anything personal to say to a request."""
    return view.find(request.user_id) is not None or bool(view.resident.rows(request.context_item_ids))


def ranks(view: View) -> Mapping[str, int]:
    """By item id, the place in a snapshot's popular list, from 1."""
    rows = cast("Popularity", view.snapshot.models[Popularity.name]).overall(GLOBAL_ITEMS_MAX).rows
    return {view.snapshot.catalogue.id(row): place for place, row in enumerate(rows, 1)}


def made_up(view: View, count: int, chance: Chance) -> list[bytes]:
    """Requests of strangers, each with an item of the popular list in hand and some that go with it."""
    popular = list(ranks(view))
    seeds = [popular[int(chance() * len(popular))] for _ in range(count)] if popular else []
    return [_session(number, seed, view).SerializeToString() for number, seed in enumerate(seeds)]


def _session(number: int, seed: str, view: View) -> pb.RecommendRequest:
    (row,) = view.resident.rows([seed])
    beside = view.resident.similar(row, IN_HAND, None).items
    return pb.RecommendRequest(
        user_id=f"{REQUEST_ID}-{number}", context_item_ids=[seed, *(item.item_id for item in beside)]
    )


def _carousels(answer: shard_pb2.PredictResponse) -> list[pb.Carousel] | None:
    """What an answer shows; None where it cannot be read."""
    try:
        return list(pb.RecommendResponse.FromString(answer.slate).carousels)
    except DecodeError:
        return None


def _shown(made: Iterable[pb.Carousel], personal: Mapping[str, object]) -> Lists:
    return {one.id: tuple(item.item_id for item in one.items) for one in made if one.id in personal}
