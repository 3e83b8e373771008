"""What a router knows of its event log."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from memory_log import MemoryLog

from router.recording.log_watch import LogState, LogWatch
from trunkshow.eventlog.log import LogUnavailable
from trunkshow.eventlog.watermark import Watermark


def at(count: int, log: str = "memory") -> Watermark:
    return Watermark(log, {0: count})


def test_a_log_that_was_never_heard_is_not_reachable() -> None:
    """Until it proves otherwise."""
    state = LogState("nats://here/EVENTS")
    assert (state.reachable, state.position) == (False, None)


def test_a_position_never_goes_back() -> None:
    """Answers overtake one another."""
    assert LogState("").after(at(7)).after(at(5)).position == at(7)


def test_a_log_that_began_anew_has_the_new_position() -> None:
    """However small it is."""
    assert LogState("").after(at(7)).after(at(1, "another")).position == at(1, "another")


def test_a_log_that_is_gone_keeps_its_position_and_says_why() -> None:
    """And forgets the error once it is back."""
    gone = LogState("").after(at(7)).after(LogUnavailable("nobody there"))
    assert (gone.reachable, gone.position, gone.last_error) == (False, at(7), "nobody there")
    back = gone.after(at(8))
    assert (back.reachable, back.last_error) == (True, "")


async def test_a_log_to_which_nobody_writes_is_asked() -> None:
    """At once, and so a start knows."""
    log = MemoryLog()
    watch = LogWatch(log)
    running = asyncio.ensure_future(watch.run())
    for _ in range(10):
        await asyncio.sleep(0)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert watch.state.reachable
