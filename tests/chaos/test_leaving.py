"""Who asks to be forgotten does so when nothing of theirs is on its way any more, and until it is done."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from cli.chaos import leaving
from cli.chaos.leaving import Leaving
from cli.chaos.ledger import Ledger
from cli.chaos.recording import EVENTS_OF_A_CALL, STRANGER, USER_EVENTS_MAX, Recording
from trunkshow.errors import Unavailable
from trunkshow.events import Event


class Router:
    """Fails the first few times."""

    def __init__(self, fails: int) -> None:
        self.fails = fails
        self.asked: list[str] = []

    async def forget(self, user_id: str, *, deadline_ms: float) -> None:
        """Forget, or not."""
        del deadline_ms
        self.asked.append(user_id)
        if len(self.asked) <= self.fails:
            raise Unavailable("it was told to fail")


def test_who_has_something_under_way_waits() -> None:
    """Once sent and once held back, of two events; nobody is told twice."""
    leavers = Leaving(Ledger(), Router(0))
    events = [Event("ann", "hat", "click"), Event("ann", "cap", "click")]
    leavers.opened(events)
    leavers.leaves("ann")
    leavers.leaves("bob")
    assert leavers.ready() == ["bob"]
    leavers.opened(events)
    leavers.closed(events)
    assert leavers.ready() == []
    leavers.closed(events)
    assert leavers.ready() == ["ann"]
    assert leavers.ready() == []


@pytest.mark.parametrize("all_leave", [True, False])
async def test_where_all_leave_they_do_so_once_they_have_done_all_that_they_do(all_leave: bool) -> None:
    """Else whom the snapshot knows stays, and others leave sooner or later."""
    facts: Any = SimpleNamespace(ids=["hat", "cap"], users=lambda: (f"known-{number}" for number in range(100)))
    visitor, done, left = Recording(facts, "127.0.0.1:1", 1, all_leave=all_leave), Counter[str](), list[str]()
    visitor._leaving.leaves = left.append  # type: ignore[method-assign]
    for _ in range(3_000):
        done.update(event.user_id for event in visitor._something_done())
    await visitor.close()
    strangers = {user for user in done if user.startswith(STRANGER)}
    full = {user for user, events in done.items() if events + EVENTS_OF_A_CALL[1] > USER_EVENTS_MAX}
    assert len(left) == len(set(left)) > 20
    assert strangers.issuperset(left)
    assert (strangers == done.keys()) is all_leave
    assert (full == set(left)) is all_leave


async def test_it_is_asked_for_until_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is said to be done only then."""
    monkeypatch.setattr(leaving, "AGAIN_AFTER_S", 0.0)
    ledger, router = Ledger(), Router(2)
    leavers = Leaving(ledger, router)
    await leavers.forget("ann")
    assert router.asked == ["ann"] * 3
    assert ledger.is_forgotten("ann")
