"""What becomes of events between their bytes and the log, which here is one in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest
from memory_log import MemoryLog

from router.recording.recorder import ANSWER_MS, ASK_AGAIN_MS, LOOK_FOR_ROOM_EVERY_S, Recorder
from router.recording.service import PAUSE_S, EventService
from router.recording.tally import REFUSED_MAX
from trunkshow.errors import NOT_AGAIN, InvalidArgument, Overloaded, Unavailable
from trunkshow.eventlog.validation import Policy
from trunkshow.serving.deadline import Deadline
from trunkshow.v1 import events_pb2 as pb

NOW_S = 1_700_000_000.25
DEADLINE_MS = 2_000.0


class Call:
    """A call that arrived just now, on a clock that stands."""

    arrived = 0.0
    request_id = "r-1"
    peer = "somewhere"

    def __init__(self, remaining_s: float | None = None) -> None:
        self._remaining_s = remaining_s

    def deadline(self, default_ms: float) -> Deadline:
        return Deadline.of_call(self._remaining_s, default_ms, 0.0)


class World:
    """The service over a log in memory, on a clock that moves when somebody sleeps."""

    def __init__(self, log: MemoryLog | None) -> None:
        self.now = 0.0
        self.pauses = 0
        recorder = Recorder(log, Policy(age_s_max=86_400), now=lambda: NOW_S, clock=lambda: self.now)
        self.service = EventService(recorder, DEADLINE_MS, lambda: self.now, self._sleep)
        self.woken = lambda: None

    async def _sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses += 1
        self.woken()

    async def record(self, *events: pb.Event, remaining_s: float | None = None) -> pb.RecordEventsResponse:
        data = pb.RecordEventsRequest(events=events).SerializeToString()
        return pb.RecordEventsResponse.FromString(await self.service.record_events(data, Call(remaining_s)))

    async def stream(self, batches: Iterable[list[pb.Event]]) -> pb.StreamEventsResponse:
        async def requests() -> AsyncIterator[bytes]:
            for events in batches:
                yield pb.StreamEventsRequest(events=events).SerializeToString()

        return pb.StreamEventsResponse.FromString(await self.service.stream_events(requests(), Call()))


def event(number: int = 0, **changed: object) -> pb.Event:
    usual = {"event_id": f"e{number}", "user_id": "ann", "item_id": "hat", "interaction": pb.INTERACTION_CLICK}
    return pb.Event(**usual | changed)


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def world(log: MemoryLog) -> World:
    return World(log)


async def test_what_is_answered_as_recorded_is_in_the_log(world: World, log: MemoryLog) -> None:
    """With the watermark that covers it."""
    answer = await world.record(event(1), event(2))
    assert (answer.recorded, list(answer.refused), answer.watermark) == (2, [], "memory/0:1")
    assert [one.event_id for one in log.events] == ["e1", "e2"]


async def test_a_missing_time_is_that_of_the_receipt(world: World, log: MemoryLog) -> None:
    """One that was given is kept."""
    given = event(2)
    given.timestamp.FromMilliseconds(1_699_999_999_000)
    await world.record(event(1), given)
    assert [one.timestamp.ToMilliseconds() for one in log.events] == [round(NOW_S * 1000), 1_699_999_999_000]


async def test_a_batch_is_recorded_in_part(world: World, log: MemoryLog) -> None:
    """What is wrong is named, the rest stands."""
    answer = await world.record(event(1), event(2, user_id=""), event(3))
    assert answer.recorded == 2
    (refused,) = answer.refused
    assert (refused.index, refused.event_id, refused.field, refused.reason) == (
        1,
        "e2",
        "events[1].user_id",
        "USER_ID_EMPTY",
    )
    assert [one.event_id for one in log.events] == ["e1", "e3"]


async def test_nothing_right_is_nothing_written(world: World, log: MemoryLog) -> None:
    """And there is no watermark to wait for."""
    answer = await world.record(event(1, item_id=""))
    assert (answer.recorded, len(answer.refused), answer.watermark, log.records) == (0, 1, "", [])


@pytest.mark.parametrize("count", [0, 1001])
async def test_a_batch_that_is_none_is_refused_whole(world: World, log: MemoryLog, count: int) -> None:
    """Empty, or beyond the contract's thousand."""
    with pytest.raises(InvalidArgument) as caught:
        await world.record(*map(event, range(count)))
    assert (caught.value.field, log.records) == ("events", [])


@pytest.mark.parametrize(
    ("remaining_s", "given_s"), [(None, 2 - ANSWER_MS / 1000), (60, 2 - ANSWER_MS / 1000), (0.5, 0.48), (0.01, 0.005)]
)
async def test_the_log_gets_the_callers_time_or_two_seconds(
    world: World, log: MemoryLog, remaining_s: float | None, given_s: float
) -> None:
    """Less what it takes to answer; of a caller in a hurry, at most half."""
    await world.record(event(), remaining_s=remaining_s)
    assert log.within_s == [pytest.approx(given_s)]


async def test_a_log_that_is_gone_is_no_acknowledgement(world: World, log: MemoryLog) -> None:
    """But an error that may pass."""
    log.gone = True
    with pytest.raises(Unavailable) as caught:
        await world.record(event())
    assert (caught.value.reason, caught.value.retry_after_ms) == ("LOG_UNAVAILABLE", None)


@pytest.mark.parametrize(("remaining_s", "again"), [(0.3, NOT_AGAIN), (3.0, None), (None, None)])
async def test_a_caller_whose_time_is_up_hears_why(
    world: World, log: MemoryLog, remaining_s: float | None, again: int | None
) -> None:
    """Instead of gRPC asking again until the deadline, which says nothing."""
    log.gone = True
    with pytest.raises(Unavailable) as caught:
        await world.record(event(), remaining_s=remaining_s)
    assert caught.value.retry_after_ms == again


async def test_without_a_log_it_is_said_so_and_nobody_asks_again(world: World) -> None:
    """A misconfiguration does not pass."""
    with pytest.raises(Unavailable) as caught:
        await World(None).record(event())
    assert (caught.value.reason, caught.value.retry_after_ms) == ("NO_EVENT_LOG", NOT_AGAIN)


async def test_what_is_sent_while_a_log_has_no_room_is_refused_unheard(world: World, log: MemoryLog) -> None:
    """But for one try every now and then, by which it is found to have room again."""
    log.full = True
    for passed_s, tries in ((0.0, 1), (0.01, 1), (LOOK_FOR_ROOM_EVERY_S, 2), (0.01, 2)):
        world.now += passed_s
        with pytest.raises(Overloaded) as caught:
            await world.record(event(1))
        assert (caught.value.reason, caught.value.retry_after_ms) == ("LOG_FULL", ASK_AGAIN_MS)
        assert len(log.within_s) == tries
    log.full = False
    world.now += LOOK_FOR_ROOM_EVERY_S
    assert (await world.record(event(1))).recorded == 1


async def test_a_full_log_says_when_to_come_back(world: World, log: MemoryLog) -> None:
    """At once: a call does not wait for room."""
    log.full = True
    with pytest.raises(Overloaded) as caught:
        await world.record(event())
    assert (caught.value.reason, caught.value.retry_after_ms, world.pauses) == ("LOG_FULL", ASK_AGAIN_MS, 0)
    # Of a large call a part may be in the log: nothing is claimed of it.
    assert "none" not in caught.value.message
    assert "send these events again" in caught.value.message


async def test_a_stream_is_summed_up(world: World, log: MemoryLog) -> None:
    """Places count from its beginning, also in the words."""
    answer = await world.stream([[event(1), event(2)], [event(3), event(4, user_id="")]])
    assert (answer.recorded, answer.refused, answer.watermark) == (3, 1, "memory/0:2")
    (refused,) = answer.first_refused
    assert (refused.index, refused.field) == (3, "events[3].user_id")
    assert refused.message.startswith("events[3].user_id: ")


async def test_a_stream_of_nothing_is_answered(world: World) -> None:
    """With zeros."""
    assert await world.stream([]) == pb.StreamEventsResponse()


async def test_of_many_refusals_the_first_are_told(world: World) -> None:
    """All are counted."""
    wrong = [event(number, user_id="") for number in range(90)]
    answer = await world.stream([wrong, wrong])
    assert (answer.refused, len(answer.first_refused), answer.recorded) == (180, REFUSED_MAX, 0)


async def test_a_stream_is_read_on_only_once_the_log_has_the_batch_before(world: World, log: MemoryLog) -> None:
    """So a slow log slows its callers, and fills no memory."""
    log.slow = asyncio.Event()
    taken: list[int] = []

    def batches() -> Iterable[list[pb.Event]]:
        for number in range(3):
            taken.append(number)
            yield [event(number)]

    streaming = asyncio.ensure_future(world.stream(batches()))
    for _ in range(10):
        await asyncio.sleep(0)
    assert (log.waiting, taken) == (1, [0])
    log.slow.set()
    assert (await streaming).recorded == 3


async def test_a_stream_waits_for_room(world: World, log: MemoryLog) -> None:
    """Where a call would be told to come back."""
    log.full = True

    def after_three_pauses() -> None:
        log.full = world.pauses < 3

    world.woken = after_three_pauses
    assert (await world.stream([[event()]])).recorded == 1


async def test_a_stream_waits_for_room_no_longer_than_a_call_may_take(world: World, log: MemoryLog) -> None:
    """Then it says how far it got."""

    def batches() -> Iterable[list[pb.Event]]:
        yield [event(1), event(2)]
        log.full = True
        yield [event(3)]

    with pytest.raises(Overloaded, match=r"2 events of this stream were recorded before"):
        await world.stream(batches())
    assert world.pauses == pytest.approx(DEADLINE_MS / 1000 / PAUSE_S, abs=2)


async def test_a_log_that_began_anew_in_the_middle_gives_the_newer_watermark(world: World, log: MemoryLog) -> None:
    """Positions in a log that is gone are of no use to anybody."""

    def batches() -> Iterable[list[pb.Event]]:
        yield [event(1)]
        log.name = "another"
        yield [event(2)]

    assert (await world.stream(batches())).watermark == "another/0:2"
