"""Where a user's slate is looked for: which snapshot, which partition, at which rung, in which order.

Rules:

1. A user to whom a candidate is shown is looked for there first, where somebody holds that partition of it. Where
   nobody does, the answer was meant from it all the same: that nobody holds it is what the candidate is tried for.
2. Then in the current snapshot, and in the previous one, which counts as the rung PREVIOUS.
3. While a partition has not moved to the current snapshot, the one that served until now comes first, and both count as
   SNAPSHOT: no user has been promised the new one yet. Before the current one is whole (`router.served.moving`) it
   takes nobody's place, nor do the copies of its users: a part of it that nobody has looked at may be spoilt.
4. Then among the compact copies of the user, of the current snapshot before the previous one.
5. Who is not in the current snapshot is a stranger there, also where the previous one knew them: they may have asked
   to be forgotten. Only while traffic moves is the previous one asked for them, as it was a moment ago. And who is
   only in the current one is a stranger until some of the traffic has moved: it may yet turn out to be spoilt.
6. A previous snapshot of which a partition, or the copies of its users, turned out to be spoilt is not asked for the
   others either: it was overtaken before anybody took it back.
7. A request is admitted by the current snapshot, or, while traffic moves, by the one before where that serves them: a
   swap that drops an attribute turns nobody away before their traffic has moved.
8. A snapshot that cannot be asked for what the request names (a filter, a carousel) is passed over, as is, after the
   first place, whatever nobody holds.
9. What only the current snapshot can be asked for is asked of it, or made of its lists, before it is whole: rule 3
   keeps it from taking a place, and here there is none to take. Its own files were verified before a partition is
   warm, so that such a slate is right; should another partition turn out to be spoilt, the version is rolled back as
   ever, and nobody was served worse meanwhile. What it cannot give yet steps down, and the receipt says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from router.cluster.topology import Topology
from router.served.moving import spoilt, spoilt_copies
from router.served.views import View, Views
from router.slates import validate
from trunkshow.errors import InvalidArgument
from trunkshow.snapshot.directory import Home
from trunkshow.v1 import recommendation_pb2 as pb


class Place(NamedTuple):
    """Where a known user's slate is looked for.

    Attributes:
        view: of the snapshot.
        home: of the user in it.
        rung: that a slate from there is of.
    """

    view: View
    home: Home
    rung: pb.Rung

    @property
    def stand_in(self) -> bool:
        """Whether it is the compact copy that is asked for."""
        return self.rung == pb.RUNG_STAND_IN

    def held(self, topology: Topology) -> tuple[str, ...]:
        """Who can be asked."""
        holders = topology.stand_ins if self.stand_in else topology.holders
        return holders(self.view.version, self.home.partition)


def check(request: pb.RecommendRequest, views: Views) -> None:
    """Refuse what cannot be asked for (rule 7).

    Raises:
        InvalidArgument: naming the first field at fault.
    """
    try:
        validate.check(request, views.current.known)
    except InvalidArgument:
        if views.before is None or _has_moved(request.user_id, views) or not views.before.admits(request):
            raise


def first(request: pb.RecommendRequest, views: Views, topology: Topology) -> Place | None:
    """The place that is asked first; None for a stranger."""
    user = request.user_id
    tried = _tried(request, views)
    if tried is not None and tried.held(topology):
        return tried
    home = views.current.find(user)
    before = views.before
    if before is None:
        return None if home is None else Place(views.current, home, pb.RUNG_SNAPSHOT)
    if home is not None and views.moves.has(home.partition):
        return Place(views.current, home, pb.RUNG_SNAPSHOT)
    unmoved = _in(before, user, request)
    if unmoved is not None:
        return unmoved
    strange = home is None or (before.admits(request) and not (_some_moved(views) and views.current.admits(request)))
    return None if home is None or strange else Place(views.current, home, pb.RUNG_SNAPSHOT)


def meant(request: pb.RecommendRequest, views: Views, begun: Place) -> str:
    """The version that a known user's answer was meant from, whoever was asked first (rule 1)."""
    tried = _tried(request, views)
    return tried.view.version if tried is not None else begun.view.version


def below(begun: Place, request: pb.RecommendRequest, views: Views, topology: Topology) -> Iterator[Place]:
    """The places after the first one, best first; found one at a time, since hardly any request needs them."""
    user = request.user_id
    current = _in(views.current, user, request)
    trusted = current if views.moves.may_serve else None
    if trusted is not None and begun.view is not views.current and trusted.held(topology):
        yield trusted
    known = current is not None or views.before is not None
    found = earlier(views, topology) if known else ()
    lower = [place for view in found if (place := _in(view, user, request)) is not None]
    for place in lower:
        if begun.view is not place.view and place.held(topology):
            yield place._replace(rung=pb.RUNG_PREVIOUS)
    for copied in (trusted, *lower):
        stand_in = copied and copied._replace(rung=pb.RUNG_STAND_IN)
        if stand_in is not None and stand_in.held(topology):
            yield stand_in


def earlier(views: Views, topology: Topology) -> tuple[View, ...]:
    """The snapshots below the current one that may be asked, best first (rule 6)."""

    def sound(version: str) -> bool:
        return not (spoilt(topology, version) or spoilt_copies(topology, version))

    return tuple(view for view in views.earlier if view is views.before or sound(view.version))


def for_strangers(request: pb.RecommendRequest, views: Views, probed: Sequence[int]) -> View:
    """The snapshot that somebody is folded in to whose nearest partitions are these, of the current one.

    Where there are none, it is the one whose shared lists are shown.
    """
    before = views.before
    if before is None or not before.admits(request):
        return views.current
    moved = _some_moved(views) and all(map(views.moves.has, probed))
    return views.current if moved and views.current.admits(request) else before


def unasked(request: pb.RecommendRequest, views: Views) -> tuple[View, Home | None]:
    """The snapshot whose shared lists somebody gets with nobody asked, and their home in it."""
    view = for_strangers(request, views, ())
    return view, view.find(request.user_id)


def _has_moved(user: str, views: Views) -> bool:
    home = views.current.find(user)
    return home is not None and views.moves.has(home.partition)


def _some_moved(views: Views) -> bool:
    return views.everybodys is views.current


def _tried(request: pb.RecommendRequest, views: Views) -> Place | None:
    """A user's home in the candidate, where there is one, and they are shown it."""
    if views.candidate is None:  # nearly always
        return None
    return _in(views.canary_of(request.user_id), request.user_id, request)


def _in(view: View | None, user: str, request: pb.RecommendRequest) -> Place | None:
    """A user's home in a snapshot that can be asked for what the request names."""
    home = view.find(user) if view is not None else None
    if view is None or home is None or not view.admits(request):
        return None
    return Place(view, home, pb.RUNG_SNAPSHOT)
