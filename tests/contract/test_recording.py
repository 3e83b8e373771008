"""Recording events, as both clients see it: of a scripted router, and of the real service over a log in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from memory_log import MemoryLog
from scripted_router import scripted_router

from router.recording.recorder import Recorder
from router.recording.service import EventService
from trunkshow.client import AsyncClient, Channel, Client, Event, Interaction
from trunkshow.errors import NOT_AGAIN, InvalidArgument, Overloaded, Unavailable
from trunkshow.eventlog.log import LogFull, LogUnavailable
from trunkshow.eventlog.validation import Policy
from trunkshow.eventlog.watermark import Watermark
from trunkshow.serving.server import Server
from trunkshow.v1 import events_pb2

GONE, FULL = "gone", "full"


@dataclass(frozen=True)
class Subject:
    """Who records.

    Attributes:
        target: where.
        recorded: events that it has.
        fail: what the next tries end with, `GONE` or `FULL`; those after them are well.
        tries: that there were.
    """

    target: str
    recorded: Callable[[], list[events_pb2.Event]]
    fail: Callable[[Iterable[str]], None]
    tries: Callable[[], int]


@asynccontextmanager
async def fake() -> AsyncIterator[Subject]:
    """The scripted router."""
    errors = {
        GONE: Unavailable("the log is gone", reason="LOG_UNAVAILABLE"),
        FULL: Overloaded("no room", reason="LOG_FULL", retry_after_ms=200),
    }
    with scripted_router() as router:

        def fail(how: Iterable[str]) -> None:
            router.answers["Record"] = iter([errors[one] for one in how])

        yield Subject(router.target, lambda: router.events, fail, lambda: len(router.seen))


class Faltering(MemoryLog):
    """A log whose next appends fail as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.coming: Iterator[str] = iter(())

    async def append(self, events: Any, within_s: float) -> Watermark:
        how = next(self.coming, "")
        if how:
            self.within_s.append(within_s)
            raise LogFull("no room") if how == FULL else LogUnavailable("gone")
        return await super().append(events, within_s)


@asynccontextmanager
async def real() -> AsyncIterator[Subject]:
    """The router's own service."""
    log = Faltering()
    server = Server([EventService(Recorder(log, Policy(age_s_max=86_400)), 2_000).service()])
    port = await server.start("127.0.0.1:0")
    await server.serving()

    def fail(how: Iterable[str]) -> None:
        log.coming = iter(how)

    yield Subject(f"127.0.0.1:{port}", lambda: log.events, fail, lambda: len(log.within_s))
    await server.stop(0)


class Blocking:
    """The blocking client, awaited, so that one test can drive both."""

    def __init__(self, target: str) -> None:
        self._client = Client(target)

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **named: asyncio.to_thread(getattr(self._client, name), *args, **named)


@pytest.fixture(params=[fake, real])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    async with request.param() as made:
        yield made


@pytest.fixture(params=[Blocking, AsyncClient])
async def client(request: pytest.FixtureRequest, subject: Subject) -> AsyncIterator[Any]:
    made = request.param(subject.target)
    yield made
    await made.close()


def clicks(count: int) -> list[Event]:
    return [Event("ann", f"hat-{number}", "click") for number in range(count)]


async def test_one_event_arrives_whole(client: Any, subject: Subject) -> None:
    """Every field of it."""
    when = datetime.now(UTC).replace(microsecond=250_000)
    sent = Event(
        "ann",
        "hat",
        Interaction.ORDER,
        when,
        event_id="e-1",
        value=2.5,
        request_id="r-1",
        carousel="for-you",
        position=0,
        channel=Channel.STORE,
        context={"till": "4"},
    )
    answer = await client.record(sent)
    (got,) = subject.recorded()
    assert (answer.recorded, answer.refused, bool(answer.watermark)) == (1, (), True)
    assert (got.user_id, got.item_id, got.interaction, got.event_id) == (
        "ann",
        "hat",
        events_pb2.INTERACTION_ORDER,
        "e-1",
    )
    assert (got.value, got.request_id, got.carousel, got.HasField("position"), got.position) == (
        2.5,
        "r-1",
        "for-you",
        True,
        0,
    )
    assert (got.timestamp.ToDatetime(UTC), got.channel, dict(got.context)) == (
        when,
        events_pb2.CHANNEL_STORE,
        {"till": "4"},
    )


async def test_events_have_ids_from_the_beginning(client: Any, subject: Subject) -> None:
    """So that the same object again is the same event again."""
    one, other = clicks(2)
    await client.record(one)
    await client.record([one, other])
    assert [event.event_id for event in subject.recorded()] == [one.event_id, one.event_id, other.event_id]
    assert one.event_id != other.event_id


async def test_a_batch_is_recorded_in_part(client: Any, subject: Subject) -> None:
    """The refused one is named by its place and field."""
    answer = await client.record([*clicks(1), Event("", "hat", "view")])
    assert (answer.recorded, answer.refused_count, len(subject.recorded())) == (1, 1, 1)
    assert (answer.refused[0].index, answer.refused[0].field) == (1, "events[1].user_id")


@pytest.mark.parametrize("count", [0, 1001])
async def test_a_batch_that_is_none_is_refused(client: Any, subject: Subject, count: int) -> None:
    """Nothing of it is recorded."""
    with pytest.raises(InvalidArgument) as caught:
        await client.record(clicks(count))
    assert (caught.value.field, subject.recorded()) == ("events", [])


@pytest.mark.parametrize("how", [GONE, FULL])
async def test_a_failure_that_passes_is_not_noticed(client: Any, subject: Subject, how: str) -> None:
    """The same events are sent again, within the deadline."""
    subject.fail([how, how])
    (event,) = clicks(1)
    assert (await client.record(event)).recorded == 1
    assert ([one.event_id for one in subject.recorded()], subject.tries()) == ([event.event_id], 3)


@pytest.mark.parametrize(("how", "error"), [(GONE, Unavailable), (FULL, Overloaded)])
async def test_a_failure_that_lasts_is_told(client: Any, subject: Subject, how: str, error: type[Exception]) -> None:
    """With the router's own words and reason."""
    subject.fail([how] * 10)
    with pytest.raises(error) as caught:
        await client.record(clicks(1))
    assert (caught.value.reason, subject.recorded()) == ({GONE: "LOG_UNAVAILABLE", FULL: "LOG_FULL"}[how], [])


async def test_a_stream_takes_more_than_a_call(client: Any, subject: Subject) -> None:
    """In order, summed up."""
    sent = clicks(1201)
    answer = await client.stream(iter(sent))
    assert (answer.recorded, answer.refused_count, bool(answer.watermark)) == (1201, 0, True)
    assert [one.event_id for one in subject.recorded()] == [one.event_id for one in sent]


async def test_an_empty_stream_is_an_answer(client: Any, subject: Subject) -> None:
    """Of zero."""
    assert (await client.stream([])).recorded == len(subject.recorded()) == 0


@pytest.mark.parametrize("how", ["record", "stream"])
async def test_an_event_that_cannot_be_sent_is_named(client: Any, subject: Subject, how: str) -> None:
    """By its place, as the router would."""
    with pytest.raises(InvalidArgument) as caught:
        await getattr(client, how)([*clicks(1), Event("ann", "hat", "clickety")])
    assert caught.value.field == "events[1].interaction"


async def test_a_time_needs_its_zone(client: Any) -> None:
    """It would be another one on another machine."""
    with pytest.raises(InvalidArgument) as caught:
        await client.record(Event("ann", "hat", "view", datetime(2026, 1, 1)))
    assert caught.value.field == "events[0].timestamp"


async def test_a_router_without_a_log_is_asked_once() -> None:
    """Asking again would not help, and it says so."""
    server = Server([EventService(Recorder(None, Policy(age_s_max=86_400)), 2_000).service()])
    port = await server.start("127.0.0.1:0")
    await server.serving()
    async with AsyncClient(f"127.0.0.1:{port}") as client:
        with pytest.raises(Unavailable) as caught:
            await client.record(clicks(1))
    await server.stop(0)
    assert (caught.value.reason, caught.value.retry_after_ms) == ("NO_EVENT_LOG", NOT_AGAIN)
