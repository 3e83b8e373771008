"""A shard's part of a receipt: what a slate rests on, and what it knows; the router appends its own part.

It is written in place, into a response of nothing else: a message that is put into another one is copied.
"""

from __future__ import annotations

import math

from shard.online.freshness import Known
from shard.seats import Seat
from trunkshow.v1 import recommendation_pb2 as pb


def made(effort: pb.Effort, knows: Known, seat: Seat, *, as_fresh: bool) -> pb.RecommendResponse:
    """Of a slate that is made for a request."""
    told = _knowing(effort, knows)
    if seat.folded is not None:
        told.receipt.events_folded = seat.folded.events
    if effort != pb.EFFORT_FULL:
        told.receipt.reasons.append(pb.REASON_REDUCED_EFFORT)
    if not as_fresh:
        told.receipt.reasons.append(pb.REASON_NOT_AS_FRESH)
    return told


def sent_again(knows: Known, age_ms: float) -> pb.RecommendResponse:
    """Of a slate that was kept."""
    told = _knowing(pb.EFFORT_FULL, knows)
    told.receipt.kept_age_ms = age_ms
    return told


def _knowing(effort: pb.Effort, knows: Known) -> pb.RecommendResponse:
    told = pb.RecommendResponse()
    receipt = told.receipt
    receipt.effort = effort
    if knows.watermark:
        receipt.watermark = knows.watermark
    if math.isfinite(knows.age_ms):
        receipt.watermark_age_ms = knows.age_ms
    return told
