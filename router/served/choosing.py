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
4. What a pointer does not name any more is not served, unless by rule 1, 2 or 5.
5. A router that starts while promotions overtake one another may find neither of the two that the pointer names whole
   on the shards, which serve on what made way before. That of which they have the most is opened as well
   (`overtaken`), and traffic moves from there (`moving_from`), as it does in routers that saw it served.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from router.cluster.topology import Topology
from router.served.moving import Moves, spoilt, spoilt_copies
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


def ahead(views: Views, topology: Topology) -> frozenset[str]:
    """Versions of which shards have more than of any that is served here; none where they have all of one of these.

    Partitions are counted, since how many there should be is known of what is open alone.
    """
    served = (views.current, *views.earlier)
    if any(topology.covered(view.version) >= view.partitions for view in served):
        return frozenset()
    most = max(topology.covered(view.version) for view in served)
    return frozenset(version for version in topology.versions if topology.covered(version) > most)


def overtaken(pointer: Pointer, views: Views, topology: Topology) -> str:
    """The version that made way, and that shards serve more of than of any that is served here; empty where none is.

    Of several it is the one of which they have the most, and of these the newest.
    """
    found = ahead(views, topology)
    made_way = [one for one in reversed(list(pointer.states)) if pointer.states[one] is State.RETIRED and one in found]
    sound = [one for one in made_way if not spoilt(topology, one) and not spoilt_copies(topology, one)]
    return max(sound, key=topology.covered, default="")


def moving_from(views: Views, served: View) -> Views:
    """With nothing moved yet to the current version from another one than until now."""
    return replace(views, previous=views.previous or served, served=served, moves=_begun(views.current, served))


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
