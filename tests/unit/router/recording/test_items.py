"""New items into their log: what is answered when it is well, gone, full, and not there."""

from __future__ import annotations

import pytest
from memory_log import MemoryLog

from router.recording.items import ItemRecorder
from trunkshow.errors import NOT_AGAIN, Overloaded, Unavailable
from trunkshow.serving.deadline import Deadline
from trunkshow.v1 import events_pb2 as pb

NOW = 1_800_000_000.0
HAT = pb.NewItem(id="hat", category="hats")


def recorder(log: MemoryLog | None) -> ItemRecorder:
    return ItemRecorder(log, now=lambda: NOW, clock=lambda: 0.0)


async def test_what_is_right_is_in_the_log_and_the_rest_is_answered_for() -> None:
    """Within the call's time, less what answering takes."""
    log = MemoryLog()
    answer = await recorder(log).record([HAT, pb.NewItem()], Deadline(2.0))
    assert (answer.recorded, [one.index for one in answer.refused], answer.watermark) == (1, [1], "memory/0:1")
    assert [(one.id, one.created.seconds) for one in log.records[0].items] == [("hat", int(NOW))]
    assert log.within_s[0] == pytest.approx(1.98)


async def test_nothing_right_is_nothing_written() -> None:
    """And there is no watermark to wait for."""
    log = MemoryLog()
    answer = await recorder(log).record([pb.NewItem()], Deadline(2.0))
    assert (answer.recorded, answer.watermark, log.records) == (0, "", [])


async def test_it_is_never_said_falsely_that_items_are_recorded() -> None:
    """A log that is gone, or full, may have some of them; without one there is no use in asking again."""
    gone, full = MemoryLog(), MemoryLog()
    gone.gone = full.full = True
    with pytest.raises(Unavailable) as unknown:
        await recorder(gone).record([HAT], Deadline(2.0))
    with pytest.raises(Overloaded) as refused:
        await recorder(full).record([HAT], Deadline(2.0))
    with pytest.raises(Unavailable) as never:
        await recorder(None).record([HAT], Deadline(2.0))
    assert (unknown.value.reason, refused.value.reason) == ("LOG_UNAVAILABLE", "LOG_FULL")
    assert (never.value.reason, never.value.retry_after_ms) == ("NO_EVENT_LOG", NOT_AGAIN)
