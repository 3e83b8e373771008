"""Local copies of a version go with the last process that needs them."""

from __future__ import annotations

import fcntl
import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from trunkshow.snapshot.local_holds import Holds

SURELY_S = 30.0


def removed(holds: Holds, version: str = "v1") -> bool:
    """Let go of a version; whether it was removed by that."""
    gone: list[str] = []
    holds.let_go(version, lambda: gone.append(version))
    return bool(gone)


def test_the_last_one_who_lets_go_removes(tmp_path: Path) -> None:
    """Each has a lock of its own."""
    one, other = Holds(tmp_path), Holds(tmp_path)
    one.hold("v1")
    other.hold("v1")
    assert (removed(one), removed(other), list(tmp_path.iterdir())) == (False, True, [])


def test_of_other_versions_nothing_is_asked(tmp_path: Path) -> None:
    """Each has its own lock."""
    one, other = Holds(tmp_path), Holds(tmp_path)
    other.hold("v2")
    one.hold("v1")
    assert removed(one)


def test_what_nobody_held_is_removed(tmp_path: Path) -> None:
    """Left by a process that is gone."""
    assert removed(Holds(tmp_path / "folder"))


@pytest.mark.parametrize("same", [True, False])
def test_who_needs_a_version_waits_for_its_removal(tmp_path: Path, same: bool) -> None:
    """And holds what is fetched after it: also where the removal is this process's own, and takes its time."""
    one = Holds(tmp_path)
    next_one = one if same else Holds(tmp_path)
    began, go_on, told = threading.Event(), threading.Event(), list[str]()

    def remove() -> None:
        began.set()
        go_on.wait(SURELY_S)
        told.append("removed")

    def hold() -> None:
        next_one.hold("v1")
        told.append("held")

    one.hold("v1")
    with ThreadPoolExecutor(2) as pool:
        removing = pool.submit(one.let_go, "v1", remove)
        began.wait(SURELY_S)
        holding = pool.submit(hold)
        go_on.set()
        removing.result(SURELY_S)
        holding.result(SURELY_S)
    assert (told, removed(Holds(tmp_path))) == (["removed", "held"], False)


def test_who_needs_another_version_waits_for_no_removal(tmp_path: Path) -> None:
    """A slow disk holds up nobody who opens something else."""
    holds = Holds(tmp_path)
    began, go_on = threading.Event(), threading.Event()

    def remove() -> None:
        began.set()
        go_on.wait(SURELY_S)

    holds.hold("v1")
    with ThreadPoolExecutor(2) as pool:
        removing = pool.submit(holds.let_go, "v1", remove)
        began.wait(SURELY_S)
        holding = pool.submit(holds.hold, "v2")
        try:
            wait([holding], SURELY_S)
            assert (holding.done(), removing.done()) == (True, False)
        finally:
            go_on.set()
    assert not removed(Holds(tmp_path), "v2")


def test_who_lets_go_of_what_somebody_else_removes_waits_for_nobody(tmp_path: Path) -> None:
    """There is nothing left to do; the other one's disk may hang."""
    one, told = Holds(tmp_path), list[bool]()
    one.let_go("v1", lambda: told.append(removed(Holds(tmp_path))))
    assert told == [False]


@pytest.mark.parametrize("held", [True, False])
def test_what_is_needed_again_is_neither_removed_nor_let_go_of(tmp_path: Path, held: bool) -> None:
    """It may be so between the decision that it goes, and its turn."""
    holds, other = Holds(tmp_path), Holds(tmp_path)
    if held:
        holds.hold("v1")
    gone: list[str] = []
    holds.let_go("v1", lambda: gone.append("v1"), lambda: True)
    assert (gone, removed(other)) == ([], not held)


def test_of_two_threads_that_need_a_version_one_lock_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or nobody could ever remove it."""
    holds, locked = Holds(tmp_path), Holds._locked
    both = threading.Barrier(2)

    def at_once(self: Holds, version: str) -> int:
        handle = locked(self, version)
        both.wait(SURELY_S)
        return handle

    with monkeypatch.context() as patched, ThreadPoolExecutor(2) as pool:
        patched.setattr(Holds, "_locked", at_once)
        list(pool.map(holds.hold, ["v1", "v1"]))
    assert removed(holds)


def test_where_there_are_no_locks_copies_are_used_and_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems have none; then nobody can tell who else needs them."""

    def none(*_: object) -> None:
        raise OSError(os.strerror(37))

    monkeypatch.setattr(fcntl, "flock", none)
    holds = Holds(tmp_path)
    holds.hold("v1")
    assert not removed(holds)
