"""A pushed version comes to be served: checked against what is, on the condition that it still is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_snapshots
from tiny_snapshots import publish, push

from trunkshow.snapshot import signature, transfer
from trunkshow.snapshot.folder_store import FolderStore
from trunkshow.snapshot.lifecycle import LifecycleError
from trunkshow.snapshot.manifest import FILE_NAME, SnapshotRefused
from trunkshow.snapshot.promotion import How, Publishing, serve, serve_built
from trunkshow.snapshot.states import State
from trunkshow.snapshot.store import PointerMoved, StoreError, open_store, who

NOW, REHEARSE, PUSH = (Publishing(how) for how in How)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """A store that serves a, and has b and c."""
    store = FolderStore(tmp_path / "store")
    store.root.mkdir()
    publish(store, "a")
    push(store, "b")
    push(store, "c")
    return store


def push_smaller(store: FolderStore, version: str) -> None:
    """A version with a quarter of the users."""
    with store.building() as folder:
        manifest = tiny_snapshots.write(folder / "snapshot", version)
        counts = {**manifest.counts, "users": 5, "users_per_partition": [5]}
        manifest = replace(manifest, counts=counts)
        (folder / "snapshot" / FILE_NAME).write_text(manifest.to_json())
        store.push(folder / "snapshot", manifest, who())


@pytest.mark.parametrize(
    ("publishing", "state", "share"),
    [
        (NOW, State.CURRENT, 0),
        (REHEARSE, State.REHEARSING, 0),
        (Publishing(How.REHEARSE, 0.05), State.REHEARSING, 0.05),
        (Publishing(How.NOW, 0.05), State.CANARY, 0.05),
        (PUSH, State.PUSHED, 0),
    ],
)
def test_it_is_served_as_chosen(store: FolderStore, publishing: Publishing, state: State, share: float) -> None:
    """At once, after a rehearsal, to a few, or not yet."""
    pointer = serve(store, "b", publishing, who())
    assert (pointer.states["b"], pointer.canary_share) == (state, share)


@pytest.mark.parametrize("publishing", [NOW, REHEARSE, Publishing(How.NOW, 0.05)])
def test_the_first_version_is_served_at_once(tmp_path: Path, publishing: Publishing) -> None:
    """There is nothing to compare it with."""
    (tmp_path / "empty").mkdir()
    store = FolderStore(tmp_path / "empty")
    push(store, "a")
    assert serve_built(store, "a", publishing, who(), "").current == "a"


def test_a_version_built_on_what_is_served_no_more_stays_pushed(store: FolderStore) -> None:
    """Its builder is told, with the command that serves it all the same."""
    serve(store, "b", NOW, who(), base="a")
    with pytest.raises(PointerMoved, match=r"from a to b; c is pushed and not served.*trunkshow promote c --store"):
        serve_built(store, "c", NOW, who(), base="a")
    assert dict(store.pointer().states) == {"a": State.PREVIOUS, "b": State.CURRENT, "c": State.PUSHED}


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("{}")])
def test_what_is_served_and_lost_or_spoilt_can_be_replaced(
    store: FolderStore, damage: Callable[[Path], object]
) -> None:
    """There is nothing left to compare with, and promoting another version is the way out."""
    damage(store.root / "snapshots" / "a" / FILE_NAME)
    assert serve(store, "b", NOW, who()).current == "b"


def test_while_pinned_nothing_is_promoted(store: FolderStore) -> None:
    """The build stays pushed."""
    store.move(lambda pointer: pointer.with_pin(who()))
    with pytest.raises(LifecycleError, match=r"a is pinned; unpin it first; b is pushed and not served"):
        serve_built(store, "b", NOW, who(), "a")


@pytest.mark.parametrize("publishing", [NOW, REHEARSE])
def test_a_version_that_lost_its_users_is_not_served(store: FolderStore, publishing: Publishing) -> None:
    """Nor rehearsed; unless somebody says that it is meant."""
    push_smaller(store, "d")
    with pytest.raises(SnapshotRefused, match=r"d has 5 users, a has 20.*--variance"):
        serve_built(store, "d", publishing, who(), "a")
    assert store.pointer().states["d"] is State.PUSHED
    serve(store, "d", replace(publishing, variance=10), who())


def test_a_version_without_a_manifest_is_not_served(store: FolderStore) -> None:
    """A pointer never moves to what is not there."""
    (store.folder("b") / FILE_NAME).unlink()
    before = store.pointer()
    with pytest.raises(StoreError, match="no snapshot 'b'"):
        serve(store, "b", NOW, who())
    assert store.pointer() == before


# ---- from store to store


def test_a_version_is_copied_whole(store: FolderStore, tmp_path: Path) -> None:
    """The same bytes, waiting to be promoted."""
    target = FolderStore(tmp_path / "new" / "target")
    transfer.copy(store, "b", target, who())
    assert dict(target.pointer().states) == {"b": State.PUSHED}
    manifest = store.manifest("b")
    assert target.manifest("b") == manifest
    target.ensure("b", manifest.files)


def test_a_spoilt_file_is_not_copied(store: FolderStore, tmp_path: Path) -> None:
    """Nothing is pushed."""
    (store.folder("b") / "taste" / "directions.npy").write_bytes(b"others bytes")
    target = FolderStore(tmp_path / "target")
    with pytest.raises(SnapshotRefused, match=r"taste/directions\.npy"):
        transfer.copy(store, "b", target, who())
    assert (target.pointer().serial, target.versions()) == (0, [])


def test_a_name_that_the_target_has_is_refused(store: FolderStore, tmp_path: Path) -> None:
    """Twice is once too often."""
    target = FolderStore(tmp_path / "target")
    transfer.copy(store, "b", target, who())
    with pytest.raises(LifecycleError, match="pushed before"):
        transfer.copy(store, "b", target, who())


def test_a_signature_travels_and_stores_with_a_key_ask_for_it(store: FolderStore, tmp_path: Path) -> None:
    """In place, through a copy, and from the cache with the store gone; an unsigned version is not even read."""
    signature.make_pair(tmp_path / "private", tmp_path / "public")
    sealed = (store.folder("b") / FILE_NAME).read_bytes()
    (store.folder("b") / "manifest.sig").write_bytes(signature.sign(tmp_path / "private", sealed))
    target = FolderStore(tmp_path / "target")
    transfer.copy(store, "b", target, who())
    transfer.copy(store, "c", target, who())
    for _ in ("store", "cache"):
        strict = open_store(target.root, tmp_path / "cache", tmp_path / "public")
        strict.pointer()
        assert strict.manifest("b").version == "b"
        with pytest.raises((SnapshotRefused, StoreError)):
            strict.manifest("c")
        target.root.rename(tmp_path / "elsewhere") if target.root.exists() else None
