"""What tests of snapshots that change share: another one of the same shop, and a store of one's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from datasets import Built
from swapping import built_of, retrained

from trunkshow.snapshot.store import Store, open_store


@pytest.fixture(scope="session")
def second(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a second snapshot of the same shop. Look, but do not touch."""
    return built_of(retrained(built.shop), tmp_path_factory.mktemp("second"))


@pytest.fixture
def store(built: Built, tmp_path: Path) -> Store:
    """A store of one's own that serves the built snapshot."""
    shutil.copytree(built.store, tmp_path / "store")
    return open_store(tmp_path / "store")
