"""What may go, goes, whatever the moment at which its collector dies; what may be served stays."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_snapshots import publish, push, write

from trunkshow.snapshot.collection import ORPHAN_S, Removal, collect, plan
from trunkshow.snapshot.folder_store import FolderStore
from trunkshow.snapshot.lifecycle import LifecycleError, Pointer, Who
from trunkshow.snapshot.states import State
from trunkshow.snapshot.store import StoreError, who

WHO = Who("2026-01-01T00:00:00+00:00")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderStore:
    """A store with one version of every state, and files that nobody knows."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # the disk's own time is not what is tested
    store = FolderStore(tmp_path / "store")
    store.root.mkdir()
    publish(store, "a", "b", "c", "d", "e")
    for version in ("f", "g", "h"):
        push(store, version)
    store.move(lambda pointer: pointer.rolled_back(who()))
    store.move(lambda pointer: pointer.refused("f", who()))
    store.move(lambda pointer: pointer.rehearsed("g", 0, who()))
    write(store.folder("orphan"), "orphan")
    return store


def planned(store: FolderStore, keep: int = 1, later_s: float = 0.0) -> list[Removal]:
    """What is to go so many seconds after the last write."""
    traces = store.traces()
    return plan(store.pointer(), traces, max(traces.values()) + later_s, keep)


def test_the_dead_and_the_long_retired_go(store: FolderStore) -> None:
    """Of the retired ones, the newest stay; a fresh orphan may be somebody's push under way."""
    goes = {"a": "retired", "b": "retired", "e": "poisoned", "f": "refused"}
    assert {removal.version: removal.why for removal in planned(store)} == goes


def test_orphans_go_after_a_day(store: FolderStore) -> None:
    """Then nobody is writing to them any more."""
    assert Removal("orphan", "orphaned") in planned(store, later_s=ORPHAN_S + 1)


def test_what_may_be_served_stays(store: FolderStore) -> None:
    """Current, candidate, pushed and kept ones are untouched and whole."""
    list(collect(store, planned(store, later_s=ORPHAN_S + 1), who()))
    assert store.versions() == ["c", "d", "g", "h"]
    assert set(store.traces()) == {"c", "d", "g", "h"}
    for version in store.versions():
        store.ensure(version, store.manifest(version).files)


def test_collecting_twice_does_nothing_more(store: FolderStore) -> None:
    """Neither a file nor a line in the history."""
    list(collect(store, planned(store), who()))
    serial = store.pointer().serial
    assert planned(store) == []
    assert store.pointer().serial == serial


class Died(BaseException):
    """As if the power had gone."""


@pytest.mark.parametrize("step", range(16))
def test_a_collector_that_dies_leaves_nothing_that_the_next_one_does_not_remove(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Before the pointer moved, after it, or with half of the files gone; what is served opens at any moment."""
    steps = iter(range(100))

    def dying(original: object) -> object:
        def method(self: object, *arguments: object, **named: object) -> object:
            if next(steps) == step:
                raise Died
            return original(self, *arguments, **named)  # type: ignore[operator]

        return method

    with monkeypatch.context() as patch:
        for owner, name in ((FolderStore, "move"), (FolderStore, "remove"), (Path, "unlink")):
            patch.setattr(owner, name, dying(getattr(owner, name)))
        with suppress(Died):
            list(collect(store, planned(store), who()))
    served = store.manifest(store.pointer().current)
    store.ensure(served.version, served.files)
    list(collect(store, planned(store, later_s=ORPHAN_S + 1), who()))
    assert set(store.traces()) == {"c", "d", "g", "h"}


def test_what_is_pushed_while_collecting_is_not_an_orphan(store: FolderStore) -> None:
    """The pointer is read after the files were looked at; and removing looks again."""
    traces = {**store.traces(), "i": 0.0}  # as if its first file had been written long ago
    push(store, "i")
    assert "i" not in {removal.version for removal in plan(store.pointer(), traces, max(traces.values()))}
    with pytest.raises(StoreError, match="i is pushed"):
        store.remove("i")


def test_a_version_that_is_rolled_back_to_meanwhile_is_not_collected(store: FolderStore) -> None:
    """The pointer has the last word."""
    removals = planned(store)
    store.move(lambda pointer: pointer.rolled_back(who(), to="a"))
    with pytest.raises(LifecycleError, match="a is current"):
        list(collect(store, removals, who()))
    assert "a" in store.versions()


@given(
    states=st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from(State), max_size=8),
    traces=st.dictionaries(st.sampled_from("abcdefghij"), st.floats(0, 2 * ORPHAN_S)),
    keep=st.integers(0, 4),
)
def test_nothing_that_may_be_served_is_ever_planned_to_go(
    states: dict[str, State], traces: dict[str, float], keep: int
) -> None:
    """Whatever the store looks like."""
    pointer = Pointer(1, states)
    goes = {removal.version for removal in plan(pointer, traces, 2 * ORPHAN_S, keep)}
    stays = set(states) - goes
    assert all(states[one] in {State.RETIRED, State.REFUSED, State.POISONED} for one in goes & set(states))
    assert sum(states[one] is State.RETIRED for one in stays) == min(
        keep, sum(state is State.RETIRED for state in states.values())
    )


def test_beside_a_pointer_that_never_moved_nothing_is_orphaned() -> None:
    """It knows of nothing: the one that did is lost."""
    assert plan(Pointer(), {"a": 0.0}, now=10 * ORPHAN_S) == []
