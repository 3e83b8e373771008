"""The commands for the life of a version: what they do to a store, what they print, how they refuse."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tiny_snapshots import publish, push

from cli.main import run
from cli.moves import share, until_decided
from cli.output import UsageError
from trunkshow.snapshot.folder_store import FolderStore
from trunkshow.snapshot.states import State
from trunkshow.snapshot.store import StoreError, who


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """A store that served a, serves b, and has c."""
    store = FolderStore(tmp_path / "store")
    store.root.mkdir()
    publish(store, "a", "b")
    push(store, "c")
    return store


def asked(store: FolderStore, capsys: pytest.CaptureFixture[str], command: str, *more: str) -> Any:
    """What a command prints as JSON."""
    capsys.readouterr()
    assert run([command, *more, "--store", str(store.root), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("commands", "current", "states"),
    [
        ([["promote", "c", "--now"]], "c", {"a": "retired", "b": "previous", "c": "current"}),
        ([["promote", "c"]], "b", {"a": "previous", "b": "current", "c": "rehearsing"}),
        ([["promote", "c", "--canary", "5%"]], "b", {"a": "previous", "b": "current", "c": "rehearsing"}),
        ([["promote", "c", "--now", "--canary", "0.5"]], "b", {"a": "previous", "b": "current", "c": "canary"}),
        ([["promote", "c"], ["withdraw"]], "b", {"a": "previous", "b": "current", "c": "pushed"}),
        ([["refuse", "c"]], "b", {"a": "previous", "b": "current", "c": "refused"}),
        ([["rollback"]], "a", {"a": "current", "b": "poisoned", "c": "pushed"}),
        (
            [["promote", "c", "--now"], ["rollback", "--to", "a"]],
            "a",
            {"a": "current", "b": "previous", "c": "poisoned"},
        ),
        ([["pin"], ["unpin"]], "b", {"a": "previous", "b": "current", "c": "pushed"}),
    ],
)
def test_moves(
    store: FolderStore,
    capsys: pytest.CaptureFixture[str],
    commands: Sequence[Sequence[str]],
    current: str,
    states: dict[str, str],
) -> None:
    """Each command is a move of the pointer, and prints what it is then."""
    for command in commands:
        printed = asked(store, capsys, *command)
    assert (printed["current"], printed["states"]) == (current, states)
    assert store.pointer().current == current


def test_who_and_why_are_in_the_history(store: FolderStore, capsys: pytest.CaptureFixture[str]) -> None:
    """For the colleague who asks tomorrow."""
    assert run(["rollback", "--store", str(store.root), "--why", "empty slates"]) == 0
    *_, last = asked(store, capsys, "history")
    assert (last["event"], last["version"], last["previous"], last["why"]) == ("rolled_back", "a", "b", "empty slates")
    assert "@" in last["by"]
    assert run(["history", "--store", str(store.root), "--n", "1"]) == 0
    shown = capsys.readouterr().out
    assert "rolled back" in shown
    assert "empty slates" in shown
    assert "promoted" not in shown


def test_versions_for_a_person_and_for_a_script(store: FolderStore, capsys: pytest.CaptureFixture[str]) -> None:
    """What each is there for; one whose manifest is gone is shown all the same."""
    (store.folder("a") / "manifest.json").unlink()
    printed = asked(store, capsys, "versions")
    assert [(one["version"], one["state"], one["readable"]) for one in printed["versions"]] == [
        ("c", "pushed", True),
        ("b", "current", True),
        ("a", "previous", False),
    ]
    assert run(["versions", "--store", str(store.root)]) == 0
    shown = capsys.readouterr().out
    assert [word in shown for word in ("pushed", "current", "previous", "1.4 KiB")] == [True] * 4


def test_push_copies_to_another_store(store: FolderStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There it waits."""
    printed = asked(store, capsys, "push", "b", "--to", str(tmp_path / "other"))
    assert printed["states"] == {"b": "pushed"}
    assert FolderStore(tmp_path / "other").manifest("b") == store.manifest("b")


def test_gc_says_what_it_would_remove_and_removes_it(store: FolderStore, capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing that is served."""
    assert run(["refuse", "c", "--store", str(store.root)]) == 0
    removed = [{"version": "c", "why": "refused"}]
    assert asked(store, capsys, "gc", "--dry-run") == {"dry_run": True, "removed": removed}
    assert store.versions() == ["a", "b", "c"]
    assert asked(store, capsys, "gc") == {"dry_run": False, "removed": removed}
    assert store.versions() == ["a", "b"]
    assert asked(store, capsys, "gc")["removed"] == []


def test_keys_that_were_made_check_what_is_pushed(
    store: FolderStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unsigned version is neither copied nor promoted by who gives a key."""
    assert run(["keys", str(tmp_path / "private"), str(tmp_path / "public")]) == 0
    given = ["--store", str(store.root), "--verify-key", str(tmp_path / "public")]
    for command in (["promote", "c", "--now"], ["push", "c", "--to", str(tmp_path / "other")]):
        assert run([*command, *given]) == 2
        assert "c is not signed" in capsys.readouterr().err
    assert store.pointer().states["c"] is State.PUSHED


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["promote", "z"], "no snapshot 'z'; it has: a, b, c"),
        (["promote", "b"], "b is current"),
        (["promote", "a", "--now"], "roll back"),
        (["promote", "c", "--now", "--rehearse"], "exclude one another"),
        (["promote", "c", "--canary", "150%"], "no share of the users"),
        (["promote", "c", "--canary", "few"], "no share of the users"),
        (["promote", "c", "--verify-key", "none.pem"], "none.pem cannot be read"),
        (["rollback", "--to", "c"], "only a version that was served"),
        (["refuse", "b"], "cannot become refused"),
        (["withdraw"], "no candidate"),
        (["unpin"], "nothing is pinned"),
        (["push", "c"], "--to is missing"),
        (["push", "z", "--to", "elsewhere"], "no snapshot 'z'"),
        (["gc", "--keep", "-1"], "--keep -1 is out of range"),
        (["history", "--n", "0"], "--n 0 is out of range"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    store: FolderStore, capsys: pytest.CaptureFixture[str], command: list[str], said: str
) -> None:
    """Exit code 2, what is wrong, and nothing has moved."""
    before = store.pointer()
    assert run([*command, "--store", str(store.root)]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert (len(printed.err.splitlines()), printed.out) == (1, "")
    assert store.pointer() == before


def test_a_store_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By every command."""
    for command in ("versions", "history", "gc", "pin", "unpin", "rollback", "withdraw"):
        assert run([command, "--store", str(tmp_path / "gone")]) == 2
        assert "gone" in capsys.readouterr().err


class Routers:
    """A clock that routers decide by: at each sleep, the next of what they do."""

    def __init__(self, *decisions: Any) -> None:
        self.decisions = list(decisions)
        self.now = 0.0

    def clock(self) -> float:
        """Seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Something is decided meanwhile."""
        self.now += seconds
        if self.decisions:
            self.decisions.pop(0)()


def test_waiting_ends_when_the_candidate_is_served(store: FolderStore) -> None:
    """By everybody; a canary is not that yet."""
    store.move(lambda pointer: pointer.rehearsed("c", 0.05, who()))
    routers = Routers(
        lambda: store.move(lambda pointer: pointer.canaried("c", 0.05, who())),
        lambda: store.move(lambda pointer: pointer.promoted("c", who())),
    )
    assert until_decided(store, "c", 60, routers.clock, routers.sleep).current == "c"
    assert routers.decisions == []


def test_waiting_ends_when_the_candidate_is_refused(store: FolderStore) -> None:
    """With the reason that the routers gave."""
    store.move(lambda pointer: pointer.rehearsed("c", 0, who()))
    routers = Routers(lambda: store.move(lambda pointer: pointer.refused("c", who("overlap 0.2"))))
    with pytest.raises(StoreError, match=r"c is refused: overlap 0\.2"):
        until_decided(store, "c", 60, routers.clock, routers.sleep)


def test_waiting_ends_when_the_time_is_up(store: FolderStore) -> None:
    """Nobody decided."""
    store.move(lambda pointer: pointer.rehearsed("c", 0, who()))
    routers = Routers()
    with pytest.raises(StoreError, match="rehearsing still, after 60 s"):
        until_decided(store, "c", 60, routers.clock, routers.sleep)
    assert routers.now == 60


@pytest.mark.parametrize(("text", "value"), [("", 0), ("5%", 0.05), ("0.05", 0.05), ("100%", 1), ("1", 1)])
def test_shares(text: str, value: float) -> None:
    """In percent or as a fraction."""
    assert share(text) == value


@pytest.mark.parametrize("text", ["0", "-5%", "101%", "nan", "inf", "%", "5 %%"])
def test_what_is_no_share(text: str) -> None:
    """Refused with how to write one."""
    with pytest.raises(UsageError, match="5% or"):
        share(text)
