"""What is right where a request says more than what it asks for: how poor, or how old, its answer may be.

1. One that would rather have an error than a low rung (PARTIAL_ABORT) has no carousel below the rung that it names.
2. One that names a watermark (`at_least_as_fresh`) has a receipt whose own watermark covers it, or the reason
   NOT_AS_FRESH. A receipt without a watermark may go without the reason only where the snapshot does not know the
   user: a stranger who did nothing has no events that could be missing.

The other rules are `cli.chaos.model`'s; what becomes of a call that ends in an error is `cli.chaos.counting`'s to say.
"""

from __future__ import annotations

from collections.abc import Iterator

from trunkshow.eventlog.watermark import LogsDiffer, Watermark
from trunkshow.v1 import recommendation_pb2 as pb


def disregarded(request: pb.RecommendRequest, answer: pb.RecommendResponse, *, is_known: bool) -> Iterator[str]:
    """Where an answer went against such a wish, in words.

    Args:
        request: asked.
        answer: to it.
        is_known: the snapshot that the answer is of has the user.
    """
    yield from _too_poor(request, answer)
    yield from _too_old(request, answer.receipt, is_known)


def _too_poor(request: pb.RecommendRequest, answer: pb.RecommendResponse) -> Iterator[str]:
    """Rule 1."""
    if request.partial != pb.PARTIAL_ABORT:
        return
    worst = request.worst_rung or pb.RUNG_SNAPSHOT
    for carousel in answer.carousels:
        if carousel.rung > worst:
            names = pb.Rung.Name(carousel.rung), pb.Rung.Name(worst)
            yield f"{carousel.id} is of {names[0]}, and {names[1]} was the worst that was accepted"


def _too_old(request: pb.RecommendRequest, receipt: pb.Receipt, is_known: bool) -> Iterator[str]:
    """Rule 2."""
    if not request.at_least_as_fresh or pb.REASON_NOT_AS_FRESH in receipt.reasons:
        return
    if not receipt.watermark:
        if is_known:
            yield f"it does not say what it knows, nor that this is less than {request.at_least_as_fresh}"
    elif not _covers(receipt.watermark, request.at_least_as_fresh):
        yield f"it knows {receipt.watermark}, does not cover {request.at_least_as_fresh}, and does not say so"


def _covers(known: str, asked: str) -> bool:
    try:
        return Watermark.parse(known).covers(Watermark.parse(asked))
    except LogsDiffer:
        return False
