"""Every snapshot store keeps the same contract: a folder, a real object store, a made-up one, and one with copies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import object_stores
import pytest
import tiny_snapshots
from tiny_snapshots import publish, push

from trunkshow.snapshot.lifecycle import LifecycleError, Pointer
from trunkshow.snapshot.manifest import FILE_NAME, File, FileSpoilt, SnapshotRefused
from trunkshow.snapshot.states import State
from trunkshow.snapshot.store import Store, StoreError, open_store, resolve, who

NAMES = count()
Endpoint = Callable[[str], str]


@pytest.fixture(scope="module")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real object store."""
    with object_stores.seaweedfs(tmp_path_factory.mktemp("weed")) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """A made-up one."""
    with object_stores.moto() as endpoint:
        yield endpoint


@pytest.fixture(params=["folder", "cached", "moto", "seaweedfs"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store of each kind, that nobody has pushed to."""
    if request.param in {"folder", "cached"}:
        (tmp_path / "store").mkdir()
        return open_store(tmp_path / "store", tmp_path / "cache" if request.param == "cached" else None)
    object_stores.point_at(request.getfixturevalue(request.param), monkeypatch, tmp_path / "cache")
    return open_store(f"s3://{object_stores.BUCKET}/of/test-{next(NAMES)}")


def test_a_store_that_nobody_pushed_to_is_empty(store: Store) -> None:
    """Empty, not an error; and asking for a snapshot says what to do."""
    assert (store.pointer(), store.versions(), store.traces()) == (Pointer(), [], {})
    assert store.reachable
    with pytest.raises(StoreError, match="trunkshow build"):
        resolve(store)


def test_what_was_pushed_is_there_and_not_served(store: Store) -> None:
    """Until somebody promotes it."""
    manifest = push(store, "a")
    pointer = store.pointer()
    assert (dict(pointer.states), pointer.current) == ({"a": State.PUSHED}, "")
    assert (store.versions(), list(store.traces())) == (["a"], ["a"])
    assert store.manifest("a") == manifest


def test_files_come_as_they_were_pushed(store: Store) -> None:
    """Asked for twice, they are the same, and in the same folder."""
    manifest = push(store, "a")
    folder = store.ensure("a", manifest.files)
    assert store.ensure("a", manifest.files) == folder
    assert {path: (folder / path).read_bytes() for path in tiny_snapshots.FILES} == tiny_snapshots.FILES


def test_what_was_forgotten_is_there_again_when_asked_for(store: Store) -> None:
    """And what was open is open still; to forget what was never asked for is nothing."""
    manifest = push(store, "a")
    store.forget("a")
    path = min(tiny_snapshots.FILES)
    with (store.ensure("a", manifest.files) / path).open("rb") as opened:
        store.forget("a")
        assert opened.read() == tiny_snapshots.FILES[path]
    folder = store.ensure("a", manifest.files)
    assert {path: (folder / path).read_bytes() for path in tiny_snapshots.FILES} == tiny_snapshots.FILES


def test_files_fetched_from_a_bucket_go_when_they_are_forgotten(
    moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of that version alone: or a process that lives long fills its disk."""
    object_stores.point_at(moto, monkeypatch, tmp_path / "cache")
    store = open_store(f"s3://{object_stores.BUCKET}/of/test-{next(NAMES)}")
    gone, kept = (store.ensure(version, push(store, version).files) for version in ("a", "b"))
    store.forget("a")
    assert (gone.exists(), [path for path in gone.parent.iterdir() if path.is_dir()]) == (False, [kept])


def test_files_fetched_from_a_bucket_stay_while_another_process_needs_them(
    moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was checked and is about to be opened must not vanish: that would look like a file missing."""
    object_stores.point_at(moto, monkeypatch, tmp_path / "cache")
    one, other = (open_store(f"s3://{object_stores.BUCKET}/of/shared") for _ in range(2))
    files = push(one, "a").files
    folder = one.ensure("a", files)
    other.ensure("a", files)
    one.forget("a")
    first = folder.exists()
    other.forget("a")
    assert (first, folder.exists()) == (True, False)


def test_promoting_serves_it(store: Store) -> None:
    """And the one before stays at hand."""
    pointer = publish(store, "a", "b")
    assert (pointer.current, pointer.previous, resolve(store)) == ("b", "a", "b")
    assert [move.event for move in pointer.history] == ["pushed", "promoted"] * 2


def test_a_move_that_the_rules_forbid_moves_nothing(store: Store) -> None:
    """What `change` raises passes through."""
    before = publish(store, "a")
    with pytest.raises(LifecycleError, match="current version already"):
        store.move(lambda pointer: pointer.promoted("a", who()))
    assert store.pointer() == before


def test_a_change_that_changes_nothing_writes_nothing(store: Store) -> None:
    """The pointer keeps its serial."""
    before = publish(store, "a")
    assert store.move(lambda pointer: pointer) == before
    assert store.pointer() == before


def test_a_name_is_pushed_once(store: Store) -> None:
    """The second one is refused, and the first stays as it is."""
    manifest = push(store, "a")
    with pytest.raises(LifecycleError, match="pushed before"):
        push(store, "a")
    assert store.manifest("a") == manifest


def test_a_version_that_is_not_there_is_named_with_those_that_are(store: Store) -> None:
    """A typing error is answered with what could have been meant."""
    push(store, "a")
    with pytest.raises(StoreError, match="no snapshot 'z'; it has: a"):
        store.manifest("z")


def test_a_file_that_is_not_there_is_refused(store: Store, tmp_path: Path) -> None:
    """Whether it is wanted in place or as a copy."""
    push(store, "a")
    with pytest.raises(SnapshotRefused, match="gone"):
        store.ensure("a", {"taste/gone": File(1, "00")})
    with pytest.raises(SnapshotRefused, match="gone"):
        store.fetch("a", "taste/gone", tmp_path / "copy")


def test_a_file_that_is_not_what_the_manifest_says_is_refused(store: Store) -> None:
    """By its size, or by its content."""
    files = push(store, "a").files
    size, sha256 = (files["taste/directions.npy"].bytes, files["taste/directions.npy"].sha256)
    for other in (File(size + 1, sha256), File(size, sha256[::-1])):
        with pytest.raises(FileSpoilt, match=r"taste/directions\.npy"):
            store.ensure("a", {"taste/directions.npy": other})


def test_what_is_served_is_not_removed(store: Store) -> None:
    """Nor what may be served yet, or again."""
    publish(store, "a", "b", "c")
    push(store, "d")
    for version in ("a", "b", "c", "d"):
        with pytest.raises(StoreError, match="its files stay"):
            store.remove(version)
    assert store.versions() == ["a", "b", "c", "d"]


def test_a_poisoned_version_is_removed(store: Store) -> None:
    """Every file of it, and of it alone; twice does not matter."""
    publish(store, "a", "b")
    store.move(lambda pointer: pointer.rolled_back(who()))
    store.remove("b")
    store.remove("b")
    assert (store.versions(), list(store.traces())) == (["a"], ["a"])
    store.ensure("a", store.manifest("a").files)


def test_a_build_is_gone_once_it_ended(store: Store) -> None:
    """Neither one that was pushed nor one that failed leaves anything behind."""
    folders = []
    with pytest.raises(ZeroDivisionError), store.building() as folder:
        folders.append(folder)
        tiny_snapshots.write(folder / "snapshot", "a")
        raise ZeroDivisionError
    assert not folders[0].exists()
    assert store.versions() == []


def test_movers_at_once_all_move_and_lose_nothing(store: Store) -> None:
    """Each sees what the others did: as many moves as there were movers, each with a serial of its own."""
    publish(store, "a")
    start = threading.Barrier(6)

    def mover(number: int) -> int:
        start.wait()
        if number % 2:
            return push_small(store, f"v{number}").serial
        return store.move(lambda pointer: pointer.pushed(f"w{number}", who())).serial

    with ThreadPoolExecutor(6) as pool:
        serials = sorted(pool.map(mover, range(6)))
    pointer = store.pointer()
    assert (pointer.serial, serials) == (8, [3, 4, 5, 6, 7, 8])
    assert len(pointer.states) == 7


def test_of_two_who_promote_on_a_condition_one_wins(store: Store) -> None:
    """The other one's condition does not hold any more, and it is told."""
    publish(store, "a")
    push(store, "b")
    push(store, "c")
    start = threading.Barrier(2)

    def promote(version: str) -> str:
        start.wait()

        def change(pointer: Pointer) -> Pointer:
            if pointer.current != "a":
                raise StoreError("too late")
            return pointer.promoted(version, who())

        try:
            return store.move(change).current
        except StoreError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        won = list(pool.map(promote, ("b", "c")))
    assert sorted(won) in (["b", "too late"], ["c", "too late"])
    assert store.pointer().current in won


def push_small(store: Store, version: str) -> Pointer:
    """Push a version; the pointer as its pusher saw it."""
    with store.building() as folder:
        return store.push(folder / "snapshot", tiny_snapshots.write(folder / "snapshot", version), who())


def test_a_manifest_is_in_the_store_before_the_pointer_knows_of_it(store: Store) -> None:
    """Whoever reads the pointer can open what it names."""
    seen = []
    for version in ("a", "b"):
        with store.building() as folder:
            manifest = tiny_snapshots.write(folder / "snapshot", version)
            assert (folder / "snapshot" / FILE_NAME).is_file()
            pointer = store.push(folder / "snapshot", manifest, who())
        seen.append([store.manifest(one).version for one in pointer.states])
    assert seen == [["a"], ["a", "b"]]
