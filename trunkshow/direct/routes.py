"""Where users live, as routers said: kept for as long as each may be used, and for so many of them at most.

    unknown → wanted → known → (halfway through its life, if it is used) wanted, and used meanwhile → …

Rules:

1. A route is used for its life after the question for it was sent, and no longer, and for its snapshot alone.
2. Of a user whom only the router can answer for, that is kept just so: they are not asked about again meanwhile.
3. Who becomes wanted is asked about with the others, beside their request, which goes to the router.
4. Beyond the limit the route that was learned first goes.

The time is the caller's to say.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from trunkshow.v1 import direct_pb2

ROUTES_MAX = 100_000
"""A route takes about 250 bytes."""

WANTED_MAX = 10_000
"""Beyond them a user is asked about at their next request."""

_ROUTER_ONLY = -1


class Route(NamedTuple):
    """Where a user lives.

    Attributes:
        version: of the snapshot.
        partition: of it; below 0 for a user whom only the router can answer for.
        renewed_from: when a user who is asked for is wanted anew.
        until: when it ends; both in seconds on the caller's clock.
    """

    version: str
    partition: int
    renewed_from: float
    until: float


class Routes:
    """What is known, and who is wanted.

    Args:
        most: routes that are kept.
    """

    def __init__(self, most: int = ROUTES_MAX) -> None:
        self._most = most
        self._known: dict[str, Route] = {}
        self._wanted: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._known)

    @property
    def any_wanted(self) -> bool:
        """Whether somebody is."""
        return bool(self._wanted)

    def find(self, user: str, version: str, now: float) -> Route | None:
        """A user's route in this snapshot; None where there is none, or only the router can answer.

        Who is not known is wanted.
        """
        route = self._known.get(user)
        if route is not None and (route.version != version or now >= route.until):
            del self._known[user]
            route = None
        if (route is None or now >= route.renewed_from) and len(self._wanted) < WANTED_MAX:
            self._wanted[user] = None
        return None if route is None or route.partition < 0 else route

    def take_wanted(self, most: int) -> list[str]:
        """Users to ask about now; they are not wanted any more."""
        taken = list(self._wanted)[:most]
        for user in taken:
            del self._wanted[user]
        return taken

    def learn(self, users: Iterable[str], answer: direct_pb2.GetRoutesResponse, asked_at: float) -> None:
        """What a router said of these users.

        Args:
            users: as they were asked about.
            answer: of the router.
            asked_at: when that was asked.
        """
        life_s = answer.life_ms / 1000
        for user, partition in zip(users, answer.partitions, strict=False):
            self._keep(user, Route(answer.snapshot_version, partition - 1, asked_at + life_s / 2, asked_at + life_s))

    def leave_to_router(self, user: str, route: Route) -> None:
        """A shard could not make all of a user's slate: the router is asked for the rest of the route's life."""
        self._keep(user, route._replace(partition=_ROUTER_ONLY, renewed_from=route.until))

    def forget(self, user: str) -> None:
        """A user lives somewhere else."""
        self._known.pop(user, None)

    def clear(self) -> None:
        """Nothing that was said holds any more."""
        self._known.clear()

    def _keep(self, user: str, route: Route) -> None:
        self._known.pop(user, None)
        if len(self._known) >= self._most:
            del self._known[next(iter(self._known))]
        self._known[user] = route
