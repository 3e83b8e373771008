"""Copies that nobody needs any more go aside; those that somebody needs meanwhile stay, whatever was decided before."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from trunkshow.snapshot import local_files
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.local_copies import REMOVED_WITHIN_S, LocalCopies
from trunkshow.snapshot.states import State

SURELY_S = 30.0


class Disk:
    """A cache on a disk that does not come back with a removal before it is told to; time is the test's.

    Attributes:
        began: a removal hangs.
        go: that it goes on.
    """

    def __init__(self, folder: Path) -> None:
        self.began, self.go = threading.Event(), threading.Event()
        self.now = 1000.0
        self.cache = folder
        self.copies = LocalCopies(folder, clock=lambda: self.now)

    def hang(self) -> None:
        """As the disk does, in whatever thread."""
        self.began.set()
        self.go.wait(SURELY_S)

    def fetch(self, *versions: str) -> None:
        """Have copies of versions, as somebody who serves them."""
        for version in versions:
            self.copies.need(version)
            (self.copies.folder(version) / "directory").mkdir(parents=True, exist_ok=True)

    def there(self) -> list[str]:
        """Versions with copies, once all has been removed that is to be."""
        self.go.set()
        assert self.copies.settled(SURELY_S)
        return sorted(path.name for path in (self.cache / "snapshots").iterdir())


def serving(current: str, *others: str) -> Pointer:
    """A pointer whose current version this is; the others, which are known, are not served."""
    return Pointer(states=dict.fromkeys(others, State.RETIRED) | {current: State.CURRENT})


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """One that hangs as soon as the name of a version is to be free."""
    made, set_aside = Disk(tmp_path), local_files.set_aside

    def hangs(folder: Path) -> Path | None:
        made.hang()
        return set_aside(folder)

    monkeypatch.setattr(local_files, "set_aside", hangs)
    yield made
    made.go.set()


def test_what_is_served_again_before_its_turn_stays(disk: Disk) -> None:
    """A rollback, while the disk is at what went first."""
    disk.fetch("a", "b", "c")
    disk.copies.follow(serving("c", "a", "b"), serving("b"))
    assert disk.began.wait(SURELY_S)
    disk.copies.follow(serving("b", "a", "c"), serving("c", "a", "b"))
    assert disk.there() == ["b"]


def test_what_is_asked_for_again_before_its_turn_stays_and_is_held(disk: Disk) -> None:
    """Whoever asked has it checked, and opens it in a moment: no other process may remove it either."""
    disk.fetch("a", "b", "c")
    disk.copies.follow(serving("c", "a", "b"), serving("b"))
    assert disk.began.wait(SURELY_S)
    disk.copies.need("b")
    other = LocalCopies(disk.cache)
    assert disk.there() == ["b", "c"]
    other.follow(serving("c", "a", "b"), Pointer())
    assert other.settled(SURELY_S)
    assert disk.there() == ["b", "c"]


def test_what_is_asked_for_while_its_files_are_removed_is_there_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name is free before they are gone, and nobody waits for longer than that; what is fetched stays."""
    disk, rmtree = Disk(tmp_path), shutil.rmtree

    def hangs(folder: Path, ignore_errors: bool = False) -> None:
        disk.hang()
        rmtree(folder, ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", hangs)
    disk.fetch("a", "b")
    disk.copies.follow(serving("b", "a"), serving("a"))
    assert disk.began.wait(SURELY_S)
    disk.fetch("a")
    at_once = not disk.go.is_set() and not disk.copies.settled(0)
    assert (at_once, disk.there()) == (True, ["a", "b"])


def test_a_removal_that_hangs_is_told_of_once(disk: Disk) -> None:
    """The disk fills up, and nothing else shows it; the next one that hangs is told of as well."""
    disk.fetch("a", "b", "c")
    disk.copies.follow(serving("c", "a", "b"), serving("b"))
    assert disk.began.wait(SURELY_S)
    with capture_logs() as logs:
        for seconds in (0.0, REMOVED_WITHIN_S, 1.0):
            disk.now += seconds
            disk.copies.tend()
    told = [(one["log_level"], one["event"], one["snapshot"], one["cache"]) for one in logs]
    assert told == [("error", "cache.not_removed", "a", str(disk.cache))]


def test_where_no_thread_is_to_be_had_the_next_look_removes(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pointer is followed all the same."""

    def none(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    disk.go.set()
    disk.fetch("a", "b")
    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", none)
        disk.copies.follow(serving("b", "a"), serving("a"))
    disk.copies.tend()
    assert disk.there() == ["b"]
