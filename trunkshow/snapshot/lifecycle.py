"""The life of a version, from the builder's disk to the bin: one state machine over one value, the pointer.

                 ┌────────────── refused ◄──────────┐
    building → pushed → rehearsing → canary → current → previous → retired → (collected)
                 │           └────────┬────────▲  │
                 └────────────────────┴────────┘  └─ rolled back → poisoned

Rules:

1. At most one version is current, one previous, and one a candidate (rehearsing or canary).
2. Promoting makes the current version the previous one, and the previous one retired.
3. Rolling back poisons the current version, and makes the previous one, or a retired one that is named, current. What
   is refused or poisoned never serves again, and its name can never be pushed again.
4. While a version is pinned, nothing but unpinning and rolling back moves the current version.
5. There is a candidate only beside a current version, which it is compared with; the first version is promoted.
6. Every move has a line in the history; the newest `HISTORY_MAX` are kept here.

A pointer is a value; every move returns a new one with the next serial. How it is stored, and that two movers cannot
both win, is `trunkshow.snapshot.store`'s business.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

SCHEMA = 1
HISTORY_MAX = 500
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")


class LifecycleError(Exception):
    """A move that the rules forbid; the message is one line that says what to do."""


class PointerUnreadable(Exception):
    """The bytes are no pointer that this release reads; the message says why, in one line."""


class State(StrEnum):
    """A step in a version's life. One that is building has no state yet: nobody but its builder knows of it."""

    PUSHED = "pushed"
    REHEARSING = "rehearsing"
    CANARY = "canary"
    CURRENT = "current"
    PREVIOUS = "previous"
    RETIRED = "retired"
    REFUSED = "refused"
    POISONED = "poisoned"


CANDIDATE = frozenset({State.REHEARSING, State.CANARY})
SERVED = frozenset({State.CURRENT, State.PREVIOUS, *CANDIDATE})
"""States of versions that shards hold."""

REMOVABLE = frozenset({None, State.REFUSED, State.POISONED})
"""States of versions whose files may be removed; None is that of one that the pointer does not know, or no more."""

NEXT: Mapping[State, frozenset[State]] = {
    State.PUSHED: frozenset({State.REHEARSING, State.CANARY, State.CURRENT, State.REFUSED}),
    State.REHEARSING: frozenset({State.CANARY, State.CURRENT, State.REFUSED, State.PUSHED}),
    State.CANARY: frozenset({State.CURRENT, State.REFUSED, State.PUSHED}),
    State.CURRENT: frozenset({State.PREVIOUS, State.POISONED}),
    State.PREVIOUS: frozenset({State.CURRENT, State.RETIRED}),
    State.RETIRED: frozenset({State.CURRENT}),
    State.REFUSED: frozenset(),
    State.POISONED: frozenset(),
}
"""The whole machine. A candidate goes back to pushed where it is withdrawn."""


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
        withdrawn = self._withdrawn()
        moved = self._moved({**withdrawn, version: State.REHEARSING}, "rehearsing", version, who)
        return replace(moved, canary_share=canary_share)

    def canaried(self, version: str, canary_share: float, who: Who) -> Pointer:
        """A share of the users get it."""
        self._check_may_change(version)
        self._check_comparable(version)
        _check_share(canary_share)
        if not canary_share:
            raise LifecycleError("a canary needs a share of the users above 0")
        withdrawn = {one: state for one, state in self._withdrawn().items() if one != version}
        moved = self._moved({**withdrawn, version: State.CANARY}, "canary", version, who)
        return replace(moved, canary_share=canary_share)

    def promoted(self, version: str, who: Who) -> Pointer:
        """Everybody gets it."""
        if version == self.current:
            raise LifecycleError(f"{version} is the current version already")
        self._check_may_change(version)
        if self.states[version] in {State.PREVIOUS, State.RETIRED}:
            raise LifecycleError(f"{version} was served before; to return to it, roll back")
        withdrawn = {one: state for one, state in self._withdrawn().items() if one != version}
        return self._moved({**withdrawn, **self._made_way(), version: State.CURRENT}, "promoted", version, who)

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

    def to_json(self, mark: str = "") -> str:
        """The pointer as text; a mark makes this very document known from another of the same content."""
        body = {
            **({"mark": mark} if mark else {}),
            "schema": SCHEMA,
            "serial": self.serial,
            "current": self.current,  # for people, and for scripts; it is read from `states`
            "states": dict(self.states),
            "pinned": self.pinned,
            "canary_share": self.canary_share,
            "manifests": dict(self.manifests),
            "history": [asdict(move) for move in self.history],
        }
        return json.dumps(body, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Pointer:
        """The pointer in `text`.

        Raises:
            PointerUnreadable: it is none, or of a schema that this release does not read.
        """
        try:
            raw = json.loads(text)
            schema = raw["schema"]
            if schema != SCHEMA:
                raise PointerUnreadable(f"the pointer has schema {schema}; this release reads schema {SCHEMA}")
            pointer = cls(
                int(raw["serial"]),
                MappingProxyType({str(version): State(state) for version, state in raw["states"].items()}),
                bool(raw["pinned"]),
                float(raw["canary_share"]),
                tuple(Move(**{key: str(value) for key, value in move.items()}) for move in raw["history"]),
                MappingProxyType({str(version): str(sha256) for version, sha256 in raw["manifests"].items()}),
            )
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise PointerUnreadable(f"the pointer cannot be read: {error!r:.200}") from error
        for only in ({State.CURRENT}, {State.PREVIOUS}, CANDIDATE):
            if sum(1 for one in pointer.states.values() if one in only) > 1:
                raise PointerUnreadable(f"the pointer names more than one {' or '.join(sorted(only))} version")
        strange = [version for version in pointer.states if not is_name(version)]
        if strange:
            raise PointerUnreadable(f"the pointer names {strange[0][:100]!r}, which is no name of a version")
        if pointer.serial < 0 or not 0 <= pointer.canary_share <= 1:
            raise PointerUnreadable("the pointer's serial or canary_share is out of range")
        return pointer

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


def _check_share(share: float) -> None:
    if not (math.isfinite(share) and 0 <= share <= 1):
        raise LifecycleError(f"a canary's share of the users is 0 to 1, not {share}")
