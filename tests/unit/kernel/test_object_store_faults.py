"""An object store that hangs, fails or loses its answers: told in one line, in bounded time, and nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import object_stores
import pytest
from scripted_bucket import ScriptedBucket, scripted_bucket

from trunkshow.snapshot import object_store_clients, s3_store
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.manifest import SnapshotRefused
from trunkshow.snapshot.s3_store import S3Store
from trunkshow.snapshot.store import StoreError, StoreUnreachable, open_store, who

POINTER = f"/{object_stores.BUCKET}/of/POINTER.json"


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedBucket]:
    """A bucket that does as told; answers are waited for a tenth of a second."""
    monkeypatch.setattr(object_store_clients, "ANSWER_S_MAX", 0.1)
    with scripted_bucket() as (bucket, endpoint):
        object_stores.point_at(endpoint, monkeypatch, tmp_path / "cache")
        yield bucket


@pytest.fixture
def store(bucket: ScriptedBucket) -> S3Store:
    """The store in it."""
    return S3Store(f"s3://{object_stores.BUCKET}/of")


def push(store: S3Store, version: str = "a") -> Pointer:
    """A move, whatever it is."""
    return store.move(lambda pointer: pointer.pushed(version, who()))


@pytest.mark.parametrize("fault", ["hang", "500", "503", "drop", "429"])
def test_a_store_that_does_not_answer_is_unreachable_in_bounded_time(
    store: S3Store, bucket: ScriptedBucket, fault: str
) -> None:
    """Asked again a few times, then told in one line."""
    bucket.faults = [fault]
    began = time.monotonic()
    with pytest.raises(StoreUnreachable) as told:
        store.pointer()
    assert time.monotonic() - began < 5
    assert "\n" not in str(told.value)
    assert bucket.requests <= 1 + object_store_clients.RETRIES_MAX


def test_a_store_that_is_not_there_at_all_is_unreachable(
    bucket: ScriptedBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreUnreachable):
        S3Store(f"s3://{object_stores.BUCKET}/of").pointer()


@pytest.mark.parametrize("status", ["400", "403"])
def test_a_store_that_refuses_is_not_unreachable(store: S3Store, bucket: ScriptedBucket, status: str) -> None:
    """Asking again would not help, and is not done."""
    bucket.faults = [status]
    with pytest.raises(StoreError, match=f"refuses: {status} Scripted") as told:
        store.pointer()
    assert not isinstance(told.value, StoreUnreachable)
    assert bucket.requests == 1


@pytest.mark.parametrize("fault", ["500", "drop"])
def test_one_fault_is_not_noticed(store: S3Store, bucket: ScriptedBucket, fault: str) -> None:
    """Reading is done again."""
    push(store)
    bucket.faults = [fault, ""]
    assert list(store.pointer().states) == ["a"]


def test_a_move_whose_answer_was_lost_is_found_to_be_made(store: S3Store, bucket: ScriptedBucket) -> None:
    """The pointer that is there carries the mark of the one that was written: it is not written twice."""
    bucket.faults = ["", "lose", ""]
    assert push(store).serial == 1
    assert [move.event for move in store.pointer().history] == ["pushed"]


def test_a_move_that_was_not_made_is_made_again(store: S3Store, bucket: ScriptedBucket) -> None:
    """The tag of what is there has not changed."""
    push(store)
    bucket.faults = ["", "drop", ""]
    assert push(store, "b").serial == 2
    assert list(store.pointer().states) == ["a", "b"]


def test_a_move_that_is_made_after_it_was_given_up_is_found_to_be_made(store: S3Store, bucket: ScriptedBucket) -> None:
    """A bucket may be slow to take it: to make it once more would fail, since it was made."""
    push(store)
    looked = store._was_put

    def made_late(data: bytes, tag: str, error: StoreUnreachable) -> bool | None:
        was_put = looked(data, tag, error)
        bucket.objects[POINTER] = data
        return was_put

    store._was_put = made_late  # type: ignore[method-assign]
    bucket.faults = ["", "drop", ""]
    moved = store.move(lambda pointer: pointer.promoted("a", who()))
    assert (moved.current, moved.serial) == ("a", 2)
    assert [move.event for move in store.pointer().history] == ["pushed", "promoted"]


def test_a_move_that_is_made_late_and_moved_on_from_is_not_made_twice(store: S3Store, bucket: ScriptedBucket) -> None:
    """What stands there now is another's: a person has to look. To promote it once more would fail."""
    push(store)
    intruding, looked = S3Store(store.url), store._was_put

    def made_late(data: bytes, tag: str, error: StoreUnreachable) -> bool | None:
        was_put = looked(data, tag, error)
        bucket.objects[POINTER] = data
        push(intruding, "b")
        return was_put

    store._was_put = made_late  # type: ignore[method-assign]
    bucket.faults = ["", "drop", ""]
    with pytest.raises(StoreUnreachable, match="see its history"):
        store.move(lambda pointer: pointer.promoted("a", who()))
    assert [move.event for move in store.pointer().history] == ["pushed", "promoted", "pushed"]


def test_a_move_that_may_have_been_made_before_anothers_is_not_made_twice(
    store: S3Store, bucket: ScriptedBucket
) -> None:
    """Its answer was lost, and somebody moved the pointer since: a person has to look."""
    bucket.faults = ["", "lose", ""]
    intruding = S3Store(store.url)

    def change(pointer: Pointer) -> Pointer:
        if not pointer.serial:
            return pointer.pushed("a", who())
        raise AssertionError("asked for a second time")

    original, read = store._read, 0

    def read_late(path: str, bytes_max: int) -> tuple[bytes, str]:
        nonlocal read
        read += 1
        if read == 2:  # the look whether the move was made
            push(intruding, "b")
        return original(path, bytes_max)

    store._read = read_late  # type: ignore[method-assign]
    with pytest.raises(StoreUnreachable, match="see its history"):
        store.move(change)


def test_a_mover_that_always_loses_gives_up(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bounded time, and says so."""
    monkeypatch.setattr(s3_store, "MOVES_MAX", 3)
    rivals = (f"v{number}" for number in range(9))

    def change(pointer: Pointer) -> Pointer:
        push(S3Store(store.url), next(rivals))
        return pointer.pushed("a", who())

    with pytest.raises(StoreUnreachable, match="others moved the pointer first"):
        store.move(change)
    assert "a" not in store.pointer().states


def test_a_pointer_of_garbage_is_refused(store: S3Store, bucket: ScriptedBucket) -> None:
    """Neither empty nor a traceback."""
    bucket.objects[POINTER] = b"\xff{"
    with pytest.raises(StoreError, match="cannot be read"):
        store.pointer()


def test_a_pointer_larger_than_any_is_not_read(
    store: S3Store, bucket: ScriptedBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on everything."""
    monkeypatch.setattr(s3_store, "POINTER_BYTES_MAX", 100)
    bucket.objects[POINTER] = b" " * 101
    with pytest.raises(StoreError, match="101 bytes, more than 100"):
        store.pointer()


def test_a_builder_is_told_before_it_trains(store: S3Store, bucket: ScriptedBucket) -> None:
    """A store that does not answer costs no training."""
    bucket.faults = ["500"]
    with pytest.raises(StoreUnreachable), store.building():
        pytest.fail("it was let in")


def test_what_was_served_goes_on_from_the_cache(store: S3Store, bucket: ScriptedBucket, tmp_path: Path) -> None:
    """The store hangs; who has copies has the pointer."""
    push(store)
    cached = open_store(store.url, tmp_path / "copies")
    seen = cached.pointer()
    bucket.faults = ["hang"]
    assert cached.pointer() == seen


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_that_is_gone_here_is_not_taken_for_an_object_that_is_gone_there(
    store: S3Store, bucket: ScriptedBucket, tmp_path: Path, there: bool
) -> None:
    """The one is this machine's fault, and the version may be healthy; the other is the version's."""
    path = "taste/directions.npy"
    if there:
        bucket.objects[f"/{object_stores.BUCKET}/of/snapshots/a/{path}"] = b"a few bytes"
    with pytest.raises(FileNotFoundError):
        store.fetch("a", path, tmp_path / "gone" / "file")
    if not there:
        with pytest.raises(SnapshotRefused, match="is not there"):
            store.fetch("a", path, tmp_path / "file")


@pytest.mark.parametrize("url", ["s3://", "s3:///prefix", "s3://bucket/x?y", "gs://bucket", "http://here/x"])
def test_what_names_no_store_is_refused(url: str) -> None:
    """In one line, before anything is asked."""
    with pytest.raises(StoreError, match="names no store"):
        open_store(url)


def test_plain_http_goes_to_this_machine_alone(bucket: ScriptedBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the environment says otherwise."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://store.example")
    with pytest.raises(StoreError, match="AWS_ALLOW_HTTP"):
        S3Store(f"s3://{object_stores.BUCKET}/of").pointer()
