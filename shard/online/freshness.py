"""How much of a user's events a slate knows: what is waited for, what its rung is, and what its receipt says of it.

A slate from a user's home is FRESH where the log was replayed for that partition and is followed closely. A stranger's
(whose vector the router solved) and one from a compact copy know of no events.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from shard.online.port import Online
from trunkshow.errors import InvalidArgument
from trunkshow.eventlog.watermark import Watermark
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2


class Known(NamedTuple):
    """What a slate knows.

    Attributes:
        rung: of its carousels.
        watermark: up to which it knows the user's events; empty where that cannot be said.
        age_ms: milliseconds before which everything in the log was known; infinite where that cannot be said.
    """

    rung: pb.Rung
    watermark: str = ""
    age_ms: float = math.inf


NOTHING_KNOWN = Known(pb.RUNG_UNSPECIFIED)


async def waited(
    online: Online, asked: shard_pb2.PredictRequest, request: pb.RecommendRequest, within_s: float
) -> bool:
    """Whether a slate can be as fresh as it is asked to be, waiting for that so long at most.

    Raises:
        InvalidArgument: what is asked for is no watermark.
    """
    try:
        watermark = Watermark.parse(request.at_least_as_fresh)
    except ValueError as error:
        raise InvalidArgument(f"at_least_as_fresh: {error}", field="at_least_as_fresh", reason="WATERMARK") from None
    if not is_at_home(asked) or not await online.reached(watermark, within_s):
        return False
    return online.is_whole(request.user_id, asked.partitions[0])


def known(online: Online, asked: shard_pb2.PredictRequest, user_id: str) -> Known:
    """What a slate for a user knows as of now."""
    rung = asked.rung or pb.RUNG_SNAPSHOT
    return known_at_home(online, rung, asked.partitions[0], user_id) if is_at_home(asked) else Known(rung)


def known_at_home(online: Online, rung: pb.Rung, home: int, user_id: str) -> Known:
    """What a slate knows as of now that is asked from a user's home, at a rung."""
    if not online.is_whole(user_id, home):
        return Known(rung)
    fresh = rung == pb.RUNG_SNAPSHOT and online.is_fresh()
    return Known(pb.RUNG_FRESH if fresh else rung, online.watermark, online.lag_s() * 1000)


def is_at_home(asked: shard_pb2.PredictRequest) -> bool:
    """Whether a slate is asked for from a user's own record."""
    return not asked.vector and asked.rung != pb.RUNG_STAND_IN
