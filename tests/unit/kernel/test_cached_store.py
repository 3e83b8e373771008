"""A store with copies: who was served once goes on when the store is gone."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest
from datasets import Built
from structlog.testing import capture_logs
from tiny_snapshots import publish

from trunkshow.snapshot import local_files, manifest, partition
from trunkshow.snapshot.cached_store import CachedStore
from trunkshow.snapshot.folder_store import FolderStore
from trunkshow.snapshot.manifest import File, SnapshotRefused
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import DiskFailed, Store, StoreError, StoreUnreachable, resolve, who


@pytest.fixture
def origin(built: Built, tmp_path: Path) -> Path:
    """The folder of a store of its own, to be lost."""
    return Path(shutil.copytree(built.store, tmp_path / "store"))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Where copies are kept."""
    return tmp_path / "cache"


def opened(origin: Path, cache: Path) -> CachedStore:
    """As a process has it that has just started."""
    return CachedStore(FolderStore(origin), cache)


def open_all(store: CachedStore) -> None:
    """Everything that any process opens of the version that is served."""
    snapshot = Snapshot.open(store)
    assert len(snapshot.directory)
    for number in range(snapshot.partitions):
        snapshot.open_partition(number).close()
    snapshot.close()


def test_what_was_opened_once_opens_without_the_store(origin: Path, cache: Path) -> None:
    """After a restart, too; and it is said that the store does not answer."""
    open_all(opened(origin, cache))
    shutil.rmtree(origin)
    store = opened(origin, cache)
    open_all(store)
    assert not store.reachable


def test_a_store_that_was_never_seen_is_missed(origin: Path, cache: Path) -> None:
    """There is nothing to go on with."""
    with pytest.raises(StoreUnreachable):
        opened(origin / "gone", cache).pointer()


def test_a_file_that_was_never_asked_for_is_missed(origin: Path, cache: Path) -> None:
    """A refusal of that file, not of what is there."""
    store = opened(origin, cache)
    snapshot = Snapshot.open(store)
    origin.rename(origin.with_name("elsewhere"))
    with pytest.raises(StoreError):
        snapshot.open_partition(0)
    snapshot.close()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_takes_no_copies_is_no_refusal(
    origin: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Nothing is known of the snapshot by it; with room again it opens."""
    store = opened(origin, cache)
    snapshot = Snapshot.open(store)

    def fails(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as full:
        full.setattr(FolderStore, "fetch", fails)
        with pytest.raises(DiskFailed, match="does not take copies"):
            snapshot.open_partition(0)
    snapshot.open_partition(0).close()
    snapshot.close()


def test_a_copy_that_the_disk_cannot_give_back_is_fetched_again(
    origin: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad sector under a copy is no bad snapshot."""
    snapshot = Snapshot.open(opened(origin, cache))
    snapshot.open_partition(0).close()
    bad = cache / "snapshots" / snapshot.version / partition.name(0) / "items.npy"
    inode, read = bad.stat().st_ino, manifest.describe

    def describe(path: Path) -> manifest.File:
        if path.stat().st_ino == inode:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(path)

    monkeypatch.setattr(manifest, "describe", describe)
    snapshot.open_partition(0).close()
    snapshot.close()
    assert bad.stat().st_ino != inode


def test_a_store_that_comes_back_is_followed_again(origin: Path, cache: Path) -> None:
    """What was moved meanwhile is seen."""
    store = opened(origin, cache)
    store.pointer()
    origin.rename(origin.with_name("elsewhere"))
    seen = store.pointer()
    origin.with_name("elsewhere").rename(origin)
    FolderStore(origin).move(lambda pointer: pointer.with_pin(who()))
    assert (store.pointer().serial, store.reachable) == (seen.serial + 1, True)


def test_a_store_that_lost_its_pointer_does_not_empty_what_is_served(origin: Path, cache: Path) -> None:
    """A pointer never goes back; the one that was seen last stands."""
    store = opened(origin, cache)
    current = store.pointer().current
    (origin / "POINTER.json").unlink()
    assert (store.pointer().current, store.reachable) == (current, False)


def test_a_copy_that_was_spoilt_is_fetched_again(origin: Path, cache: Path) -> None:
    """The store has a good one."""
    open_all(opened(origin, cache))
    (copy,) = cache.glob("snapshots/*/taste/directions.npy")
    copy.write_bytes(copy.read_bytes()[:-1])
    open_all(opened(origin, cache))
    assert copy.read_bytes() == next(origin.glob("snapshots/*/taste/directions.npy")).read_bytes()


def test_a_spoilt_file_of_the_store_never_gets_into_the_cache(origin: Path, cache: Path) -> None:
    """It is checked before it gets its name, and nothing is left of it."""
    (spoilt,) = origin.glob("snapshots/*/taste/directions.npy")
    spoilt.write_bytes(spoilt.read_bytes()[::-1])
    with pytest.raises(Exception, match=r"taste/directions\.npy does not have the checksum"):
        open_all(opened(origin, cache))
    assert list(cache.glob("snapshots/*/taste/*")) == []


def test_truncating_the_store_does_not_touch_the_copies(origin: Path, cache: Path) -> None:
    """They are copies: a process that has them mapped must not die of what happens to the store."""
    open_all(opened(origin, cache))
    for path in origin.glob("snapshots/*/**/*.*"):
        if path.is_file():
            path.write_bytes(b"")
    open_all(opened(origin, cache))


def test_versions_that_are_not_served_any_more_are_removed_from_the_cache(origin: Path, cache: Path) -> None:
    """Once the pointer moved on; those that this process asked for stay."""
    left = cache / "snapshots" / "of-long-ago"
    left.mkdir(parents=True)
    store = opened(origin, cache)
    store.manifest(resolve(store))
    assert copies_in(cache, store) == [resolve(store)]


def test_a_process_that_lives_long_keeps_copies_of_what_is_served_alone(tmp_path: Path, cache: Path) -> None:
    """However many versions it has served: the current one, and the one before."""
    origin = FolderStore(tmp_path / "store")
    origin.root.mkdir()
    store = CachedStore(origin, cache)
    for version in ("a", "b", "c", "d"):
        publish(origin, version)
        manifest = store.manifest(store.pointer().current)
        store.ensure(version, manifest.files)
    assert copies_in(cache, store) == ["c", "d"]


def test_a_cache_that_cannot_be_written_to_does_not_matter_while_the_store_answers(origin: Path, cache: Path) -> None:
    """The pointer and the manifest are read all the same."""
    cache.write_text("a file where a folder should be")
    store = opened(origin, cache)
    assert store.manifest(resolve(store)).version == resolve(store)


# ---- copies that go while they are needed


class Swept(CachedStore):
    """A cache that somebody empties, once told to, right after files in it were checked."""

    sweep = False

    def ensure(self, version: str, files: Mapping[str, File]) -> Path:
        """And then the folder goes."""
        folder = super().ensure(version, files)
        if self.sweep:
            self.sweep = False
            shutil.rmtree(self.cache / "snapshots")
        return folder


class SweptOnItsWay(FolderStore):
    """A store during each of whose answers a folder goes: the file is written, and then neither is there."""

    swept: ClassVar[list[Path]] = []

    def fetch(self, version: str, path: str, target: Path) -> None:
        """Copy one file of a version."""
        super().fetch(version, path, target)
        for folder in self.swept:
            shutil.rmtree(folder)


def test_a_folder_that_is_removed_under_a_download_is_no_refusal(
    origin: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version is as healthy as it was: tried again, it opens."""
    snapshot = Snapshot.open(CachedStore(SweptOnItsWay(origin), cache))
    with monkeypatch.context() as busy:
        busy.setattr(SweptOnItsWay, "swept", [cache / "snapshots"])
        with pytest.raises(DiskFailed, match="does not take copies"):
            snapshot.open_partition(0)
    snapshot.open_partition(0).close()
    snapshot.close()


@pytest.mark.parametrize("what", ["shared", "partition", "copies"])
def test_copies_that_are_removed_before_they_are_opened_are_no_refusal(origin: Path, cache: Path, what: str) -> None:
    """They were checked, and then were not there: they are fetched once more, and open at the next try."""
    store = Swept(FolderStore(origin), cache)
    snapshot = Snapshot.open(store)
    opens = {
        "shared": lambda: Snapshot.open(store),
        "partition": lambda: snapshot.open_partition(0),
        "copies": lambda: snapshot.open_stand_ins(0),
    }
    store.sweep = True
    with pytest.raises(DiskFailed, match="while they were opened"):
        opens[what]()
    opens[what]().close()
    snapshot.close()


def test_files_that_a_store_itself_loses_before_they_are_opened_are_a_refusal(origin: Path) -> None:
    """Where no copies are kept, what is not there is the version's fault."""

    class Losing(FolderStore):
        def ensure(self, version: str, files: Mapping[str, File]) -> Path:
            folder = super().ensure(version, files)
            if any(path.startswith("partitions") for path in files):
                shutil.rmtree(folder / partition.name(0), ignore_errors=True)
            return folder

    snapshot = Snapshot.open(Losing(origin))
    with pytest.raises(SnapshotRefused, match="cannot be read"):
        snapshot.open_partition(0)
    snapshot.close()


SURELY_S = 30.0


def copies_in(cache: Path, *stores: CachedStore) -> list[str]:
    """The versions of which there are copies, once these have removed what they would."""
    assert all(store.copies.settled(SURELY_S) for store in stores)
    return sorted(path.name for path in (cache / "snapshots").iterdir())


@pytest.fixture
def shared(tmp_path: Path) -> FolderStore:
    """A store whose readers share a cache; it serves `a`."""
    store = FolderStore(tmp_path / "shared")
    store.root.mkdir()
    publish(store, "a")
    return store


def serve(store: Store, version: str) -> None:
    """Have all of a version."""
    store.ensure(version, store.manifest(version).files)


NEEDS_ONE = """
import sys
from pathlib import Path
from trunkshow.snapshot.store import open_store

store = open_store(Path(sys.argv[1]), Path(sys.argv[2]))
version = store.pointer().current
store.ensure(version, store.manifest(version).files)
print(version, flush=True)
sys.stdin.read()
"""
"""A process that serves what was current when it started, and has not looked at the pointer since."""


def test_what_another_process_still_needs_stays_in_a_cache_that_they_share(shared: FolderStore, cache: Path) -> None:
    """One that saw the pointer move first must not take from the other what it is about to open; nor keep it then."""
    command = (sys.executable, "-c", NEEDS_ONE, str(shared.root), str(cache))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None and other.stdout is not None
        needed = other.stdout.readline().strip()
        ahead = CachedStore(shared, cache)
        for version in ("b", "c"):
            publish(shared, version)
            serve(ahead, ahead.pointer().current)
        with_the_other = copies_in(cache, ahead)
        other.stdin.close()
        other.wait(60)
    publish(shared, "d")
    serve(ahead, ahead.pointer().current)
    assert (needed, with_the_other, copies_in(cache, ahead)) == ("a", ["a", "b", "c"], ["c", "d"])


def test_what_made_way_and_was_asked_for_goes_once_another_version_is_current(shared: FolderStore, cache: Path) -> None:
    """A router that starts while promotions overtake one another opens what shards serve; they serve it for a while."""
    for version in ("b", "c"):
        publish(shared, version)
    store = CachedStore(shared, cache)
    for version in (store.pointer().current, "a"):
        serve(store, version)
    shared.move(lambda pointer: pointer.with_pin(who()))
    store.pointer()
    with_it = copies_in(cache, store)
    shared.move(lambda pointer: pointer.without_pin(who()))
    publish(shared, "d")
    serve(store, store.pointer().current)
    assert (with_it, copies_in(cache, store)) == (["a", "c"], ["c", "d"])


def test_what_was_being_removed_by_a_process_that_died_goes(shared: FolderStore, cache: Path) -> None:
    """A folder on its way out, under its temporary name."""
    left = cache / "snapshots" / ".a.4711-0123abcd"
    left.mkdir(parents=True)
    store = CachedStore(shared, cache)
    serve(store, store.pointer().current)
    assert copies_in(cache, store) == ["a"]


# ---- a disk that does not come back


HANGS = """
import sys, threading
from pathlib import Path
from trunkshow.snapshot import local_files
from trunkshow.snapshot.store import open_store

began = threading.Event()
local_files.set_aside = lambda folder: began.set() or threading.Event().wait()
(Path(sys.argv[2]) / "snapshots" / "of-long-ago").mkdir(parents=True)
print(open_store(Path(sys.argv[1]), Path(sys.argv[2])).pointer().current)
began.wait()
"""
"""A process that reads the pointer, and ends while a removal hangs that began with it."""


def test_a_process_ends_although_a_removal_hangs(shared: FolderStore, cache: Path) -> None:
    """Nothing is known by its being waited for; the next one finds what it left."""
    command = (sys.executable, "-c", HANGS, str(shared.root), str(cache))
    assert subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout == "a\n"
    publish(shared, "b")
    store = CachedStore(shared, cache)
    serve(store, store.pointer().current)
    assert copies_in(cache, store) == ["b"]


def test_the_pointer_moves_although_a_removal_hangs(
    shared: FolderStore, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rollback must not wait for a disk to remove what nobody needs; what goes with later moves goes afterwards."""
    go, asked, over = threading.Event(), list[str](), list[str]()
    set_aside = local_files.set_aside

    def hangs(folder: Path) -> Path | None:
        asked.append(folder.name)
        go.wait(SURELY_S)
        over.append(folder.name)
        return set_aside(folder)

    monkeypatch.setattr(local_files, "set_aside", hangs)
    store, seen = CachedStore(shared, cache), list[tuple[str, list[str]]]()
    for version in "bcd":
        serve(store, store.pointer().current)
        publish(shared, version)
        seen.append((store.pointer().current, [*over]))
    go.set()
    assert (seen, copies_in(cache, store)) == ([(version, []) for version in "bcd"], ["c"])
    assert (asked, over) == (["a", "b"], ["a", "b"])


# ---- a store that went back


@pytest.fixture
def busy(tmp_path: Path) -> FolderStore:
    """A store of many moves."""
    store = FolderStore(tmp_path / "busy")
    store.root.mkdir()
    publish(store, "a", "b", "c")
    return store


def test_an_earlier_pointer_of_the_same_store_changes_nothing_and_is_told_as_that(
    busy: FolderStore, cache: Path
) -> None:
    """A stale answer, or a copy that was put back: the log names the cache, which is the way out."""
    pointer = busy.root / "POINTER.json"
    early = pointer.read_bytes()
    publish(busy, "d")
    store = CachedStore(busy, cache)
    store.pointer()
    pointer.write_bytes(early)
    with capture_logs() as logs:
        assert [store.pointer().current, store.pointer().current] == ["d", "d"]
    assert [(one["event"], one["cache"]) for one in logs] == [("store.went_back", str(cache))]


def test_without_its_copy_of_the_pointer_an_earlier_one_is_followed(busy: FolderStore, cache: Path) -> None:
    """What docs/operations.md says to do about it."""
    pointer = busy.root / "POINTER.json"
    early = pointer.read_bytes()
    publish(busy, "d")
    CachedStore(busy, cache).pointer()
    pointer.write_bytes(early)
    (cache / "POINTER.json").unlink()
    assert CachedStore(busy, cache).pointer().current == "c"


@pytest.mark.parametrize("versions", ["x", "xyz"])
def test_a_store_that_was_made_anew_is_followed_at_once(
    busy: FolderStore, tmp_path: Path, cache: Path, versions: str
) -> None:
    """Its moves are others than those of the same numbers that were seen; also where there are as many by now."""
    CachedStore(busy, cache).pointer()
    shutil.rmtree(busy.root)
    busy.root.mkdir()
    publish(busy, *versions)
    store = CachedStore(busy, cache)
    assert (store.pointer().current, store.reachable) == (versions[-1], True)
    busy.root.rename(tmp_path / "gone")
    assert CachedStore(busy, cache).pointer().current == versions[-1]
