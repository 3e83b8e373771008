"""Removing what no one needs: files of versions that are never served again, and of pushes that never ended.

First the pointer says that a version is collected, then its files go, its manifest before the others. Whatever the
moment at which a collector dies, what is left of a version is no snapshot any more, and the next one removes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from trunkshow.snapshot.lifecycle import Pointer, Who
from trunkshow.snapshot.states import State
from trunkshow.snapshot.store import Store

KEEP = 2
"""Retired versions that stay, to be rolled back to by name."""

ORPHAN_S = 24 * 3600.0
"""Seconds without a write, after which files that the pointer does not know count as left behind by a dead pusher."""


@dataclass(frozen=True)
class Removal:
    """A version whose files go.

    Attributes:
        version: its name.
        why: retired, refused or poisoned; or orphaned, of files that the pointer does not know.
    """

    version: str
    why: str


def plan(pointer: Pointer, traces: Mapping[str, float], now: float, keep: int = KEEP) -> list[Removal]:
    """What may go, oldest first.

    Args:
        pointer: read after `traces`, so that what was pushed meanwhile is in it.
        traces: see `Store.traces`.
        now: seconds since the epoch.
        keep: retired versions that stay, the newest ones.

    A pointer that never moved knows of nothing: files beside it are of a store that has lost its own, and stay.
    """
    dead = [
        Removal(version, pointer.states[version].value)
        for version in pointer.collectable(keep)
        if version in traces or pointer.states[version] is State.RETIRED
    ]
    orphaned = [
        Removal(version, "orphaned")
        for version, written in traces.items()
        if pointer.serial and version not in pointer.states and now - written > ORPHAN_S
    ]
    return sorted([*dead, *orphaned], key=lambda removal: removal.version)


def collect(store: Store, removals: Sequence[Removal], who: Who) -> Iterator[Removal]:
    """Remove them, one after the other; each is given once it is gone."""
    for removal in removals:
        store.move(lambda pointer, version=removal.version: _collected(pointer, version, who))  # type: ignore[misc]
        store.remove(removal.version)
        yield removal


def _collected(pointer: Pointer, version: str, who: Who) -> Pointer:
    # One that was collected before, by somebody who died over it, needs no second line in the history.
    return pointer.collected(version, who) if version in pointer.manifests else pointer
