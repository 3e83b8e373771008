"""Any bit of any file of a snapshot that flips, and any end that is cut off, is found before the file is used."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import numpy as np
import pytest
from datasets import Built
from hypothesis import given, settings
from hypothesis import strategies as st

import trunkshow
from builder import warm_start
from trunkshow.snapshot import arrays
from trunkshow.snapshot.manifest import SnapshotRefused
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store

ROOT = Path(trunkshow.__file__).parent.parent


@pytest.fixture(scope="module")
def copied(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of its own, to be broken and mended."""
    return Path(shutil.copytree(built.store, tmp_path_factory.mktemp("copied") / "store"))


def open_what_needs(store: Path, path: str) -> None:
    """Open what any process opens before it uses this file."""
    opened = open_store(store)
    snapshot = Snapshot.open(opened)
    try:
        if path.startswith(f"{warm_start.FOLDER}/"):
            opened.ensure(snapshot.version, snapshot.manifest.under(warm_start.FOLDER))
        if path.startswith("directory/"):
            _ = snapshot.directory
        if path.startswith("partitions/"):
            number = int(path.split("/")[1])
            snapshot.open_stand_ins(number).close()
            snapshot.open_partition(number).close()
    finally:
        snapshot.close()


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_no_flip_and_no_cut_gets_in(copied: Path, data: st.DataObject) -> None:
    """Of each class of files, its first partition's among them; at any offset; by a bit, or by the rest of the file."""
    (manifest,) = copied.glob("snapshots/*/manifest.json")
    folder = manifest.parent
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from([one for one in files if "partitions/" not in one or "/00000/" in one]))
    kept = (folder / path).read_bytes()
    at = data.draw(st.integers(0, len(kept) - 1))
    bit = data.draw(st.integers(0, 7))
    spoilt = kept[:at] if data.draw(st.booleans()) else kept[:at] + bytes([kept[at] ^ 1 << bit]) + kept[at + 1 :]
    (folder / path).write_bytes(spoilt)
    try:
        with pytest.raises(SnapshotRefused) as refused:
            open_what_needs(copied, path)
        assert "\n" not in str(refused.value)
    finally:
        (folder / path).write_bytes(kept)


class Bomb:
    """An object that does something when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return pytest.fail, ("it was unpickled",)


def test_an_array_of_objects_is_not_unpickled(tmp_path: Path) -> None:
    """Snapshots are data, never code."""
    np.save(tmp_path / "bomb.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"pickle|[Oo]bject"):
        arrays.load_one(tmp_path / "bomb.npy")


def test_nothing_here_can_unpickle_or_execute() -> None:
    """No module of ours imports what runs data, or lets numpy do it."""
    forbidden = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
    for room in ("trunkshow", "router", "shard", "builder"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert not forbidden & {name.partition(".")[0] for name in names}, path
                if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                    assert isinstance(node.value, ast.Constant), path
                    assert node.value.value is False, path
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    assert node.func.id not in {"eval", "exec"}, path
