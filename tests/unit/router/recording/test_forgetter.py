"""ForgetUser: a tombstone, a receipt that claims only what was seen, and errors that say what to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from memory_log import MemoryLog

from router.recording.forgetter import Forgetter, Logs
from trunkshow.errors import InvalidArgument, Overloaded, Unavailable
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.forgotten import Forgotten
from trunkshow.online.tombstones import following
from trunkshow.serving.deadline import Deadline, monotonic
from trunkshow.v1 import events_pb2

NOW_S = 1_700_000_000.0


class World:
    """A router's logs, and its reading of the tombstones."""

    def __init__(self) -> None:
        self.events, self.tombstones, self.forgotten = MemoryLog("log"), MemoryLog("gone"), Forgotten()
        self.forgetter = Forgetter(Logs(self.events, self.tombstones, self.forgotten), 30, now=lambda: NOW_S)

    async def forget(self, user: str, within_ms: float = 5_000) -> events_pb2.ForgetUserResponse:
        """Ask for it."""
        return await self.forgetter.forget(user, Deadline.after(within_ms, monotonic()))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """With a router that reads."""
    made = World()
    running = asyncio.create_task(following(made.forgotten, made.tombstones))
    yield made
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


def done(receipt: events_pb2.ForgetUserResponse) -> dict[str, bool]:
    """By place."""
    return {one.place: one.done for one in receipt.places}


async def test_a_tombstone_is_written(world: World) -> None:
    """With the time, and the place in the log up to which events are forgotten."""
    await world.events.append([events_pb2.Event(event_id="e", user_id="ada")], 1)
    receipt = await world.forget("ada")
    (record,) = world.tombstones.records
    assert (record.forget.user_id, record.forget.events_until) == ("ada", "log/0:1")
    assert (record.forget.id, record.forget.timestamp.seconds) == (receipt.id, int(NOW_S))
    assert receipt.watermark == "gone/0:1"


async def test_the_receipt_claims_what_was_seen(world: World) -> None:
    """The tombstone, and this router; of others nothing."""
    receipt = await world.forget("ada")
    assert [place for place, was in done(receipt).items() if was] == ["tombstone", "router"]
    assert world.forgotten.find("ada") is not None


async def test_a_router_that_has_not_read_it_says_so() -> None:
    """The tombstone is durable all the same."""
    receipt = await World().forget("ada", within_ms=60)
    assert (done(receipt)["tombstone"], done(receipt)["router"]) == (True, False)


async def test_a_router_that_read_another_tombstone_of_that_number_says_so() -> None:
    """The log was restored from an older copy, and counts from a lower place."""
    world = World()
    world.forgotten.watermark = Watermark("gone", {0: 9})
    receipt = await world.forget("ada")
    assert (done(receipt)["tombstone"], done(receipt)["router"]) == (True, False)


@pytest.mark.parametrize("user", ["", "x" * 257, " ada", "7.0"])
async def test_what_is_no_users_id_is_refused(world: World, user: str) -> None:
    """Before anything is written."""
    with pytest.raises(InvalidArgument, match="user_id"):
        await world.forget(user)
    assert not world.tombstones.records


async def test_a_log_that_is_gone_is_never_a_receipt(world: World) -> None:
    """Of events, or of tombstones."""
    world.tombstones.gone = True
    with pytest.raises(Unavailable, match="again"):
        await world.forget("ada")
    world.tombstones.gone, world.events.gone = False, True
    with pytest.raises(Unavailable, match="again"):
        await world.forget("ada")
    assert not world.tombstones.records


async def test_a_full_log_says_so(world: World) -> None:
    """As one that is to be made larger."""
    world.tombstones.full = True
    with pytest.raises(Overloaded, match="no room"):
        await world.forget("ada")


async def test_a_router_without_a_log_cannot_forget() -> None:
    """And says how it could."""
    with pytest.raises(Unavailable, match="--log"):
        await Forgetter(None, 30).forget("ada", Deadline.after(1000, monotonic()))


@pytest.mark.parametrize(
    ("age_s", "said"), [(None, "30 days old"), (7 * 86_400.0, " 7 days old"), (0.0, "as long as the log is there")]
)
async def test_the_receipt_tells_for_how_long_the_log_itself_keeps_events(
    world: World, age_s: float | None, said: str
) -> None:
    """A log that exists keeps its own limits, whatever this router was started with."""
    world.events.age_s = age_s
    (message,) = [one.message for one in (await world.forget("ada")).places if one.place == "event log"]
    assert said in message
