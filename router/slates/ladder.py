"""The ladder: which rung replaces a carousel that is missing, and what the receipt says of it.

Rules:

1. Each carousel steps down by itself; the rest of the slate stands.
2. A step goes to the next rung below that this release and this user have. Below POPULAR there is nothing: what
   is empty there is left out.
3. A personal carousel, or one of a plugged-in model, that no shard made is replaced by the popular list: of the user's
   segment, else of everyone.
4. The shop's own lists (popular, new arrivals, occasions) are resident in the router: one that no shard made is made
   there, at the rung POPULAR, under its own title.
5. One of the shop's own lists that has nothing to show is left out: a popular list in its place would be a lie, and
   the slate has one. Only where the slate would be empty altogether is it replaced as in rule 3.
6. What trends now is a popular list, of the moment: where nothing does, the popular list replaces it, unless the slate
   has that one anyway. A surface's own choice leaves it out then (`trunkshow.carousels`).
7. What is missing because somebody failed is looked for rung by rung: PREVIOUS, STAND_IN (`router.served.route`), then
   the router's own. What is empty is not: that is an answer, and it goes to the router's own rungs at once.
8. A request may name the worst rung that it accepts; below that it ends in an error, whichever carousel it is.
9. The receipt's rung is the first carousel's; each reason stands in it once, in the order in which it arose.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from trunkshow import carousels
from trunkshow.v1 import recommendation_pb2 as pb

BELOW: Mapping[pb.Rung, pb.Rung] = {
    pb.RUNG_FRESH: pb.RUNG_SNAPSHOT,
    pb.RUNG_SNAPSHOT: pb.RUNG_PREVIOUS,
    pb.RUNG_PREVIOUS: pb.RUNG_STAND_IN,
    pb.RUNG_STAND_IN: pb.RUNG_SEGMENT,
    pb.RUNG_SEGMENT: pb.RUNG_POPULAR,
    pb.RUNG_POPULAR: pb.RUNG_UNSPECIFIED,
}
"""The whole ladder; UNSPECIFIED is the floor."""

RESIDENT = frozenset({pb.RUNG_SEGMENT, pb.RUNG_POPULAR})
"""Rungs that the router stands on by itself."""

OF_THE_SHOP = frozenset({carousels.POPULAR, carousels.TRENDING, carousels.NEW_ARRIVALS, carousels.OCCASIONS})


def next_below(rung: pb.Rung, offered: Collection[pb.Rung]) -> pb.Rung | None:
    """The first rung below that is offered; None on the floor."""
    below = BELOW[rung]
    while below != pb.RUNG_UNSPECIFIED and below not in offered:
        below = BELOW[below]
    return None if below == pb.RUNG_UNSPECIFIED else below


def steps_down(rung: pb.Rung, offered: Collection[pb.Rung]) -> list[pb.Rung]:
    """All rungs below that are offered, nearest first."""
    steps: list[pb.Rung] = []
    below = next_below(rung, offered)
    while below is not None:
        steps.append(below)
        below = next_below(below, offered)
    return steps


def of_the_shop(carousel: str) -> bool:
    """Whether a carousel is one of the shop's own lists, which the router can make itself."""
    return carousel in OF_THE_SHOP or carousel.startswith(carousels.OCCASION_PREFIX)


def left_out(carousel: str, reason: pb.Reason, wanted: Sequence[str]) -> bool:
    """Whether a missing carousel of a slate is left out instead of replaced (rules 5 and 6)."""
    if reason != pb.REASON_CAROUSEL_EMPTY or not of_the_shop(carousel):
        return False
    return carousel != carousels.TRENDING or carousels.POPULAR in wanted


def floor_of(request: pb.RecommendRequest) -> pb.Rung:
    """The worst rung that a request accepts."""
    if request.partial != pb.PARTIAL_ABORT:
        return pb.RUNG_POPULAR
    return request.worst_rung or pb.RUNG_SNAPSHOT


def rung_of(made: Sequence[pb.Carousel]) -> pb.Rung:
    """The receipt's rung; the lowest one where there is nothing to show."""
    return made[0].rung if made else pb.RUNG_POPULAR
