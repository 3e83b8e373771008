"""What one router knows of a candidate that it tries, and the pointer's move that follows from a verdict.

A course is one candidate in one phase: rehearsing, or canary. The next phase, or another candidate, has its own.
What is done in it, and when, is `router.trials.conductor`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from router.cluster.topology import Topology
from router.served.moving import Moves
from router.served.views import Candidate, Views
from router.trials import canary
from router.trials.canary import CanaryLimits
from router.trials.suspicion import Suspicion, blamed, suspected
from trunkshow.snapshot.lifecycle import LifecycleError, Pointer, Who
from trunkshow.snapshot.states import CANDIDATE, State


class Overtaken(LifecycleError):
    """The candidate has moved on, or was withdrawn, since it was tried."""


class Outcome(Enum):
    """What trying a candidate came to."""

    PASSED = "passed"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class Intent:
    """A move that is to be made.

    Attributes:
        outcome: that it follows from.
        why: goes into the pointer's history.
        measures: for the log.
    """

    outcome: Outcome
    why: str
    measures: Mapping[str, Any] = field(default_factory=dict)

    def event(self, phase: State) -> str:
        """What the log calls it."""
        if phase is State.CANARY and self.outcome is Outcome.FAILED:
            return "canary.rolled_back"
        return f"{kind_of(phase)}.{self.outcome.value}"


class Course:
    """A candidate in one phase.

    Args:
        candidate: of the views that are served.
        current: the version that it is compared with.
        now: seconds on the monotonic clock.
        limits: of a canary.

    Attributes:
        version: the candidate's.
        current: the version that it is compared with.
        phase: rehearsing or canary.
        share: of users to whom a canary is shown.
        since: when this router first saw it.
        moves: which of its partitions are warm on enough shards.
        canary: counts a canary's answers.
        intent: the verdict, once there is one.
        doubt: what shards refused of it that nobody has, whoever has still to look; empty where there is nothing.
        said: how things stand, for a person.
    """

    def __init__(self, candidate: Candidate, current: str, now: float, limits: CanaryLimits) -> None:
        self.version = candidate.view.version
        self.current = current
        self.phase = candidate.phase
        self.share = candidate.share
        self.since = now
        # Nobody is served from it yet: what is warm counts as soon as it is.
        self.moves = Moves(self.version, current, candidate.view.partitions, whole=True)
        self.canary = canary.Trial(limits)
        self.compared = 0
        self.intent: Intent | None = None
        self.doubt = ""
        self.said = "waits for shards to have it warm"
        self._doubted_at = now
        self._suspicion: Suspicion | None = None
        self._told_at: int | None = None
        self._overruled_at: int | None = None
        self._retry_at = now

    def is_on(self, views: Views) -> bool:
        """Whether this is still what is tried."""
        candidate = views.candidate
        return candidate is not None and (candidate.view.version, candidate.phase, views.current.version) == (
            self.version,
            self.phase,
            self.current,
        )

    @property
    def kind(self) -> str:
        """What the log calls it."""
        return kind_of(self.phase)

    @property
    def requests(self) -> int:
        """Compared so far: replayed in a rehearsal, served in a canary."""
        return self.canary.answers if self.phase is State.CANARY else self.compared

    def spoilt(self, topology: Topology, now: float) -> Intent | None:
        """What follows from what shards refused; None where somebody has it, or may have it yet."""
        doubted, self.doubt = bool(self.doubt), blamed(topology, self.version)
        if not doubted:
            self._doubted_at = now
        found = self._suspicion = suspected(self._suspicion, self.version, topology, now)
        return Intent(Outcome.FAILED, found.why) if found is not None and found.is_certain(now) else None

    def cold(self, now: float, within_s: float) -> Intent | None:
        """What follows from not being warm, or from a doubt; None while it can be waited for.

        That shards bring nothing is found of them (a full disk), and not of the candidate: it is given back. What they
        had a look at and refused is, also where another one never had its look.
        """
        self.said = f"{self.moves.count} of {self.moves.partitions} partitions are warm on enough shards"
        if self.doubt:
            self.said = f"{self.said}; {self.doubt}"
        if now - (self._doubted_at if self.doubt else self.since) <= within_s:
            return None
        outcome = Outcome.FAILED if self.doubt else Outcome.WITHDRAWN
        return Intent(outcome, f"not warm within {within_s:g} s: {self.said}")

    def may_tell(self, now: float, serial: int) -> bool:
        """Whether the store is to be told the verdict: not yet, or again now that the pointer has moved."""
        return self._told_at is None and serial != self._overruled_at and now >= self._retry_at

    def told(self, serial: int) -> None:
        """The store was told; its pointer has this serial now."""
        self._told_at = serial

    def overruled(self, serial: int) -> None:
        """The rules forbade the move, as long as the pointer has this serial."""
        self._overruled_at = serial

    def unheard(self, retry_at: float) -> None:
        """The store did not answer."""
        self._retry_at = retry_at

    def is_over(self, serial: int) -> bool:
        """Whether a pointer of this serial knows the verdict: who is a candidate in it is one anew."""
        return self._told_at is not None and serial >= self._told_at


def kind_of(phase: State) -> str:
    """What the log calls a phase."""
    return "canary" if phase is State.CANARY else "rehearsal"


def moved(pointer: Pointer, *, version: str, phase: State, intent: Intent, who: Who) -> Pointer:
    """The pointer after a verdict.

    Raises:
        Overtaken: the candidate is not in that phase any more.
        LifecycleError: the rules forbid the move, such as while the current version is pinned.
    """
    state = pointer.states.get(version)
    if state is not phase:
        raise Overtaken(f"{version} is {state or 'gone'}, and was {phase} when it was tried")
    if intent.outcome is Outcome.FAILED:
        return pointer.refused(version, who)
    if intent.outcome is Outcome.WITHDRAWN:
        return pointer.withdrawn(who)
    if phase is State.REHEARSING and pointer.canary_share > 0:
        return pointer.canaried(version, pointer.canary_share, who)
    return pointer.promoted(version, who)


def refused_candidate(pointer: Pointer, *, version: str, who: Who) -> Pointer:
    """The pointer after a candidate's files failed a check; the same one where it is no candidate."""
    return pointer.refused(version, who) if pointer.states.get(version) in CANDIDATE else pointer


def given_back(pointer: Pointer, *, version: str, who: Who) -> Pointer:
    """The pointer after a router could not open a candidate; the same one where others could, and show it already."""
    return pointer.withdrawn(who) if pointer.states.get(version) is State.REHEARSING else pointer
