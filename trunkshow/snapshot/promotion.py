"""How a pushed version comes to be served: checked against its parent, then promoted, rehearsed or shown to a few.

The moves themselves are `lifecycle`'s, the checks `acceptance`'s; here they are made one step, on the condition that
what was checked against is still what is served.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from trunkshow.snapshot.acceptance import VARIANCE, compare
from trunkshow.snapshot.lifecycle import LifecycleError, Pointer, Who
from trunkshow.snapshot.manifest import Manifest, SnapshotRefused
from trunkshow.snapshot.store import PointerMoved, Store, StoreError, StoreUnreachable


class How(StrEnum):
    """What becomes of a version once it is in the store."""

    NOW = "now"
    """It is served, to everybody or to a canary's share."""

    REHEARSE = "rehearse"
    """Routers try it on recent requests, and decide; the first version of a store is served at once."""

    PUSH = "push"
    """It waits for somebody to promote it."""


@dataclass(frozen=True)
class Publishing:
    """What a person chooses.

    Attributes:
        how: it comes to be served.
        canary_share: of users who get it first; 0 for everybody at once.
        variance: see `acceptance.compare`.
    """

    how: How = How.NOW
    canary_share: float = 0.0
    variance: float = VARIANCE


def serve(store: Store, version: str, publishing: Publishing, who: Who, base: str | None = None) -> Pointer:
    """Bring a pushed version to be served.

    Args:
        store: that it was pushed to.
        version: that is to be served.
        publishing: how.
        who: wants it.
        base: the version that must be served still, empty for none; any may be where None.

    Raises:
        PointerMoved: another one than `base` is served; nothing has changed.
        SnapshotRefused: it differs too much from what is served, or its manifest is not to be believed.
        LifecycleError: the rules forbid it.
    """
    if publishing.how is How.PUSH:
        return store.pointer()
    manifest = store.manifest(version)

    def change(pointer: Pointer) -> Pointer:
        if base is not None and pointer.current != base:
            raise PointerMoved(f"{store.url} was moved from {base or 'nothing'} to {pointer.current or 'nothing'}")
        parent = _parent(store, pointer.current) if pointer.current != version else None
        if parent is not None:
            compare(manifest, parent, publishing.variance)
        return _moved(pointer, version, publishing, who)

    return store.move(change)


def serve_built(store: Store, version: str, publishing: Publishing, who: Who, base: str) -> Pointer:
    """The same for a builder, whose snapshot is pushed by now: what stands in its way is told with the way out.

    Raises:
        PointerMoved, SnapshotRefused, LifecycleError: see `serve`.
    """
    try:
        return serve(store, version, publishing, who, base)
    except (PointerMoved, SnapshotRefused, LifecycleError) as error:
        way_out = f"{version} is pushed and not served. To serve it: trunkshow promote {version} --store {store.url}"
        loosely = " --variance 10" if isinstance(error, SnapshotRefused) else ""
        raise type(error)(f"{error}; {way_out}{loosely}") from error


def _parent(store: Store, current: str) -> Manifest | None:
    """What it is compared with; None where nothing is served, or that is lost or spoilt: promoting is the way out."""
    try:
        return store.manifest(current) if current else None
    except StoreUnreachable:
        raise
    except (StoreError, SnapshotRefused):
        return None


def _moved(pointer: Pointer, version: str, publishing: Publishing, who: Who) -> Pointer:
    if publishing.how is How.REHEARSE and pointer.current:
        return pointer.rehearsed(version, publishing.canary_share, who)
    if publishing.canary_share and pointer.current:
        return pointer.canaried(version, publishing.canary_share, who)
    return pointer.promoted(version, who)
