"""The snapshots that a router serves, as one value: the current one, the one before, and the one that is tried.

Rules, by which a pointer of the store and the snapshots that are open become what is served (`chosen`):

1. The pointer's current version is served. Until it is open here, or where it was refused here, the pointer's
   previous one is; where that is not open either, what was served goes on.
2. What a pointer does not name any more is not served, unless by rule 1.
3. Where two versions are served, traffic moves from one to the other partition by partition (`router.moving`).
4. What traffic comes from is the version that served it, also where the pointer has retired that one meanwhile: of two
   promotions in a row the first may be warm nowhere. Once everything has moved, it is the pointer's previous one again.
   What is poisoned serves nothing.

Opening and closing, and that nobody's view is closed under them, is `router.keeper`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from router import validate
from router.canary import Group
from router.moving import Moves
from router.resident import Resident
from router.validate import Known
from trunkshow import carousels
from trunkshow.errors import InvalidArgument
from trunkshow.models.protocol import Floats
from trunkshow.snapshot.directory import Home
from trunkshow.snapshot.lifecycle import Pointer, State
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import recommendation_pb2 as pb


@dataclass(frozen=True, eq=False)
class View:
    """One snapshot, with what a router makes of it.

    Attributes:
        snapshot: open.
        resident: makes carousels from its shared files.
        known: what a request can name.
    """

    snapshot: Snapshot
    resident: Resident
    known: Known

    @classmethod
    def of(cls, snapshot: Snapshot) -> View:
        """A snapshot as a view; it is closed with it."""
        known = Known(snapshot.carousels, snapshot.catalogue.attribute_names)
        return cls(snapshot, Resident(snapshot), known)

    @property
    def version(self) -> str:
        """Of the snapshot."""
        return self.snapshot.version

    @property
    def partitions(self) -> int:
        """How many it has."""
        return self.snapshot.partitions

    def find(self, user_id: str) -> Home | None:
        """Where a user lives; None for one that this snapshot has not seen."""
        return self.snapshot.directory.find(user_id)

    def nearest(self, vector: Floats, count: int) -> Sequence[int]:
        """The partitions nearest to a taste, nearest first."""
        return self.snapshot.codebook.probe(vector, min(count, self.partitions))

    def wanted(self, request: pb.RecommendRequest, *, impersonal: bool) -> tuple[str, ...]:
        """The carousels of a slate, in order."""
        return carousels.resolve(
            request.carousels, request.surface, impersonal=impersonal, has_occasions=self.snapshot.has_occasions
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
        previous: the one before; None where there is none.
        candidate: None where there is none, or it is not open here.
        moves: how far traffic has moved from the previous to the current one.
        serial: of the pointer that this follows.
    """

    current: View
    previous: View | None = None
    candidate: Candidate | None = None
    moves: Moves = field(default_factory=lambda: Moves(""))
    serial: int = 0

    @classmethod
    def of(
        cls, current: View, previous: View | None = None, candidate: Candidate | None = None, serial: int = 0
    ) -> Views:
        """These, with nothing moved yet."""
        before = previous.version if previous else ""
        return cls(current, previous, candidate, Moves(current.version, before, current.partitions), serial)

    @property
    def before(self) -> View | None:
        """The snapshot that some partitions are still served from; None once everything has moved."""
        return None if self.moves.complete else self.previous

    @property
    def has_moved(self) -> bool:
        """Whether there was traffic to move, and all of it has moved."""
        return bool(self.moves.before) and self.moves.complete

    def __iter__(self) -> Iterator[View]:
        yield self.current
        if self.previous is not None:
            yield self.previous
        if self.candidate is not None:
            yield self.candidate.view

    def canary_of(self, user_id: str) -> View | None:
        """The candidate, for a user to whom it is shown."""
        candidate = self.candidate
        return candidate.view if candidate is not None and candidate.is_shown_to(user_id) else None

    def moved_on(self, moves: Moves) -> Views:
        """With more of the traffic moved."""
        return self if moves is self.moves else replace(self, moves=moves)


def versions_of(pointer: Pointer) -> tuple[str, ...]:
    """The versions that a router opens for a pointer, the most urgent first."""
    named = (pointer.current, pointer.previous, pointer.candidate)
    return tuple(dict.fromkeys(version for version in named if version))


def chosen(pointer: Pointer, opened: Mapping[str, View], was: Views | None) -> Views | None:
    """What is served, by the rules above; None where nothing can be.

    Args:
        pointer: as it was last read.
        opened: views by version.
        was: served until now.
    """
    first, second = opened.get(pointer.current), opened.get(pointer.previous)
    current = first or second or (was.current if was else None)
    if current is None:
        return None
    previous = _previous(pointer, current, opened, was)
    fresh = Views.of(current, previous, _candidate(pointer, opened, was), pointer.serial)
    if was is None or was.current is not current:
        return fresh
    if was.previous is previous:
        return fresh.moved_on(was.moves)
    return fresh.moved_on(replace(was.moves, before=fresh.moves.before)) if was.has_moved else fresh


def _previous(pointer: Pointer, current: View, opened: Mapping[str, View], was: Views | None) -> View | None:
    """What traffic comes from (rule 4), else what it can return to."""
    stays = was is not None and was.current is current
    serving = was and (was.before or (None if stays else was.current))
    if serving and serving is not current and pointer.states.get(serving.version) is not State.POISONED:
        return serving
    if current is opened.get(pointer.current):
        return opened.get(pointer.previous)
    return was.previous if was is not None and stays else None


def _candidate(pointer: Pointer, opened: Mapping[str, View], was: Views | None) -> Candidate | None:
    view = opened.get(pointer.candidate)
    if view is None:
        return None
    before = was.candidate if was is not None else None
    phase, share = pointer.states[pointer.candidate], pointer.canary_share
    same = before is not None and (before.view, before.phase, before.share) == (view, phase, share)
    return before if same else Candidate(view, phase, share)
