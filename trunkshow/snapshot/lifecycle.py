"""The moves of the pointer, and the rules that they keep: which version is served, and what becomes of the others.

A version's steps, and which may follow which, are `trunkshow.snapshot.states`'. Of all versions together:

1. At most one version is current, one previous, and one a candidate (rehearsing or canary).
2. Promoting makes the current version the previous one, and the previous one retired.
3. Rolling back poisons the current version, and makes the previous one, or a retired one that is named, current. What
   is refused or poisoned never serves again, and its name can never be pushed again.
4. While a version is pinned, nothing but unpinning and rolling back moves the current version.
5. There is a candidate only beside a current version, which it is compared with; the first version is promoted.
6. Every move has a line in the history; the newest `HISTORY_MAX` are kept here.

A pointer is a value; every move returns a new one with the next serial. How it is written is
`trunkshow.snapshot.pointer_json`'s business; where it lies, and that two movers cannot both win, `store`'s.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from trunkshow.snapshot.states import NEXT, SERVED, State

HISTORY_MAX = 500
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")


class LifecycleError(Exception):
    """A move that the rules forbid; the message is one line that says what to do."""


@dataclass(frozen=True)
class Move:
    """A line of the history.

    Attributes:
        at: ISO 8601, UTC.
        event: pushed, rehearsing, canary, promoted, refused, withdrawn, rolled_back, pinned, unpinned or collected.
        version: that it is about.
        previous: the version that was current before; empty where none was.
        by: who did it.
        why: in words; empty where the event says enough.
    """

    at: str
    event: str
    version: str
    previous: str = ""
    by: str = ""
    why: str = ""


@dataclass(frozen=True)
class Who:
    """Who moves the pointer, and when: ports, so that a pointer's moves stay functions over values."""

    at: str
    by: str = ""
    why: str = ""


@dataclass(frozen=True)
class Pointer:
    """What a store serves.

    Attributes:
        serial: 0 where nothing was ever pushed; one more with every move.
        states: of every version that the store knows.
        pinned: whether the current version must stay.
        canary_share: of users to whom a canary is shown, and a rehearsed version after it passed; 0 for all at once.
        history: the newest moves, oldest first.
        manifests: SHA-256 of the manifest of every version that has files, in hex: what was pushed is what is opened.
    """

    serial: int = 0
    states: Mapping[str, State] = field(default_factory=dict)
    pinned: bool = False
    canary_share: float = 0.0
    history: tuple[Move, ...] = ()
    manifests: Mapping[str, str] = field(default_factory=dict)

    @property
    def current(self) -> str:
        """The version that is served; empty where there is none."""
        return self._only(State.CURRENT)

    @property
    def previous(self) -> str:
        """The version that was current before, and that rolling back returns to; empty where there is none."""
        return self._only(State.PREVIOUS)

    @property
    def candidate(self) -> str:
        """The version that is rehearsed or shown to a few; empty where there is none."""
        return self._only(State.REHEARSING) or self._only(State.CANARY)

    def parent(self, version: str) -> str:
        """The version that another one is compared with: the current one's is the previous, which itself has none."""
        return {self.current: self.previous, self.previous: ""}.get(version, self.current)

    def may_be_past(self, known: Pointer) -> bool:
        """Whether this is, for all that can be told, an earlier state of a pointer that is known.

        Moves are numbered and never change. A pointer with a lower serial that tells another move of the same number
        is no past of the known one: the store was made anew, or put back from a copy and moved on since.
        """
        return self.serial < known.serial and not _contradict(self._numbered(), known._numbered())

    def _numbered(self) -> Mapping[int, Move]:
        """The moves of the history, by the serial that each led to."""
        return {self.serial - back: move for back, move in enumerate(reversed(self.history))}

    def pushed(self, version: str, who: Who, manifest_sha256: str = "") -> Pointer:
        """A complete snapshot is in the store, with a manifest of this checksum."""
        if not is_name(version):
            raise LifecycleError(f"{version!r} is no name of a version")
        if version in self.states:
            raise LifecycleError(f"{version} was pushed before, and is {self.states[version]}; build a new one")
        moved = self._moved({version: State.PUSHED}, "pushed", version, who)
        return replace(moved, manifests=MappingProxyType({**self.manifests, version: manifest_sha256}))

    def rehearsed(self, version: str, canary_share: float, who: Who) -> Pointer:
        """Shards are to open it, and routers to replay requests on it; after that it is shown to `canary_share`."""
        self._check_may_change(version)
        self._check_comparable(version)
        _check_share(canary_share)
        moved = self._moved({**self._withdrawn(), version: State.REHEARSING}, "rehearsing", version, who)
        return replace(moved, canary_share=canary_share)

    def canaried(self, version: str, canary_share: float, who: Who) -> Pointer:
        """A share of the users get it."""
        self._check_may_change(version)
        self._check_comparable(version)
        _check_share(canary_share)
        if not canary_share:
            raise LifecycleError("a canary needs a share of the users above 0")
        moved = self._moved({**self._withdrawn(), version: State.CANARY}, "canary", version, who)
        return replace(moved, canary_share=canary_share)

    def promoted(self, version: str, who: Who) -> Pointer:
        """Everybody gets it."""
        if version == self.current:
            raise LifecycleError(f"{version} is the current version already")
        self._check_may_change(version)
        if self.states[version] in {State.PREVIOUS, State.RETIRED}:
            raise LifecycleError(f"{version} was served before; to return to it, roll back")
        return self._moved({**self._withdrawn(), **self._made_way(), version: State.CURRENT}, "promoted", version, who)

    def refused(self, version: str, who: Who) -> Pointer:
        """A candidate failed; it is never served again."""
        self._check_known(version)
        return self._moved({version: State.REFUSED}, "refused", version, who)

    def withdrawn(self, who: Who) -> Pointer:
        """The candidate is no candidate any more; it may be one again later."""
        if not self.candidate:
            raise LifecycleError("there is no candidate to withdraw")
        return self._moved(self._withdrawn(), "withdrawn", self.candidate, who)

    def rolled_back(self, who: Who, to: str = "") -> Pointer:
        """The current version is poisoned; the previous one, or the retired one named, is served again."""
        target = to or self.previous
        if not target:
            raise LifecycleError("there is no previous version to roll back to; name a retired one")
        self._check_known(target)
        if self.states[target] not in {State.PREVIOUS, State.RETIRED}:
            raise LifecycleError(
                f"{target} is {self.states[target]}; only a version that was served can be returned to"
            )
        changes = {target: State.CURRENT}
        if self.current:
            changes[self.current] = State.POISONED
        moved = self._moved({**self._withdrawn(), **changes}, "rolled_back", target, who)
        return replace(moved, pinned=False)

    def with_pin(self, who: Who) -> Pointer:
        """The current version stays until it is unpinned or rolled back."""
        if not self.current:
            raise LifecycleError("nothing is served that could be pinned")
        return replace(self._moved({}, "pinned", self.current, who), pinned=True)

    def without_pin(self, who: Who) -> Pointer:
        """The current version may change again."""
        if not self.pinned:
            raise LifecycleError("nothing is pinned")
        return replace(self._moved({}, "unpinned", self.current, who), pinned=False)

    def collectable(self, keep: int) -> list[str]:
        """Versions whose files may be removed, oldest first; of the retired ones, the `keep` newest stay."""
        retired = sorted(one for one, state in self.states.items() if state is State.RETIRED)
        dead = [one for one, state in self.states.items() if state in {State.REFUSED, State.POISONED}]
        return sorted([*dead, *retired[: max(0, len(retired) - keep)]])

    def collected(self, version: str, who: Who) -> Pointer:
        """A version's files are to be removed. The dead are remembered, so that they cannot be pushed again."""
        self._check_known(version)
        if self.states[version] in SERVED or self.states[version] is State.PUSHED:
            raise LifecycleError(f"{version} is {self.states[version]}; it cannot be collected")
        forgotten = {version} if self.states[version] is State.RETIRED else set()
        return replace(
            self._moved({}, "collected", version, who),
            states=MappingProxyType({one: state for one, state in self.states.items() if one not in forgotten}),
            manifests=MappingProxyType({one: sha256 for one, sha256 in self.manifests.items() if one != version}),
        )

    def _only(self, wanted: State) -> str:
        return next((version for version, state in self.states.items() if state is wanted), "")

    def _check_known(self, version: str) -> None:
        if version not in self.states:
            known = ", ".join(sorted(self.states)) or "none"
            raise LifecycleError(f"there is no version {version!r}; there are: {known}")

    def _check_comparable(self, version: str) -> None:
        if not self.current:
            raise LifecycleError(f"nothing is served that {version} could be compared with; promote it")

    def _check_may_change(self, version: str) -> None:
        self._check_known(version)
        if self.pinned:
            raise LifecycleError(f"{self.current} is pinned; unpin it first")
        if self.states[version] in {State.REFUSED, State.POISONED}:
            raise LifecycleError(f"{version} is {self.states[version]}; it is never served again")

    def _withdrawn(self) -> dict[str, State]:
        return {self.candidate: State.PUSHED} if self.candidate else {}

    def _made_way(self) -> dict[str, State]:
        changes = {}
        if self.previous:
            changes[self.previous] = State.RETIRED
        if self.current:
            changes[self.current] = State.PREVIOUS
        return changes

    def _moved(self, changes: Mapping[str, State], event: str, version: str, who: Who) -> Pointer:
        for one, after in changes.items():
            before = self.states.get(one)
            if before is not None and after not in NEXT[before] and after is not before:
                raise LifecycleError(f"{one} is {before} and cannot become {after}")
        move = Move(who.at, event, version, self.current, who.by, who.why)
        return replace(
            self,
            serial=self.serial + 1,
            states=MappingProxyType({**self.states, **changes}),
            history=(*self.history, move)[-HISTORY_MAX:],
        )


def is_name(version: str) -> bool:
    """Whether it can name a version: a plain word, that is safe as a folder's name."""
    return _NAME.match(version) is not None


def _contradict(some: Mapping[int, Move], others: Mapping[int, Move]) -> bool:
    return any(some[number] != others[number] for number in some.keys() & others.keys())


def _check_share(share: float) -> None:
    if not (math.isfinite(share) and 0 <= share <= 1):
        raise LifecycleError(f"a canary's share of the users is 0 to 1, not {share}")
