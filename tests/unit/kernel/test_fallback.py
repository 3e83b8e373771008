"""What a router begins with where its cache is empty and the store away: made beforehand, checked when it is taken."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from datasets import Built
from structlog.testing import capture_logs
from tiny_snapshots import publish

from cli.main import run
from trunkshow.snapshot import signature
from trunkshow.snapshot.cached_store import CachedStore
from trunkshow.snapshot.fallback import keep
from trunkshow.snapshot.folder_store import FolderStore
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import Store, StoreError, StoreUnreachable, open_store

SURELY_S = 30.0


@pytest.fixture
def origin(built: Built, tmp_path: Path) -> Path:
    """The folder of a store of its own, to be lost."""
    return Path(shutil.copytree(built.store, tmp_path / "store"))


@pytest.fixture
def kept(origin: Path, tmp_path: Path) -> Path:
    """The copy of what it serves."""
    keep(FolderStore(origin), tmp_path / "kept")
    return tmp_path / "kept"


@pytest.fixture
def fresh(origin: Path, tmp_path: Path, kept: Path) -> Store:
    """The store as a process has it whose cache is empty."""
    return open_store(origin, tmp_path / "cache", fallback=kept)


def away(origin: Path) -> None:
    """The store is not there."""
    origin.rename(origin.with_name("elsewhere"))


def test_with_an_empty_cache_and_no_store_what_was_kept_is_opened(origin: Path, fresh: Store) -> None:
    """All that a router opens, and it is said that the store does not answer."""
    away(origin)
    with capture_logs() as logs:
        snapshot = Snapshot.open(fresh)
    assert len(snapshot.directory) and len(snapshot.catalogue)
    snapshot.close()
    assert not fresh.reachable
    assert [line["snapshot"] for line in logs if line["event"] == "fallback.taken"] == [snapshot.version]


def test_what_was_taken_is_in_the_cache_from_then_on(origin: Path, fresh: Store, kept: Path, tmp_path: Path) -> None:
    """The copy is read once."""
    away(origin)
    fresh.pointer()
    shutil.rmtree(kept)
    Snapshot.open(open_store(origin, tmp_path / "cache", fallback=kept)).close()


def test_a_store_that_answers_is_what_counts(built: Built, fresh: Store, kept: Path) -> None:
    """The copy may be old, and is not looked at."""
    (kept / "POINTER.json").write_text("not looked at")
    assert (fresh.pointer().current, fresh.reachable) == (built.report.manifest.version, True)


def test_a_store_that_comes_back_is_followed(origin: Path, fresh: Store) -> None:
    """And the copies of what was begun with go, once it is served no more."""
    store = FolderStore(origin)
    away(origin)
    first = fresh.pointer().current
    origin.with_name("elsewhere").rename(origin)
    publish(store, "b", "c")
    assert (fresh.pointer().current, fresh.reachable) == ("c", True)
    assert isinstance(fresh, CachedStore) and fresh.copies.settled(SURELY_S)
    assert first not in [path.name for path in (origin.parent / "cache" / "snapshots").iterdir()]


def test_a_store_that_refuses_is_no_reason_to_begin_with_old_lists(
    origin: Path, fresh: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is misconfigured must fail at the start, where somebody sees it."""

    def refuses(_: object) -> None:
        raise StoreError(f"{origin} refuses: 403")

    monkeypatch.setattr(FolderStore, "pointer", refuses)
    with pytest.raises(StoreError, match="403"):
        fresh.pointer()


@pytest.mark.parametrize("spoilt", ["POINTER.json", "manifest.json", "taste/directions.npy", "everything"])
def test_a_copy_that_is_no_good_is_none(origin: Path, fresh: Store, kept: Path, spoilt: str) -> None:
    """It is told, and the store is missed as it would be without."""
    away(origin)
    if spoilt == "everything":
        shutil.rmtree(kept / "snapshots")
    else:
        path = next(path for path in kept.rglob("*") if path.as_posix().endswith(spoilt))
        path.write_bytes(path.read_bytes()[:-3] + b"{{{")
    with capture_logs() as logs, pytest.raises(StoreUnreachable):
        fresh.pointer()
    assert [line["event"] for line in logs if line["log_level"] == "error"][-1:] == ["fallback.unusable"]


def test_a_copy_that_is_not_signed_is_not_taken_where_signatures_are_wanted(
    origin: Path, kept: Path, tmp_path: Path
) -> None:
    """Whoever can write to an image must not choose what is served."""
    signature.make_pair(tmp_path / "private.pem", tmp_path / "public.pem")
    away(origin)
    with pytest.raises(StoreUnreachable):
        open_store(origin, tmp_path / "cache", tmp_path / "public.pem", kept).pointer()


def test_a_folder_that_is_not_there_is_no_fallback(origin: Path, tmp_path: Path) -> None:
    """As in an image that was made without: the manifests name it all the same."""
    away(origin)
    with pytest.raises(StoreUnreachable):
        open_store(origin, tmp_path / "cache", fallback=tmp_path / "none").pointer()


def test_made_anew_the_copy_has_the_newest_version_alone(
    origin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the command, which tells which; partitions, which routers do not open, are not in it."""
    into = tmp_path / "copy"
    versions = []
    for version in ("", "b"):
        if version:
            publish(FolderStore(origin), version)
        assert run(["fallback", str(into), "--store", str(origin), "--json"]) == 0
        versions.append(json.loads(capsys.readouterr().out)["version"])
    assert [path.name for path in (into / "snapshots").iterdir()] == [versions[1]] == ["b"]
    assert not list(into.rglob("partitions"))
