"""Who is asked for in a batch, and the rung of each one's slate. Not a test."""

from __future__ import annotations

from router_caller import Caller

from trunkshow.v1 import recommendation_pb2 as pb

KNOWN = [f"u{user}" for user in range(8)]

MIXED = [*KNOWN, "stranger", *KNOWN, "another"]


def nobody_is_shed(*_: object) -> bytes:
    """There is room for everybody."""
    raise AssertionError


async def rungs(caller: Caller, users: list[str]) -> list[pb.Rung]:
    """The rung of each user's slate, in the order of the batch; fails where an index does not come exactly once."""
    answers = await caller.batch([pb.RecommendRequest(user_id=user, carousels=["for-you"]) for user in users])
    assert sorted(one.index for one in answers) == list(range(len(users)))
    by_index = {one.index: one.response for one in answers}
    return [by_index[index].receipt.rung for index in range(len(users))]
