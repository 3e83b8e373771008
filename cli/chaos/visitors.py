"""Who asks for what: a pool of requests drawn from one seed, and the order in which they are sent.

Users come by a Zipf law, as visits do. Some are strangers, with items in hand or without; some filter, exclude, name
their carousels or want more items; some ask for similar items, some for whole batches. Every request is valid. How they
ask, `cli.chaos.manners` draws.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from cli.chaos import manners
from cli.chaos.manners import AsFresh, Manner
from cli.chaos.model import Facts
from trunkshow import carousels
from trunkshow.v1 import recommendation_pb2 as pb

POOL = 4_000
"""Requests drawn; more would only take longer to draw."""

USERS_MAX = 50_000
ZIPF_EXPONENT = 0.9
STRANGERS = 0.08
STRANGERS_WITH_ITEMS = 0.6
IN_HAND = 0.15
SIMILAR = 0.04
BATCHES = 0.01
BATCH_USERS = (5, 20)
NAMED = (
    carousels.FOR_YOU,
    carousels.BECAUSE_YOU_LIKED,
    carousels.PEOPLE_LIKE_YOU,
    carousels.POPULAR,
    carousels.OCCASIONS,
)


@dataclass(frozen=True)
class Ask:
    """One call.

    Attributes:
        request: what is sent.
        personal: a whole cluster answers it from the current snapshot, so that a lower rung is a step down.
        manner: how it is asked.
    """

    request: pb.RecommendRequest | pb.SimilarItemsRequest | pb.RecommendBatchRequest
    personal: bool = False
    manner: Manner = manners.PLAIN

    @property
    def size(self) -> int:
        """How many requests it stands for."""
        return len(self.request.requests) if isinstance(self.request, pb.RecommendBatchRequest) else 1


class Visitors:
    """Draws requests.

    Args:
        facts: whose users and items they are about.
        seed: of everything that is drawn.
        pool: how many different calls.
    """

    def __init__(self, facts: Facts, seed: int, pool: int = POOL) -> None:
        self._facts = facts
        self._random = random.Random(seed)  # noqa: S311 - a draw that can be repeated is the purpose
        users = list(itertools.islice(facts.users(), USERS_MAX))
        self._random.shuffle(users)
        self._users = users
        self._weights = _zipf(len(users))
        asks = [self._ask() for _ in range(pool)]
        draw = random.Random(f"{seed} manners")  # noqa: S311 - as above; what is asked is drawn without it
        self.pool = [mannered(ask, manners.drawn(draw)) for ask in asks]

    def calls(self) -> Iterator[Ask]:
        """Calls for ever."""
        order = list(range(len(self.pool)))
        while True:
            self._random.shuffle(order)
            for index in order:
                yield self.pool[index]

    def _ask(self) -> Ask:
        kind = self._random.random()
        if kind < SIMILAR:
            item = self._random.choice(self._facts.ids)
            return Ask(pb.SimilarItemsRequest(item_id=item, items=self._random.randint(1, 20)))
        if kind < SIMILAR + BATCHES:
            count = self._random.randint(*BATCH_USERS)
            together = count % 2 == 0  # both ways, without another draw
            return Ask(pb.RecommendBatchRequest(requests=[self._slate()[0] for _ in range(count)], together=together))
        request, personal = self._slate()
        return Ask(request, personal)

    def _slate(self) -> tuple[pb.RecommendRequest, bool]:
        draw = self._random
        stranger = draw.random() < STRANGERS
        user = (
            f"stranger-{draw.randrange(10**6)}" if stranger else draw.choices(self._users, cum_weights=self._weights)[0]
        )
        request = pb.RecommendRequest(user_id=user, surface=draw.choice(list(carousels.SURFACES)))
        if draw.random() < (STRANGERS_WITH_ITEMS if stranger else IN_HAND):
            request.context_item_ids.extend(draw.sample(self._facts.ids, draw.randint(1, 5)))
        if draw.random() < 0.1:
            request.carousels.extend(draw.sample(NAMED, draw.randint(1, 3)))
        if draw.random() < 0.2:
            request.items_per_carousel = draw.randint(1, 30)
        if draw.random() < 0.1:
            request.exclude_item_ids.extend(
                draw.sample(self._facts.ids, draw.randint(1, min(50, len(self._facts.ids))))
            )
        request.include_seen = draw.random() < 0.05
        filtered = self._filter(request)
        return request, not (stranger or filtered) and _starts_personal(request)

    def _filter(self, request: pb.RecommendRequest) -> bool:
        """Filters for some; whether there are any."""
        draw, facts = self._random, self._facts
        if facts.category_names and draw.random() < 0.08:
            request.filters.categories.extend(_some(draw, facts.category_names, 3))
        if facts.attributes and draw.random() < 0.05:
            name = draw.choice(list(facts.attributes))
            if facts.attributes[name][1]:
                request.filters.attributes.add(name=name, values=_some(draw, facts.attributes[name][1], 3))
        if draw.random() < 0.05:
            request.filters.include_unavailable = True
        return request.HasField("filters")


def mannered(ask: Ask, manner: Manner) -> Ask:
    """The same, asked in a manner; what does not go with a request of its kind is left out of it.

    Who is in a hurry, or waits for events, may rightly be answered from a lower rung. Who takes no low rung asks for
    the one carousel that a whole cluster has for sure, where they are personal: only a step down ends in an error then.
    """
    if isinstance(ask.request, pb.RecommendBatchRequest):
        return replace(ask, manner=Manner(hangs_up_ms=manner.hangs_up_ms))
    if isinstance(ask.request, pb.SimilarItemsRequest):
        return replace(ask, manner=Manner(deadline_ms=manner.deadline_ms, hangs_up_ms=manner.hangs_up_ms))
    request = pb.RecommendRequest()
    request.CopyFrom(ask.request)
    if manner.worst_rung:
        request.partial, request.worst_rung = pb.PARTIAL_ABORT, manner.worst_rung
        if ask.personal:
            request.carousels[:] = [carousels.FOR_YOU]
    patient = not manner.deadline_ms and manner.as_fresh is AsFresh.NONE
    return Ask(request, ask.personal and patient, manner)


def _starts_personal(request: pb.RecommendRequest) -> bool:
    first = carousels.resolve(request.carousels, request.surface, impersonal=False)[0]
    return first == carousels.FOR_YOU  # the others may have nothing to show for a given user


def _some(draw: random.Random, names: Sequence[str], most: int) -> list[str]:
    return draw.sample(names, draw.randint(1, min(most, len(names))))


def _zipf(count: int) -> list[float]:
    return list(itertools.accumulate((rank + 1) ** -ZIPF_EXPONENT for rank in range(count)))
