"""Who asks to be forgotten does so when nothing of theirs is on its way any more, and until it is done."""

from __future__ import annotations

import pytest

from cli.chaos import leaving
from cli.chaos.leaving import Leaving
from cli.chaos.ledger import Ledger
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


async def test_it_is_asked_for_until_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is said to be done only then."""
    monkeypatch.setattr(leaving, "AGAIN_AFTER_S", 0.0)
    ledger, router = Ledger(), Router(2)
    leavers = Leaving(ledger, router)
    await leavers.forget("ann")
    assert router.asked == ["ann"] * 3
    assert ledger.is_forgotten("ann")
