"""The snapshots that a router serves, as one value: the current one, the one before, and the one that is tried.

Which they are is decided by `router.served.choosing`. Opening and closing, and that nobody's view is closed under them,
is `router.served.keeper`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from router.served.canary_group import Group
from router.served.moving import Moves
from router.slates import validate
from router.slates.resident import Resident
from router.slates.validate import Known
from trunkshow import carousels
from trunkshow.errors import InvalidArgument
from trunkshow.models.protocol import Floats
from trunkshow.online.newcomers import Newcomers, home_of
from trunkshow.online.trends import EVERYBODY, Latest
from trunkshow.snapshot.directory import Home
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.states import State
from trunkshow.v1 import recommendation_pb2 as pb


@dataclass(frozen=True, eq=False)
class View:
    """One snapshot, with what a router makes of it.

    Attributes:
        snapshot: open.
        resident: makes carousels from its shared files.
        known: what a request can name.
        newcomers: users whom the snapshot does not know and the event log does, as far as somebody told of them.
        hidden: users whom the snapshot knows, and who asked to be forgotten since, as far as somebody told of them.
        trends: what trends now, as far as somebody told of it.
    """

    snapshot: Snapshot
    resident: Resident
    known: Known
    newcomers: Newcomers
    hidden: set[str] = field(default_factory=set)
    trends: Latest = field(default_factory=Latest)

    @classmethod
    def of(cls, snapshot: Snapshot) -> View:
        """A snapshot as a view; it is closed with it."""
        known = Known(snapshot.carousels, snapshot.catalogue.attribute_names)
        newcomers = Newcomers(lambda row: home_of(snapshot.ials.equations, snapshot.codebook, row))
        trends = Latest()
        return cls(snapshot, Resident(snapshot, lambda: trends.now), known, newcomers, trends=trends)

    @property
    def version(self) -> str:
        """Of the snapshot."""
        return self.snapshot.version

    @property
    def partitions(self) -> int:
        """How many it has."""
        return self.snapshot.partitions

    def find(self, user_id: str) -> Home | None:
        """Where a user lives; None for one whom neither this snapshot nor, since then, the event log has seen."""
        home = self.home_in_snapshot(user_id)
        if home is None and (partition := self._newcomers_home(user_id)) is not None:
            return Home(partition, segment=-1)
        return home

    def _newcomers_home(self, user_id: str) -> int | None:
        """Where a newcomer lives, or, while they are unsettled, where they are led; None where nothing leads there."""
        home, lead = self.newcomers.find(user_id), self.newcomers.lead(user_id)
        if home is not None or lead is None:
            return home
        row = self.snapshot.catalogue.row(lead.item_id)
        return None if row is None else home_of(self.snapshot, self.snapshot.codebook, row, bad=lead.bad)

    def is_stranger(self, user_id: str) -> bool:
        """Whether neither this snapshot nor, since then, the event log knows of anything that a user did."""
        return self.home_in_snapshot(user_id) is None and self.newcomers.did_nothing(user_id)

    def home_in_snapshot(self, user_id: str) -> Home | None:
        """Where the snapshot has a user; None for one who is to be forgotten."""
        return None if user_id in self.hidden else self.snapshot.directory.find(user_id)

    def forget(self, user_id: str, *, hide: bool) -> None:
        """Somebody asked to be forgotten: as a newcomer they never came; as a user they are hidden, where they are."""
        self.newcomers.forget(user_id)
        if hide:
            self.hidden.add(user_id)

    def nearest(self, vector: Floats, count: int) -> Sequence[int]:
        """The partitions nearest to a taste, nearest first."""
        return self.snapshot.codebook.probe(vector, min(count, self.partitions))

    @property
    def has_trends(self) -> bool:
        """Whether anything trends now, with everybody."""
        return bool(self.trends.now.of(EVERYBODY))

    def wanted(self, request: pb.RecommendRequest, *, impersonal: bool) -> tuple[str, ...]:
        """The carousels of a slate, in order."""
        return carousels.resolve(
            request.carousels,
            request.surface,
            impersonal=impersonal,
            has_occasions=self.snapshot.has_occasions,
            has_trends=not request.carousels and self.has_trends,  # what is asked for by name is made, whatever trends
        )

    def admits(self, request: pb.RecommendRequest) -> bool:
        """Whether a request that another snapshot admitted can be asked of this one."""
        try:
            validate.check(request, self.known)
        except InvalidArgument:
            return False
        return True


@dataclass(frozen=True, eq=False)
class Candidate:
    """A snapshot on its way to become the current one, as the store's pointer has it.

    Attributes:
        view: of it.
        phase: rehearsing or canary.
        share: of the users to whom a canary is shown.
    """

    view: View
    phase: State
    share: float

    @cached_property
    def group(self) -> Group:
        """The users to whom it is shown, while it is a canary."""
        return Group(self.view.version, self.share)

    def is_shown_to(self, user_id: str) -> bool:
        """Whether a user gets it first."""
        return self.phase is State.CANARY and user_id in self.group


@dataclass(frozen=True)
class Views:
    """What is served as of now.

    Attributes:
        current: the newest snapshot that everybody gets.
        previous: the one before, as the pointer has it; None where there is none.
        candidate: None where there is none, or it is not open here.
        moves: how far traffic has moved to the current one.
        serial: of the pointer that this follows.
        served: what it moves from; None where there is nothing.
    """

    current: View
    previous: View | None = None
    candidate: Candidate | None = None
    moves: Moves = field(default_factory=lambda: Moves(""))
    serial: int = 0
    served: View | None = None

    @classmethod
    def of(cls, current: View, previous: View | None = None, candidate: Candidate | None = None) -> Views:
        """These, with nothing moved yet from the previous to the current one."""
        before = previous.version if previous else ""
        moves = Moves(current.version, before, current.partitions)
        return cls(current, previous, candidate, moves, served=previous)

    @property
    def before(self) -> View | None:
        """The snapshot that some partitions are still served from; None once everything has moved."""
        return None if self.moves.complete else self.served

    @property
    def earlier(self) -> tuple[View, ...]:
        """The snapshots below the current one, best first.

        What really served until now stands before the pointer's previous one, which may have been overtaken before
        anybody had it warm.
        """
        found = (self.before, self.previous)
        return tuple(dict.fromkeys(view for view in found if view is not None))

    @property
    def everybodys(self) -> View:
        """The snapshot whose shared lists are shown: the one before, until something of the current one is served."""
        before = self.before
        return self.current if before is None or self.moves.moved else before

    def __iter__(self) -> Iterator[View]:
        yield self.current
        yield from self.earlier
        if self.candidate is not None:
            yield self.candidate.view

    def at(self, version: str) -> View | None:
        """The view of a version, where it is served."""
        return next((view for view in self if view.version == version), None)

    def canary_of(self, user_id: str) -> View | None:
        """The candidate, for a user to whom it is shown."""
        candidate = self.candidate
        return candidate.view if candidate is not None and candidate.is_shown_to(user_id) else None

    def moved_on(self, moves: Moves) -> Views:
        """With more of the traffic moved."""
        return self if moves is self.moves else replace(self, moves=moves)
