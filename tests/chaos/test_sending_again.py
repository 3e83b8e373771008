"""What was not acknowledged is sent again, later each time, and at once when a fault is healed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from cli.chaos import recording
from cli.chaos.recording import AGAIN, Recording
from trunkshow.errors import Unavailable
from trunkshow.events import Event


@pytest.fixture
async def visitor(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Recording]:
    """One whose every call fails, at a time that stands still."""
    facts: Any = SimpleNamespace(ids=["hat", "cap"], users=lambda: iter(("ann", "bob")))
    one = Recording(facts, "127.0.0.1:1", 1)

    async def fails(events: object, *, deadline_ms: float) -> None:
        raise Unavailable(f"it was told to fail {events} of {deadline_ms} ms")

    monkeypatch.setattr(one._recorder, "record", fails)
    monkeypatch.setattr(recording.time, "monotonic", lambda: 100.0)
    yield one
    await one.close()


async def refused(visitor: Recording, events: list[Event]) -> list[float]:
    """After how many seconds each of these is to be sent again, once it was sent now."""
    visitor.ledger.sent({event.event_id: event.user_id for event in events})
    await visitor._record(events)
    return [at - 100.0 for at, _, event in sorted(visitor._again) if event in events]


async def test_what_is_refused_again_and_again_comes_later_each_time(visitor: Recording) -> None:
    """And another event is none the later for it."""
    event, other = (Event("ann", "hat", "click", event_id=name) for name in ("a", "b"))
    waits = []
    for _ in range(5):
        visitor._again.clear()
        waits += await refused(visitor, [event])
    assert waits == [AGAIN.after(times) for times in range(1, 6)] == sorted(waits)
    assert waits[-1] == AGAIN.longest_s > waits[0]
    assert await refused(visitor, [other]) == waits[:1]


async def test_once_a_fault_is_healed_all_that_is_held_back_is_due(visitor: Recording) -> None:
    """And what is refused after it is refused for the first time."""
    event = Event("ann", "hat", "click", event_id="a")
    for _ in range(2):
        await refused(visitor, [event])
    visitor.turn()
    assert visitor._taken_of_again(100.0) == [event] * 2
    assert await refused(visitor, [event]) == [AGAIN.first_s]
