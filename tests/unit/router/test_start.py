"""A router's first snapshots: what the store names, as far as it can be had, and never a start that hangs."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
from datasets import Built

from router import main
from trunkshow.snapshot import signature
from trunkshow.snapshot.lifecycle import Pointer, Who
from trunkshow.snapshot.manifest import File, Manifest, SnapshotRefused
from trunkshow.snapshot.store import Store, StoreError, StoreUnreachable, open_store

WHO = Who("2026-01-01T00:00:00Z")


class Hanging:
    """A store on a dead file system."""

    url = "/dead"

    def pointer(self) -> object:
        """Nothing, ever; the thread ends with the test's process."""
        threading.Event().wait()
        raise AssertionError


def test_what_the_pointer_names_is_served(built: Built) -> None:
    """And proved to make a slate."""
    views = main.first_views(open_store(built.store), "")
    try:
        assert views.current.version == built.report.manifest.version
    finally:
        views.current.snapshot.close()


def test_with_a_cache_a_store_that_is_gone_is_not_missed(built: Built, tmp_path: Path) -> None:
    """Once it was read."""
    store, cache = tmp_path / "store", tmp_path / "cache"
    shutil.copytree(built.store, store)
    main.first_views(open_store(store, cache), "").current.snapshot.close()
    shutil.rmtree(store)
    views = main.first_views(open_store(store, cache), "")
    views.current.snapshot.close()
    assert views.current.version == built.report.manifest.version


def test_with_a_cache_a_store_that_hangs_is_not_waited_for(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its copies are served."""
    monkeypatch.setattr(main, "ANSWER_WITHIN_S", 0.05)
    main.first_views(open_store(built.store, tmp_path), "").current.snapshot.close()
    views = main.first_views(main.answering(cast("Store", Hanging()), tmp_path), "")
    views.current.snapshot.close()
    assert views.current.version == built.report.manifest.version


def test_without_a_cache_a_store_that_hangs_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loudly, in one line."""
    monkeypatch.setattr(main, "ANSWER_WITHIN_S", 0.05)
    with pytest.raises(StoreUnreachable, match="given nothing"):
        main.answering(cast("Store", Hanging()), None)


def test_a_store_that_serves_nothing_ends_the_start(tmp_path: Path) -> None:
    """There is nothing to answer with."""
    with pytest.raises(StoreError, match="trunkshow build"):
        main.first_views(open_store(tmp_path), "")


def test_a_snapshot_that_fails_a_check_ends_the_start_where_there_is_no_other(built: Built, tmp_path: Path) -> None:
    """A misconfiguration is not stepped down from."""
    store = tmp_path / "store"
    shutil.copytree(built.store, store)
    victim = next(store.glob("snapshots/*/directory/*"))
    victim.chmod(0o600)
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.write_bytes(data)
    with pytest.raises(SnapshotRefused):
        main.first_views(open_store(store), "")


def test_a_copy_that_is_not_signed_is_not_served_where_signatures_are_wanted(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor where the store hangs: whoever can write to the cache must not choose what is served."""
    monkeypatch.setattr(main, "ANSWER_WITHIN_S", 0.05)
    main.first_views(open_store(built.store, tmp_path / "cache"), "").current.snapshot.close()
    signature.make_pair(tmp_path / "private.pem", tmp_path / "public.pem")
    with pytest.raises(StoreUnreachable):
        main.first_views(main.answering(cast("Store", Hanging()), tmp_path / "cache", tmp_path / "public.pem"), "")


class HalfHanging:
    """A store that says what is served, and hangs on the files of the newest version, as over a line that went dead."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.url = store.url
        self.before = store.pointer().current

    def pointer(self) -> Pointer:
        """With a newer version than there are files of."""
        return self._store.pointer().pushed("new", WHO).promoted("new", WHO)

    def manifest(self, version: str) -> Manifest:
        """Of the version before."""
        if version == "new":
            threading.Event().wait()
        return self._store.manifest(version)

    def ensure(self, version: str, files: Mapping[str, File]) -> Path:
        """As the store."""
        return self._store.ensure(version, files)


def test_a_newest_version_whose_files_hang_does_not_keep_the_one_before_from_being_served(
    built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there, in the cache or in the store: within seconds, not after ten minutes, and not never."""
    monkeypatch.setattr(main, "ANSWER_WITHIN_S", 0.05)
    store = HalfHanging(open_store(built.store))
    views = main.within(60, lambda: main.first_views(cast("Store", store), ""))
    views.current.snapshot.close()
    assert views.current.version == store.before
