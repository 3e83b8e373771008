"""Appends that share records: who goes together, and who is told what."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from trunkshow.eventlog.grouping import Events, Groups
from trunkshow.eventlog.log import LogFull
from trunkshow.eventlog.packing import RECORD_BYTES_MAX
from trunkshow.eventlog.watermark import Watermark
from trunkshow.v1 import events_pb2


class Sender:
    """Plays a log: sends what it is given when it is told to.

    Attributes:
        sent: names of the events of each sending, in order.
    """

    def __init__(self) -> None:
        self.sent: list[list[str]] = []
        self.cancelled: list[int] = []
        self._answers: list[asyncio.Future[Watermark]] = []

    async def send(self, events: Events) -> Watermark:
        """Wait for the test's word."""
        number = len(self.sent)
        self.sent.append([event.event_id for event in events])
        self._answers.append(asyncio.get_running_loop().create_future())
        try:
            return await self._answers[number]
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise

    def acknowledge(self, number: int) -> None:
        """One sending is durable."""
        self._answers[number].set_result(Watermark("log", {0: number + 1}))

    def refuse(self, number: int) -> None:
        """One sending has no room."""
        self._answers[number].set_exception(LogFull("no room"))


def appending(groups: Groups, name: str, size: int = 10) -> asyncio.Task[Watermark]:
    """An append of one event."""
    return asyncio.create_task(groups.append([events_pb2.Event(event_id=name)], size))


async def settled() -> None:
    """Let everybody go on who can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_comes_while_others_are_on_their_way_goes_together() -> None:
    """In the order in which they came, and each is told its own group's watermark."""
    sender = Sender()
    groups = Groups(sender.send, at_a_time=1)
    tasks = [appending(groups, name) for name in "abc"]
    await settled()
    assert sender.sent == [["a"]]
    sender.acknowledge(0)
    await settled()
    assert sender.sent == [["a"], ["b", "c"]]
    sender.acknowledge(1)
    assert [(await task).counts[0] for task in tasks] == [1, 2, 2]


async def test_nobody_waits_for_company() -> None:
    """While fewer groups are on their way than may be."""
    sender = Sender()
    groups = Groups(sender.send, at_a_time=2)
    tasks = [appending(groups, name) for name in "ab"]
    await settled()
    assert sender.sent == [["a"], ["b"]]
    sender.acknowledge(1)
    sender.acknowledge(0)
    assert [(await task).counts[0] for task in tasks] == [1, 2]


async def test_a_group_is_as_large_as_a_record_and_no_larger() -> None:
    """But for one append that is larger by itself."""
    sender = Sender()
    groups = Groups(sender.send, at_a_time=1)
    half = RECORD_BYTES_MAX // 2
    sizes = {"a": 1, "b": half, "c": half, "d": 1, "e": 3 * half}
    tasks = [appending(groups, name, size) for name, size in sizes.items()]
    await settled()
    for number in range(4):
        sender.acknowledge(number)
        await settled()
    assert sender.sent == [["a"], ["b", "c"], ["d"], ["e"]]
    await asyncio.gather(*tasks)


async def test_who_gives_up_while_waiting_is_not_sent() -> None:
    """What nobody waits for any more takes no room."""
    sender = Sender()
    groups = Groups(sender.send, at_a_time=1)
    first, second, third = (appending(groups, name) for name in "abc")
    await settled()
    second.cancel()
    sender.acknowledge(0)
    await settled()
    assert sender.sent == [["a"], ["c"]]
    sender.acknowledge(1)
    await asyncio.gather(first, third)


async def test_a_group_on_its_way_is_given_up_with_the_last_who_waits() -> None:
    """And makes way for the next; one who gave up costs the others nothing."""
    sender = Sender()
    groups = Groups(sender.send, at_a_time=1)
    first, second, third = (appending(groups, name) for name in "abc")
    await settled()
    first.cancel()
    await settled()
    assert (sender.cancelled, sender.sent) == ([0], [["a"], ["b", "c"]])
    second.cancel()
    await settled()
    assert sender.cancelled == [0]
    sender.acknowledge(1)
    assert (await third).counts == {0: 2}


async def test_a_groups_failure_is_each_members_own() -> None:
    """Of the same class, in the same words; the next group is tried all the same."""
    sender = Sender()
    groups = Groups(sender.send, at_a_time=1)
    tasks = [appending(groups, name) for name in "abcd"]
    await settled()
    sender.acknowledge(0)
    await settled()
    sender.refuse(1)
    errors = []
    for task in tasks[1:]:
        with pytest.raises(LogFull, match="no room") as caught:
            await task
        errors.append(caught.value)
    assert len(set(map(id, errors))) == 3
    after = appending(groups, "e")
    await settled()
    sender.acknowledge(2)
    assert (await after).counts == {0: 3}


async def test_who_was_refused_holds_nothing() -> None:
    """Neither its events nor itself, without the garbage collector."""

    class Sent(list[events_pb2.Event]):
        """What can be missed."""

    sender = Sender()
    groups = Groups(sender.send, at_a_time=1)
    sent = Sent([events_pb2.Event(event_id="a")])
    gone = weakref.ref(sent)
    gc.disable()
    try:
        appended = asyncio.ensure_future(groups.append(sent, 1))
        del sent
        await settled()
        sender.refuse(0)
        with pytest.raises(LogFull):
            await appended
        del appended
        await settled()
        assert gone() is None
    finally:
        gc.enable()
