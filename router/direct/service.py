"""DirectService: clients that ask shards themselves hear where their users live, and who holds that, as it changes.

One look every 50 ms, for all who watch, finds out whether there is anything new to say; a look at what has not changed
compares a few references. What may be told is `router.direct.placing`'s to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from typing import Never

from router.cluster.topology import Topology
from router.cluster.watch import Board
from router.direct import placing
from router.served.keeper import Keeper
from router.served.views import Views
from trunkshow.errors import InvalidArgument
from trunkshow.serving.auth import Role
from trunkshow.serving.call import CallView
from trunkshow.serving.methods import Service
from trunkshow.serving.rounds import rounds
from trunkshow.v1 import direct_pb2

NAME = "trunkshow.v1.DirectService"

LOOK_EVERY_S = 0.05
SIGN_EVERY_S = 1.0
USERS_MAX = 1000
ID_BYTES_MAX = 256

_Seen = tuple[Views, Topology, Collection[str], str, bool]


class DirectService:
    """What a router tells clients that ask shards themselves.

    Args:
        keeper: of what is served.
        board: with the newest topology.
        unwell: shards that are asked last, as of now.
        forgotten: watermark of the tombstones that were read.
        grant: one that ends in so many seconds; empty where there is nothing to make it of.
        deadline_ms: within which this router answers a slate.
        route_s: that what it says of a user may be used.
    """

    def __init__(
        self,
        keeper: Keeper,
        board: Board,
        *,
        unwell: Callable[[], Collection[str]],
        forgotten: Callable[[], str],
        grant: Callable[[float], str],
        deadline_ms: float,
        route_s: float,
    ) -> None:
        self._keeper = keeper
        self._board = board
        self._unwell = unwell
        self._forgotten = forgotten
        self._grant = grant
        self._deadline_ms = deadline_ms
        self._route_s = route_s
        self._seen: _Seen | None = None
        self._placement = direct_pb2.Placement()
        self._changed = asyncio.Event()

    def service(self) -> Service:
        """The methods, for registration."""
        return Service(
            NAME,
            unary={"GetRoutes": self.get_routes},
            stream={"WatchPlacement": self.watch_placement},
            endless=frozenset({"WatchPlacement"}),
            role=Role.READ,
        )

    async def run(self) -> Never:
        """Look, until cancelled, whether there is anything new to say."""
        await rounds(self._look, LOOK_EVERY_S, failed="direct.failed")

    async def get_routes(self, data: bytes, call: CallView) -> bytes:
        """GetRoutes.

        Raises:
            InvalidArgument: too many users, or what is no user's id.
        """
        del call
        users = direct_pb2.GetRoutesRequest.FromString(data).user_ids
        if not 1 <= len(users) <= USERS_MAX:
            message = f"user_ids: {len(users)} given; 1 to {USERS_MAX} are allowed"
            raise InvalidArgument(message, field="user_ids", reason="USER_IDS")
        if not all(1 <= len(user.encode()) <= ID_BYTES_MAX for user in users):
            message = f"user_ids: one is empty, or longer than {ID_BYTES_MAX} bytes"
            raise InvalidArgument(message, field="user_ids", reason="USER_ID_LENGTH")
        views = self._keeper.now
        view = placing.told_of(views)
        return direct_pb2.GetRoutesResponse(
            snapshot_version="" if view is None else view.version,
            partitions=placing.homes(views, users),
            life_ms=round(self._route_s * 1000),
            grant="" if view is None else self._grant(self._route_s),
            forgotten=self._forgotten(),
        ).SerializeToString()

    async def watch_placement(self, data: bytes, call: CallView) -> AsyncIterator[bytes]:
        """WatchPlacement."""
        del call
        direct_pb2.WatchPlacementRequest.FromString(data)
        said: direct_pb2.Placement | None = None
        while True:
            changed, now = self._changed, self._newest()
            news = now if now is not said else None
            said = now
            yield direct_pb2.WatchPlacementResponse(placement=news).SerializeToString()
            waiting = asyncio.ensure_future(changed.wait())
            await asyncio.wait({waiting}, timeout=SIGN_EVERY_S)
            waiting.cancel()

    async def _look(self) -> None:
        before = self._placement
        if self._newest() is not before:
            self._changed.set()
            self._changed = asyncio.Event()

    def _newest(self) -> direct_pb2.Placement:
        """The placement as of now; the same object for as long as it says the same."""
        views, topology, unwell, forgotten, _ = now = (
            self._keeper.now,
            self._board.topology,
            self._unwell(),
            self._forgotten(),
            self._keeper.now.current.has_trends,
        )
        was, self._seen = self._seen, now
        same = was is not None and was[0] is views and was[1] is topology and was[2:] == now[2:]
        if not same:
            made = placing.placement(views, topology, unwell, deadline_ms=self._deadline_ms, forgotten=forgotten)
            self._placement = self._placement if made == self._placement else made
        return self._placement
