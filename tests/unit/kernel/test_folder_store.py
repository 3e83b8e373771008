"""The store in a folder takes in whole snapshots or nothing, and cleans up after the dead alone."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from pathlib import Path

import pytest
from tiny_snapshots import publish, push, write

from trunkshow.snapshot import folder_store, manifest
from trunkshow.snapshot.folder_store import FolderStore
from trunkshow.snapshot.lifecycle import LifecycleError
from trunkshow.snapshot.manifest import FILE_NAME, SnapshotRefused
from trunkshow.snapshot.store import PointerLost, StoreError, StoreUnreachable, who


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """A store that nobody has built into."""
    (tmp_path / "store").mkdir()
    return FolderStore(tmp_path / "store")


def leavings(store: FolderStore, name: str) -> Path:
    """A build that is under way, or was when its builder died."""
    folder = store.root / "building" / name
    folder.mkdir(parents=True)
    (folder / "LOCK").touch()
    return folder


def dying(store: FolderStore, version: str) -> None:
    """A push that ends once its files are in place, and before the pointer knows."""

    class Died(BaseException):
        """What a builder does not outlive."""

    def dies(*_: object) -> None:
        raise Died

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Died), store.building() as folder:
        manifest = write(folder / "snapshot", version)
        patch.setattr(FolderStore, "_write", dies)
        store.push(folder / "snapshot", manifest, who())


def test_a_folder_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    """A file system that is not mounted must not look like a store in which nothing is served."""
    with pytest.raises(StoreUnreachable, match="trunkshow build"):
        FolderStore(tmp_path / "gone").pointer()


def test_only_complete_snapshots_are_listed(store: FolderStore) -> None:
    """They are found by their manifests."""
    push(store, "a")
    push(store, "b")
    (store.root / "snapshots" / "c").mkdir()
    assert store.versions() == ["a", "b"]


def test_a_name_that_was_pushed_before_is_refused_and_the_build_stays(store: FolderStore) -> None:
    """Nothing was moved when it is found out."""
    push(store, "a")
    with store.building() as folder:
        manifest = write(folder / "snapshot", "a")
        with pytest.raises(LifecycleError, match="pushed before"):
            store.push(folder / "snapshot", manifest, who())
        assert (folder / "snapshot").exists()


def test_nobody_who_moves_the_pointer_waits_for_a_builders_disk(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rollback is effective within a second, however much a push has still to write down."""
    publish(store, "a", "b")
    moved: list[str] = []

    def slowly(folder: Path) -> None:
        with (store.root / "LOCK").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where the push holds it
        moved.append(store.move(lambda pointer: pointer.rolled_back(who())).current)

    monkeypatch.setattr(folder_store, "_sync_tree", slowly)
    push(store, "c")
    assert (moved, store.pointer().current, "c" in store.pointer().states) == (["a"], "a", True)


def test_the_next_build_removes_what_a_dead_builder_left(store: FolderStore) -> None:
    """A lock that nobody holds is a dead builder's."""
    dead = leavings(store, "dead")
    with store.building():
        assert not dead.exists()


def test_a_living_builder_is_left_alone(store: FolderStore) -> None:
    """A lock that somebody holds is a living builder's."""
    living = leavings(store, "living")
    with (living / "LOCK").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        push(store, "a")
        assert living.exists()


def test_two_builders_at_once_have_folders_of_their_own(store: FolderStore) -> None:
    """The second one to start does not sweep the first away."""
    with store.building() as first, store.building() as second:
        assert first.exists()
        assert first != second


def test_a_snapshot_that_the_pointer_never_learned_of_is_removed(store: FolderStore) -> None:
    """A builder that died between the rename and the pointer leaves a snapshot that nobody may serve."""
    push(store, "a")
    dying(store, "orphan")
    assert store.versions() == ["a", "orphan"]
    push(store, "b")
    assert store.versions() == ["a", "b"]
    assert not list((store.root / "building").iterdir())


def test_an_older_pointer_that_was_put_back_costs_no_snapshot(store: FolderStore) -> None:
    """It does not know of those that were pushed since; that no dead builder left them can be told."""
    publish(store, "a")
    older = (store.root / "POINTER.json").read_bytes()
    publish(store, "b")
    (store.root / "POINTER.json").write_bytes(older)
    with pytest.raises(StoreError, match="is there already"):
        push(store, "b")
    push(store, "c")
    assert store.versions() == ["a", "b", "c"]


def test_pushed_snapshots_stay(store: FolderStore) -> None:
    """Sweeping removes nothing that the pointer knows of, served or not."""
    publish(store, "a")
    push(store, "b")
    publish(store, "c")
    assert store.versions() == ["a", "b", "c"]


def test_a_pointer_half_written_is_not_read(store: FolderStore) -> None:
    """What a crash left of the next pointer does not matter."""
    publish(store, "a")
    (store.root / "POINTER.json.new").write_text("half a po")
    assert store.pointer().current == "a"


def test_a_manifest_that_is_not_the_one_that_was_pushed_is_refused(store: FolderStore) -> None:
    """A bit that flipped in it, or a hand that edited it."""
    push(store, "a")
    manifest = store.folder("a") / FILE_NAME
    manifest.write_bytes(manifest.read_bytes().replace(b"events", b"evenus"))
    with pytest.raises(SnapshotRefused, match="checksum that the pointer says"):
        store.manifest("a")


def test_a_store_that_cannot_read_a_file_does_not_refuse_it(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its disk fails, which is no check that a snapshot failed; whoever asked tries again."""
    push(store, "a")
    path = next(one for one in store.manifest("a").files)

    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(manifest, "describe", fails)
    with pytest.raises(StoreUnreachable, match="cannot be read"):
        store.ensure("a", store.manifest("a").files)
    monkeypatch.setattr(Path, "open", fails)
    with pytest.raises(StoreUnreachable, match="cannot be read"):
        store.fetch("a", path, store.root / "copy")


def test_the_pointer_is_readable_json(store: FolderStore) -> None:
    """An operator's own tools can read what is served."""
    publish(store, "a")
    assert json.loads((store.root / "POINTER.json").read_text())["current"] == "a"


def test_a_store_that_is_a_file_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    """In words, not with the system's own error."""
    path = tmp_path / "store"
    path.write_text("")
    with pytest.raises(StoreError, match="cannot be written to"), FolderStore(path).building():
        pytest.fail("it was let in")


def test_a_store_that_lost_its_pointer_removes_nothing(store: FolderStore) -> None:
    """Whether its snapshots are served or left behind by the dead, nobody can tell; a builder is sent away."""
    publish(store, "a", "b")
    (store.root / "POINTER.json").unlink()
    for _ in range(2):
        with pytest.raises(PointerLost, match="put it back"):
            push(store, "c")
    assert store.versions() == ["a", "b"]


def test_a_store_that_lost_its_pointer_is_not_taken_for_an_empty_one(store: FolderStore) -> None:
    """Who follows it would give up what is served."""
    publish(store, "a")
    (store.root / "POINTER.json").unlink()
    with pytest.raises(PointerLost):
        store.pointer()
    with pytest.raises(PointerLost):
        store.move(lambda pointer: pointer.with_pin(who()))


def test_a_first_builder_that_died_before_the_pointer_knew_leaves_no_riddle(store: FolderStore) -> None:
    """There was a pointer, which knew of nothing: the next one sweeps what it left, and goes on."""
    dying(store, "orphan")
    push(store, "a")
    assert store.versions() == ["a"]
