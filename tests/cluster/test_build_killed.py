"""A build that is killed at any point leaves the store serving what it served; the next build cleans up."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest
from processes import BUILT_WITHIN_S, Process

from trunkshow.snapshot.folder_store import FolderStore
from trunkshow.snapshot.manifest import verify
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store

STEPS = ["read", "events.csv", "evaluate", "fit", "fit popularity", "partition", "write", "write partitions", "publish"]
"""Of a build, in their order; it is killed as each of them begins."""


class Builders:
    """Builds that die where they are told to.

    Attributes:
        fsyncs: how many a build makes: the last number at which it can be killed.
    """

    fsyncs = 0

    def __init__(self, dataset: Path) -> None:
        command = [sys.executable, str(Path(__file__).with_name("build_server.py")), str(dataset)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def build(self, store: Path, point: str = "none") -> int:
        """The exit code of a build that is killed at a point."""
        return self._run(store, point)[0]

    def command(self, store: Path, bytes_max: int) -> tuple[int, str]:
        """The exit code of `trunkshow build` where no file may be larger, and what it says."""
        return self._run(store, f"disk:{bytes_max}")

    def _run(self, store: Path, point: str) -> tuple[int, str]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{store} {point}\n")
        self._process.stdin.flush()
        code, fsyncs, said = json.loads(self._process.stdout.readline())
        self.fsyncs = max(self.fsyncs, fsyncs)
        return code, said

    def end(self) -> None:
        """No more builds."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop that is built in a fraction of a second."""
    return datasets.write(datasets.clustered(60, 48, 12), tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def builders(dataset: Path) -> Iterator[Builders]:
    """Builds of that shop."""
    started = Builders(dataset)
    try:
        yield started
    finally:
        started.end()


@pytest.fixture(scope="module")
def served(builders: Builders, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one snapshot. Look, but do not touch."""
    store = tmp_path_factory.mktemp("served") / "store"
    with FolderStore(store).building():
        pass  # writes the first pointer: every build calls fsync as often as the next one
    assert builders.build(store) == 0
    return store


@pytest.fixture
def store(served: Path, tmp_path: Path) -> Path:
    """The served store, to be built into."""
    return Path(shutil.copytree(served, tmp_path / "store"))


def opens_whole(store: Path) -> str:
    """Open the current snapshot and check every file of it; return its version."""
    snapshot = Snapshot.open(open_store(store))
    verify(FolderStore(store).folder(snapshot.version), snapshot.manifest.files)
    for number in range(snapshot.partitions):
        snapshot.open_partition(number).close()
    snapshot.close()
    return snapshot.version


def is_clean(store: Path) -> bool:
    """Whether there is nothing but complete snapshots that the pointer knows."""
    known = set(FolderStore(store).pointer().states)
    folders = {path.name for path in (store / "snapshots").iterdir()}
    return folders <= known and not list((store / "building").iterdir())


@pytest.mark.parametrize("step", STEPS)
def test_a_build_killed_at_a_step_leaves_the_old_snapshot_served(store: Path, builders: Builders, step: str) -> None:
    """The pointer has not moved, and what it names is whole."""
    before = FolderStore(store).pointer().current
    assert builders.build(store, step) == -signal.SIGKILL
    assert opens_whole(store) == before


@pytest.mark.parametrize("step", ["write partitions", "publish"])
def test_the_build_after_a_killed_one_cleans_up_and_publishes(store: Path, builders: Builders, step: str) -> None:
    """Nothing of the dead build is left, and the new snapshot is served."""
    before = FolderStore(store).pointer().current
    builders.build(store, step)
    assert builders.build(store) == 0
    assert opens_whole(store) != before
    assert is_clean(store)


@pytest.mark.parametrize("from_the_end", range(6))
def test_a_build_killed_while_publishing_leaves_a_whole_snapshot_served(
    store: Path, builders: Builders, from_the_end: int
) -> None:
    """The old one or the new one, whichever side of the pointer's move it died on.

    What the next build finds of it is known to the pointer, pushed or served; or it goes.
    """
    before = FolderStore(store).pointer().current
    assert builders.build(store, f"fsync:{builders.fsyncs - from_the_end}") == -signal.SIGKILL
    after = opens_whole(store)
    known = FolderStore(store).pointer()
    assert {before, after} <= set(known.states) <= set(FolderStore(store).versions())
    assert builders.build(store) == 0
    opens_whole(store)
    assert set(known.states) <= set(FolderStore(store).versions()) == set(FolderStore(store).pointer().states)
    assert is_clean(store)


def test_a_first_build_that_was_killed_leaves_nothing_served(tmp_path: Path, builders: Builders) -> None:
    """An empty pointer, not half a snapshot; and the next build publishes."""
    builders.build(tmp_path / "store", "publish")
    before = FolderStore(tmp_path / "store").pointer().current
    assert builders.build(tmp_path / "store") == 0
    assert before == ""
    assert is_clean(tmp_path / "store")


def test_the_command_killed_from_outside_leaves_the_old_snapshot_served(store: Path, dataset: Path) -> None:
    """`trunkshow build`, killed as soon as it says that it fits the models."""
    before = FolderStore(store).pointer().current
    command = [sys.executable, "-m", "cli.main", "build", str(dataset), "--store", str(store), "--partitions", "3"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=os.environ)
    try:
        assert process.stderr is not None
        assert any("build: fit" in line for line in process.stderr)
    finally:
        process.kill()
        process.communicate()
    assert opens_whole(store) == before


@pytest.mark.parametrize("bytes_max", [500, 5_000, 12_000, 20_000])
def test_a_file_that_cannot_be_written_ends_the_build_in_one_line(
    store: Path, builders: Builders, bytes_max: int
) -> None:
    """Whichever library was writing: exit code 2, one line, and what was served is served."""
    before = FolderStore(store).pointer().current
    code, said = builders.command(store, bytes_max)
    assert (code, said.count("\n")) == (2, 1), (code, said)
    assert "cannot be written to" in said
    assert opens_whole(store) == before


def test_a_build_that_is_told_to_end_clears_up_and_publishes_nothing(dataset: Path, tmp_path: Path) -> None:
    """With the exit code of SIGTERM; as the first process of a container it would otherwise hear nothing."""
    store = tmp_path / "store"
    building = Process(["build", str(dataset), "--store", str(store), "--factors", "512"], tmp_path / "log")
    try:
        until = time.monotonic() + BUILT_WITHIN_S
        while not list(store.glob("building/*/LOCK")):
            assert building.lives
            assert time.monotonic() < until
        building.signal(signal.SIGTERM)
        assert building.wait() == 128 + signal.SIGTERM
    finally:
        building.kill()
    assert not open_store(store).pointer().states
    assert [path.name for path in store.glob("building/*")] == []
