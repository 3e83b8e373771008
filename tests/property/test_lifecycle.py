"""Whatever is moved in whatever order, the rules of a version's life hold; and the pointer survives being written."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from trunkshow.snapshot import pointer_json
from trunkshow.snapshot.lifecycle import LifecycleError, Pointer, Who
from trunkshow.snapshot.pointer_json import PointerUnreadable
from trunkshow.snapshot.states import CANDIDATE, NEXT, State

WHO = Who("2026-01-01T00:00:00+00:00", "tester", "to see")
NEVER_AGAIN = {State.REFUSED, State.POISONED}
shares = st.sampled_from([0.0, 0.05, 1.0])


class Lives(RuleBasedStateMachine):
    """A store's pointer, moved at random; a move that is forbidden changes nothing."""

    versions = Bundle("versions")

    def __init__(self) -> None:
        super().__init__()
        self.pointer = Pointer()
        self.dead: set[str] = set()
        self.pushed = 0

    def attempt(self, name: str, *arguments: object, **named: object) -> bool:
        """Make a move; whether the rules allowed it."""
        before = self.pointer
        try:
            after: Pointer = getattr(before, name)(*arguments, **named)
        except LifecycleError as error:
            assert "\n" not in str(error)
            return False
        self.check(before, after, name)
        self.pointer = after
        return True

    def check(self, before: Pointer, after: Pointer, name: str) -> None:
        """What holds between any pointer and the next."""
        assert after.serial == before.serial + 1
        assert after.history[-1].by == "tester"
        for version, state in after.states.items():
            was = before.states.get(version)
            assert was is state or was is None or state in NEXT[was], (version, was, state)
        if before.pinned and after.current != before.current:
            assert name == "rolled_back"
        if name == "promoted" and before.current:
            assert after.previous == before.current
        if name == "rolled_back":
            assert after.states[before.current] is State.POISONED
            assert not after.pinned

    @rule(target=versions)
    def push(self) -> str:
        """Somebody built a version."""
        version = f"v{self.pushed:03}"
        self.pushed += 1
        assert self.attempt("pushed", version, WHO, "00" * 32)
        return version

    @rule(version=versions, share=shares)
    def rehearse(self, version: str, share: float) -> None:
        """It is to be tried."""
        if self.attempt("rehearsed", version, share, WHO):
            assert (self.pointer.candidate, self.pointer.canary_share) == (version, share)

    @rule(version=versions, share=shares)
    def canary(self, version: str, share: float) -> None:
        """A few are to get it."""
        if self.attempt("canaried", version, share, WHO):
            assert self.pointer.states[version] is State.CANARY

    @rule(version=versions)
    def promote(self, version: str) -> None:
        """Everybody is to get it."""
        if self.attempt("promoted", version, WHO):
            assert self.pointer.current == version

    @rule(version=versions)
    def refuse(self, version: str) -> None:
        """It failed."""
        self.attempt("refused", version, WHO)

    @rule()
    def withdraw(self) -> None:
        """The candidate is none any more."""
        if self.attempt("withdrawn", WHO):
            assert not self.pointer.candidate

    @rule()
    def roll_back(self) -> None:
        """To the version before."""
        expected = self.pointer.previous
        if self.attempt("rolled_back", WHO):
            assert self.pointer.current == expected

    @rule(version=versions)
    def roll_back_to(self, version: str) -> None:
        """To one that is named."""
        if self.attempt("rolled_back", WHO, to=version):
            assert self.pointer.current == version

    @rule()
    def pin(self) -> None:
        """Nothing is to change."""
        self.attempt("with_pin", WHO)

    @rule()
    def unpin(self) -> None:
        """It may."""
        self.attempt("without_pin", WHO)

    @rule(keep=st.integers(0, 3))
    def collect(self, keep: int) -> None:
        """Everything that may go, goes."""
        for version in self.pointer.collectable(keep):
            assert self.attempt("collected", version, WHO)
            assert version not in self.pointer.manifests

    @rule(version=versions)
    def push_again(self, version: str) -> None:
        """A name that the store knows is never taken twice."""
        if version in self.pointer.states:
            assert not self.attempt("pushed", version, WHO)

    @invariant()
    def at_most_one_of_each(self) -> None:
        """One current, one previous, one candidate; a candidate and a previous one only beside a current one."""
        states = list(self.pointer.states.values())
        assert states.count(State.CURRENT) <= 1
        assert states.count(State.PREVIOUS) <= 1
        assert sum(state in CANDIDATE for state in states) <= 1
        assert self.pointer.current or not (self.pointer.candidate or self.pointer.previous or self.pointer.pinned)

    @invariant()
    def the_dead_stay_dead(self) -> None:
        """What was refused or poisoned once is so for ever."""
        now = {version for version, state in self.pointer.states.items() if state in NEVER_AGAIN}
        assert self.dead <= now
        self.dead = now

    @invariant()
    def what_is_served_has_files(self) -> None:
        """Nothing that may be served was collected."""
        alive = {version for version, state in self.pointer.states.items() if state not in NEVER_AGAIN}
        assert alive <= set(self.pointer.manifests)

    @invariant()
    def it_survives_being_written(self) -> None:
        """Reading gives what was written."""
        assert pointer_json.loads(pointer_json.dumps(self.pointer, mark="x")) == self.pointer


Lives.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestLives = Lives.TestCase


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_no_bytes_make_reading_fail_otherwise(garbage: bytes) -> None:
    """A pointer, or a clear word that it is none."""
    with pytest.raises(PointerUnreadable):
        pointer_json.loads(garbage)


@given(st.data())
def test_a_damaged_pointer_is_read_whole_or_not_at_all(data: st.DataObject) -> None:
    """Cut short anywhere, it is refused, in one line."""
    text = pointer_json.dumps(Pointer().pushed("a", WHO, "00").promoted("a", WHO))
    end = data.draw(st.integers(0, len(text) - 3))
    with pytest.raises(PointerUnreadable):
        pointer_json.loads(text[:end])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (('"schema": 1', '"schema": 2'), "schema 2; this release reads schema 1"),
        (('"a": "current"', '"../a": "current"'), "no name of a version"),
        (('"a": "current"', '"a": "current", "b": "current"'), "more than one current"),
        (('"a": "current"', '"a": "served"'), "cannot be read"),
        (('"canary_share": 0.0', '"canary_share": 7'), "out of range"),
        (('"canary_share": 0.0', '"canary_share": NaN'), "out of range"),
        (('"serial": 2', '"serial": -1'), "out of range"),
        (('"serial": 2', '"serial": 1e999'), "cannot be read"),
    ],
)
def test_a_pointer_that_breaks_the_rules_is_refused(change: tuple[str, str], why: str) -> None:
    """A later schema, names that lead elsewhere, two current versions, numbers that mean nothing."""
    text = pointer_json.dumps(Pointer().pushed("a", WHO).promoted("a", WHO))
    assert change[0] in text
    with pytest.raises(PointerUnreadable, match=why):
        pointer_json.loads(text.replace(*change))
