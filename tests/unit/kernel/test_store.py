"""The store publishes whole snapshots or nothing, and cleans up after the dead alone."""

from __future__ import annotations

import fcntl
import json
from dataclasses import replace
from pathlib import Path

import pytest

from trunkshow.snapshot.manifest import FILE_NAME, SCHEMA, Manifest, SnapshotRefused
from trunkshow.snapshot.store import FolderStore, PointerMoved, StoreError

BARE = Manifest(
    schema=SCHEMA,
    version="",
    created_at="2024-05-01T00:00:00+00:00",
    dataset="shop",
    data_until="2024-04-30T00:00:00+00:00",
    parameters={},
    counts={},
    segments=(),
    models={},
    metrics={},
    partitioning={},
    index={},
    files={},
)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """A store that nobody has built into."""
    return FolderStore(tmp_path / "store")


def publish(store: FolderStore, version: str, expected: str | None = None) -> None:
    """Build and publish a snapshot of nothing but its manifest."""
    before = store.current() if expected is None else expected
    with store.building() as folder:
        write(folder, version)
        store.publish(folder / "snapshot", version, before)


def write(folder: Path, version: str) -> None:
    """What a builder leaves in its folder."""
    (folder / "snapshot").mkdir()
    manifest = replace(BARE, version=version)
    (folder / "snapshot" / FILE_NAME).write_text(manifest.to_json(), encoding="utf-8")


def leavings(store: FolderStore, name: str) -> Path:
    """A build that is under way, or was when its builder died."""
    folder = store.root / "building" / name
    folder.mkdir(parents=True)
    (folder / "LOCK").touch()
    return folder


def test_publishing_moves_the_pointer(store: FolderStore) -> None:
    """What was published last is what is served."""
    publish(store, "a")
    publish(store, "b")
    assert store.current() == "b"


def test_a_store_without_a_snapshot_has_no_current_one(store: FolderStore) -> None:
    """An empty store is empty, not an error."""
    assert (store.current(), store.versions(), store.history()) == ("", [], [])


def test_asking_an_empty_store_for_a_snapshot_says_what_to_do(store: FolderStore) -> None:
    """The message names the command."""
    with pytest.raises(StoreError, match="trunkshow build"):
        store.resolve()


def test_a_version_that_is_not_there_is_named_with_those_that_are(store: FolderStore) -> None:
    """A typing error is answered with what could have been meant."""
    publish(store, "a")
    with pytest.raises(StoreError, match="no snapshot 'z'; it has: a"):
        store.manifest("z")


def test_versions_are_listed_oldest_first(store: FolderStore) -> None:
    """Complete snapshots are found by their manifests."""
    publish(store, "a")
    publish(store, "b")
    (store.root / "snapshots" / "c").mkdir()
    assert store.versions() == ["a", "b"]


def test_every_move_of_the_pointer_leaves_a_line(store: FolderStore) -> None:
    """The history says what was served after what."""
    publish(store, "a")
    publish(store, "b")
    assert [(move["version"], move["previous"]) for move in store.history()] == [("a", ""), ("b", "a")]


def test_a_builder_that_was_overtaken_publishes_nothing(store: FolderStore) -> None:
    """The pointer stays where the other builder put it."""
    publish(store, "a")
    publish(store, "b")
    with pytest.raises(PointerMoved, match="from a to b"):
        publish(store, "c", expected="a")
    assert (store.current(), store.versions()) == ("b", ["a", "b"])


def test_a_build_is_gone_once_it_ended(store: FolderStore) -> None:
    """Neither a build that was published nor one that failed leaves anything behind."""
    publish(store, "a")
    with pytest.raises(ZeroDivisionError), store.building() as folder:
        write(folder, "b")
        raise ZeroDivisionError
    assert list((store.root / "building").iterdir()) == []


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
        publish(store, "a")
        assert living.exists()


def test_two_builders_at_once_have_folders_of_their_own(store: FolderStore) -> None:
    """The second one to start does not sweep the first away."""
    with store.building() as first, store.building() as second:
        assert first.exists()
        assert first != second


def test_a_snapshot_that_the_pointer_never_reached_is_removed(store: FolderStore) -> None:
    """A builder that died between the rename and the pointer leaves a snapshot that nobody may serve."""
    publish(store, "a")
    store.folder("orphan").mkdir()
    publish(store, "b")
    assert not store.folder("orphan").exists()


def test_published_snapshots_stay(store: FolderStore) -> None:
    """Sweeping removes nothing that was ever served."""
    for version in ("a", "b", "c"):
        publish(store, version)
    assert store.versions() == ["a", "b", "c"]


def test_a_snapshot_whose_history_line_was_lost_stays(store: FolderStore) -> None:
    """A crash between moving the pointer and writing the line costs the line, never the snapshot."""
    publish(store, "a")
    publish(store, "b")
    history = store.root / "HISTORY.jsonl"
    history.write_text("".join(history.read_text().splitlines(keepends=True)[:1]))
    publish(store, "c")
    publish(store, "d")
    assert store.versions() == ["a", "b", "c", "d"]


def test_a_history_line_cut_short_does_not_take_the_next_one_with_it(store: FolderStore) -> None:
    """A crash in the middle of writing a line costs that line alone."""
    publish(store, "a")
    with (store.root / "HISTORY.jsonl").open("a") as history:
        history.write('{"event": "publi')
    publish(store, "b")
    assert [move["version"] for move in store.history()] == ["a", "b"]


def test_a_pointer_half_written_is_not_read(store: FolderStore) -> None:
    """What a crash left of the next pointer does not matter."""
    publish(store, "a")
    (store.root / "CURRENT.new").write_text("half a na")
    assert store.current() == "a"


def test_a_manifest_of_another_name_is_refused(store: FolderStore) -> None:
    """A folder that was renamed by hand is not the snapshot it claims to be."""
    publish(store, "a")
    store.folder("a").rename(store.folder("b"))
    with pytest.raises(SnapshotRefused, match="calls itself a"):
        store.manifest("b")


def test_a_manifest_of_broken_text_is_refused(store: FolderStore) -> None:
    """Bytes that are no text are a refusal, not a traceback."""
    publish(store, "a")
    manifest = store.folder("a") / FILE_NAME
    manifest.write_bytes(manifest.read_bytes().replace(b"shop", b"sh\xffp"))
    with pytest.raises(SnapshotRefused, match="not text"):
        store.manifest("a")


def test_the_history_is_readable_json(store: FolderStore) -> None:
    """An operator's own tools can read it."""
    publish(store, "a")
    (line,) = (store.root / "HISTORY.jsonl").read_text().splitlines()
    assert json.loads(line).keys() == {"at", "event", "version", "previous"}


def test_a_store_that_is_a_file_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    """In words, not with the system's own error."""
    path = tmp_path / "store"
    path.write_text("")
    with pytest.raises(StoreError, match="cannot be written to"), FolderStore(path).building():
        pytest.fail("it was let in")
