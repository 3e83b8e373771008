"""What is served, of what the store's pointer names and what is open here: a decision over values.

Rules, by which a pointer of the store and the snapshots that are open become what is served:

1. The pointer's current version is served. Until it is open here, or where it was refused here, the pointer's
   previous one is; where that is not open either, what was served goes on.
2. Traffic moves to it partition by partition (`router.served.moving`), from what really served until now: where the
   swap before has not come to its end, from where that one came from, and not from the version in between, which nobody
   may have warm. However many promotions follow one another, what is being served stays until what replaces it can
   serve.
3. What is poisoned or refused is never served; where what served until now is, the pointer's previous one is instead.
   Where what served until now is the current one, as after a rollback, nothing is to be moved.
4. What a pointer does not name any more is not served, unless by rule 1 or 2.
"""

from __future__ import annotations

from collections.abc import Mapping

from router.served.moving import Moves
from router.served.views import Candidate, View, Views
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.states import State

NEVER_SERVED = frozenset({State.REFUSED, State.POISONED})


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
    kept = was.previous if was is not None and was.current is current else None
    previous = second if current is first else kept
    served = _served(pointer, was, current, previous)
    if was is not None and was.current is current and (was.moves.complete or was.served is served):
        moves = was.moves if was.moves.before or served is None else _begun(current, served)
    else:
        moves = _begun(current, served)
    return Views(current, previous or served, _candidate(pointer, opened, was), moves, pointer.serial, served)


def _begun(current: View, served: View | None) -> Moves:
    return Moves(current.version, served.version if served is not None else "", current.partitions)


def _served(pointer: Pointer, was: Views | None, current: View, previous: View | None) -> View | None:
    """What traffic moves from to the current version (rules 2 and 3)."""
    if was is None or (was.current is current and not was.moves.before):
        return previous
    if was.current is current:
        return was.before
    served = was.before or was.current
    if pointer.states.get(served.version) in NEVER_SERVED:
        served = previous or current
    return None if served is current else served


def _candidate(pointer: Pointer, opened: Mapping[str, View], was: Views | None) -> Candidate | None:
    view = opened.get(pointer.candidate)
    if view is None:
        return None
    before = was.candidate if was is not None else None
    phase, share = pointer.states[pointer.candidate], pointer.canary_share
    same = before is not None and (before.view, before.phase, before.share) == (view, phase, share)
    return before if same else Candidate(view, phase, share)
