"""The life of a version, from the builder's disk to the bin: the steps, and which may follow which.

                 ┌────────────── refused ◄──────────┐
    building → pushed → rehearsing → canary → current → previous → retired → (collected)
                 │           └────────┬────────▲  │
                 └────────────────────┴────────┘  └─ rolled back → poisoned

What holds of all versions together, such as that only one is current, and the moves themselves are left to
`trunkshow.snapshot.lifecycle`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


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
