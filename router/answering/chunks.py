"""A batch, divided: whose slates are asked for together, of which shard.

Known users go by the replica of their home, in chunks of bounded size; whoever has no home that anybody holds goes
alone. Functions over values; asking is left to `router.answering.batch`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from router.answering.recommend import Plan
from trunkshow.v1 import recommendation_pb2 as pb

UsersMax = Callable[[str], int]
"""By address, how many users one call to a shard carries at most (`router.answering.chunk_users`)."""

Choose = Callable[[str, int], str | None]
"""By version and partition, the address to ask now; None where nobody holds it."""


class Member(NamedTuple):
    """A request of the batch.

    Attributes:
        position: in the batch.
        data: serialised.
        request: parsed.
    """

    position: int
    data: bytes
    request: pb.RecommendRequest


class Chunk(NamedTuple):
    """Known users whose homes, in one snapshot, one shard holds."""

    address: str
    version: str
    members: list[tuple[Member, Plan]]

    @property
    def rung(self) -> pb.Rung:
        """Of what the shard makes: of the first place that a user is looked for in, which is everybody's here."""
        return self.members[0][1].place.rung


class Divided(NamedTuple):
    """A batch by who is asked.

    Attributes:
        by_address: chunks that wait in line, per shard.
        homeless: those whose home nobody holds.
    """

    by_address: dict[str, deque[Chunk]]
    homeless: list[Member]


def divided(planned: Iterable[tuple[Member, Plan]], choose: Choose, users_max: UsersMax) -> Divided:
    """Users by the shard that is asked for them; each partition is chosen a shard for once.

    Args:
        planned: known users.
        choose: a shard for a partition.
        users_max: per chunk, by the shard that is asked.
    """
    chosen: dict[tuple[str, int], str | None] = {}
    by_line: dict[tuple[str, str], list[tuple[Member, Plan]]] = {}
    homeless = []
    for member, plan in planned:
        place = plan.place.view.version, plan.place.home.partition
        if place not in chosen:
            chosen[place] = choose(*place)
        address = chosen[place]
        if address is None:
            homeless.append(member)
        else:
            by_line.setdefault((address, place[0]), []).append((member, plan))
    by_address: dict[str, deque[Chunk]] = {}
    for (address, version), members in by_line.items():
        queue = by_address.setdefault(address, deque())
        most = users_max(address)
        queue.extend(Chunk(address, version, members[at : at + most]) for at in range(0, len(members), most))
    return Divided(by_address, homeless)
