"""What browsers get, from HTTP to the log and back; the log is one in memory."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from memory_log import MemoryLog

from router.recording.recorder import Recorder
from router.tracking import app as tracking_app
from router.tracking import script
from router.tracking.app import Tracking
from router.tracking.gate import Gate
from router.tracking.intake import Intake
from router.tracking.listener import Listener
from router.tracking.options import TrackingOptions
from router.tracking.pixel import GIF
from router.tracking.user_tokens import fault, token_of
from trunkshow.eventlog.validation import Policy
from trunkshow.serving import metrics, telemetry

NOW_S = 1_790_000_000.0
SHOP = "https://shop.example"
SECRET = b"s" * 32


class Signed:
    """As the router's, without a file."""

    def fault(self, token: str, user_id: str, now_s: float) -> str:
        return fault(token, user_id, [SECRET], now_s)


class World:
    """The application over a log in memory, on a clock that stands until it is moved."""

    def __init__(self, *, signed: bool = False, **chosen: Any) -> None:
        self.log = MemoryLog()
        self.clock_s = 0.0
        options = TrackingOptions(**{"http_origins": (SHOP,), **chosen})
        recorder = Recorder(self.log, Policy(age_s_max=86_400), now=lambda: NOW_S, clock=lambda: self.clock_s)
        signatures = Signed() if signed else None
        intake = Intake(
            recorder,
            Gate(options),
            signatures,
            deadline_ms=2000,
            clock=lambda: self.clock_s,
            now=lambda: NOW_S,
        )
        self.app = Tracking(intake, options.http_origins, options.http_body_bytes_max).app()

    @asynccontextmanager
    async def browser(self, address: str = "192.0.2.1") -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(self.app, client=(address, 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://router") as client:
            yield client

    async def post(self, given: Any, **headers: str) -> httpx.Response:
        body = given if isinstance(given, bytes) else json.dumps(given).encode()
        async with self.browser() as browser:
            return await browser.post(
                "/v1/events", content=body, headers={name.replace("_", "-"): text for name, text in headers.items()}
            )

    async def get(self, path: str, **parameters: str) -> httpx.Response:
        async with self.browser() as browser:
            return await browser.get(path, params=parameters)


def event(number: int = 0, **fields: Any) -> dict[str, Any]:
    usual = {"event_id": f"e-{number}", "user_id": "ann", "item_id": "hat", "interaction": "click"}
    return {**usual, **fields}


def counted(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def asked(path: str, code: str) -> float:
    return counted("trunkshow_tracking_requests_total", path=path, code=code)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def told() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    telemetry.configure(stream=stream)
    yield stream
    telemetry.configure()


@pytest.mark.parametrize("kind", ["application/json", "text/plain;charset=UTF-8", ""])
async def test_events_are_in_the_log_when_it_says_so(world: World, kind: str) -> None:
    """Whatever a browser calls them; with the watermark that covers them."""
    answer = await world.post([event(1), event(2)], content_type=kind)
    assert (answer.status_code, answer.json()) == (202, {"recorded": 2, "refused": [], "watermark": "memory/0:1"})
    assert [one.event_id for one in world.log.events] == ["e-1", "e-2"]


async def test_each_is_answered_for_by_its_place_in_the_call(world: World) -> None:
    """Those that cannot be read, and those that break the contract."""
    given = [event(0, user_id=7), event(1), event(2, user_id=""), event(3), event(4, timestamp=1)]
    answer = await world.post(given)
    told = [(one["index"], one["event_id"], one["field"], one["reason"]) for one in answer.json()["refused"]]
    assert told == [
        (0, "e-0", "events[0].user_id", "TEXT_NEEDED"),
        (2, "e-2", "events[2].user_id", "USER_ID_EMPTY"),
        (4, "e-4", "events[4].timestamp", "TIMESTAMP_ANCIENT"),
    ]
    assert all(one["message"].startswith(f"{one['field']}: ") for one in answer.json()["refused"])
    assert (answer.status_code, [one.event_id for one in world.log.events]) == (202, ["e-1", "e-3"])


@pytest.mark.parametrize("given", [[event(user_id=7)], event(user_id="")])
async def test_where_nothing_is_right_it_is_the_callers_fault(world: World, given: Any) -> None:
    """The answer has the same form."""
    answer = await world.post(given)
    assert (answer.status_code, answer.json()["recorded"], len(answer.json()["refused"])) == (400, 0, 1)
    assert answer.json()["refused"][0]["field"] == "events[0].user_id"


@pytest.mark.parametrize(
    ("given", "headers", "status", "field", "reason"),
    [
        (b"{", {}, 400, "body", "JSON_INVALID"),
        ([], {}, 400, "events", "EVENTS_EMPTY"),
        ([event(number) for number in range(1001)], {}, 400, "events", "EVENTS_TOO_MANY"),
        ([1] * 1001, {}, 400, "events", "EVENTS_TOO_MANY"),
        (b" " * 200_001, {}, 413, "body", "BODY_TOO_LARGE"),
        (event(), {"content_type": "image/png"}, 415, "content-type", "TYPE_UNKNOWN"),
        (event(), {"origin": "https://elsewhere.example"}, 403, "", "ORIGIN_NOT_ALLOWED"),
        (event(), {"origin": "null"}, 403, "", "ORIGIN_NOT_ALLOWED"),
    ],
)
async def test_a_call_that_is_none_is_refused_whole(
    given: Any, headers: dict[str, str], status: int, field: str, reason: str
) -> None:
    """With the field at fault, and nothing of it in the log."""
    world = World(http_body_bytes_max=200_000)
    answer = await world.post(given, **headers)
    assert (answer.status_code, answer.json()["field"], answer.json()["reason"]) == (status, field, reason)
    assert world.log.events == []


async def test_a_body_without_a_length_is_limited_too() -> None:
    """It is cut off where the limit is, not at its end."""
    world, sent = World(http_body_bytes_max=1024), 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 512
            yield b" " * 512

    async with world.browser() as browser:
        answer = await browser.post("/v1/events", content=endless())
    assert (answer.status_code, sent) == (413, 1536)


async def test_a_body_that_does_not_come_is_not_waited_for_for_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection is not kept by a byte now and then."""
    monkeypatch.setattr(tracking_app, "BODY_S_MAX", 0.02)

    async def never() -> AsyncIterator[bytes]:
        yield b"["
        await asyncio.Event().wait()

    async with world.browser() as browser:
        answer = await browser.post("/v1/events", content=never())
    assert (answer.status_code, answer.json()["reason"]) == (408, "BODY_LATE")


async def test_where_the_log_is_gone_a_call_fails_clearly(world: World) -> None:
    """Within its deadline, and says when to come back."""
    world.log.gone = True
    answer = await world.post(event())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["reason"] == "LOG_UNAVAILABLE"
    assert world.log.within_s[0] <= 2.0


async def test_where_the_log_has_no_room_a_call_is_to_come_back(world: World) -> None:
    """Soon."""
    world.log.full = True
    answer = await world.post(event())
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["reason"]) == (503, "1", "LOG_FULL")


async def test_an_address_beyond_its_limit_is_turned_away() -> None:
    """Others are not, and after a while it is let in again."""
    world = World(http_address_events_s=0.5, http_address_burst=2)
    assert (await world.post([event(1), event(2)])).status_code == 202
    answer = await world.post(event(3))
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["reason"]) == (429, "2", "ADDRESS_LIMIT")
    async with world.browser("192.0.2.7") as other:
        assert (await other.post("/v1/events", json=event(4))).status_code == 202
    world.clock_s = 2.0
    assert (await world.post(event(3))).status_code == 202


async def test_a_user_beyond_the_limit_is_turned_away_wherever_they_come_from() -> None:
    """And nothing of the call is recorded."""
    world = World(http_user_events_s=1, http_user_burst=2)
    await world.post([event(1), event(2)])
    async with world.browser("192.0.2.7") as other:
        answer = await other.post("/v1/events", json=[event(3, user_id="bob"), event(4)])
    assert (answer.status_code, answer.json()["reason"], len(world.log.events)) == (429, "USER_LIMIT", 2)


async def test_a_page_of_the_shops_may_send_and_read_the_answer(world: World) -> None:
    """With and without asking first."""
    async with world.browser() as browser:
        asked = await browser.options(
            "/v1/events",
            headers={
                "origin": SHOP,
                "access-control-request-method": "POST",
                "access-control-request-headers": "content-type",
            },
        )
    answer = await world.post(event(), origin=SHOP)
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == answer.headers["access-control-allow-origin"] == SHOP
    assert "access-control-allow-credentials" not in answer.headers


async def test_any_page_may_where_the_operator_says_so() -> None:
    """An origin of `*`."""
    world = World(http_origins=("*",))
    answer = await world.post(event(), origin="https://anywhere.example")
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (202, "*")


async def test_with_a_key_only_signed_users_are_recorded() -> None:
    """Each event by itself."""
    world = World(signed=True)
    later = int(NOW_S) + 60
    answer = await world.post(
        [
            event(0, user_token=token_of(SECRET, "ann", later)),
            event(1),
            event(2, user_id="bob", user_token=token_of(SECRET, "ann", later)),
            event(3, user_token=token_of(SECRET, "ann", int(NOW_S) - 1)),
        ]
    )
    told = [(one["index"], one["field"], one["reason"]) for one in answer.json()["refused"]]
    assert told == [
        (1, "events[1].user_token", "USER_TOKEN_MISSING"),
        (2, "events[2].user_token", "USER_TOKEN_INVALID"),
        (3, "events[3].user_token", "USER_TOKEN_EXPIRED"),
    ]
    assert (answer.status_code, [one.event_id for one in world.log.events]) == (202, ["e-0"])


async def test_strangers_do_not_use_up_what_a_user_may_send() -> None:
    """What is not signed is charged to its address alone."""
    world = World(signed=True, http_user_burst=1, http_user_events_s=0.1)
    for number in range(3):
        assert (await world.post(event(number))).status_code == 400
    signed = event(9, user_token=token_of(SECRET, "ann", int(NOW_S) + 60))
    assert (await world.post(signed)).status_code == 202


async def test_the_pixel_records_one_event(world: World) -> None:
    """And is never kept by a browser, or each would count once only."""
    answer = await world.get("/p.gif", **event(7, interaction="impression"))
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, GIF, "image/gif")
    assert "no-store" in answer.headers["cache-control"]
    assert [one.event_id for one in world.log.events] == ["e-7"]


@pytest.mark.parametrize(
    ("break_it", "query"),
    [
        (lambda world: None, {"user_id": "ann"}),
        (lambda world: None, {}),
        (lambda world: None, {**event(), "position": "x"}),
        (lambda world: setattr(world.log, "gone", True), event()),
        (lambda world: setattr(world.log, "full", True), event()),
    ],
)
async def test_the_pixel_is_a_pixel_whatever_happens(world: World, break_it: Any, query: dict[str, str]) -> None:
    """Nobody sees a broken image for what we could not do."""
    break_it(world)
    answer = await world.get("/p.gif", **query)
    assert (answer.status_code, answer.content, world.log.events) == (200, GIF, [])


async def test_a_pixel_beyond_a_limit_is_a_pixel() -> None:
    """And is not recorded."""
    world = World(http_user_burst=1, http_user_events_s=0.1)
    answers = [await world.get("/p.gif", **event(number)) for number in range(2)]
    assert ([one.content for one in answers], len(world.log.events)) == ([GIF, GIF], 1)


async def test_looking_at_a_link_is_no_event(world: World) -> None:
    """Mail scanners send HEAD."""
    async with world.browser() as browser:
        answer = await browser.head("/p.gif?" + urlencode(event()))
    assert (answer.status_code, world.log.events) == (200, [])


@pytest.mark.parametrize(("characters", "status", "recorded"), [(8000, 200, 1), (8001, 414, 0), (15_000, 414, 0)])
async def test_an_address_of_a_pixel_has_a_limit(
    world: World, told: io.StringIO, characters: int, status: int, recorded: int
) -> None:
    """Over the listener itself. What is too long is looked at no further, and told as what is refused otherwise."""
    query = urlencode(event(1, user_id="secret-ann"))
    path = f"/p.gif?{query}&more=".ljust(characters + 1, "x")  # the question mark is neither path nor query
    refused, answered = counted("trunkshow_events_refused_total", reason="URI_TOO_LONG"), asked("/p.gif", str(status))
    listener = Listener(world.app, connections_max=8)
    port = await listener.start("127.0.0.1:0")
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"http://127.0.0.1:{port}{path}")
    finally:
        await listener.stop()
    assert (answer.status_code, len(world.log.events)) == (status, recorded)
    assert recorded or (answer.json()["field"], answer.json()["reason"]) == ("address", "URI_TOO_LONG")
    assert counted("trunkshow_events_refused_total", reason="URI_TOO_LONG") == refused + 1 - recorded
    assert asked("/p.gif", str(status)) == answered + 1
    assert ("URI_TOO_LONG" in told.getvalue(), "secret" in told.getvalue()) == (not recorded, False)


async def test_what_was_refused_is_counted_and_told_without_the_user(world: World, told: io.StringIO) -> None:
    """By reason; the address of a pixel is one with a user's id in it."""
    before = counted("trunkshow_events_refused_total", reason="INTERACTION_UNKNOWN")
    await world.get("/p.gif", **event(1, user_id="secret-ann", interaction="secret-kind"))
    await world.post([event(2, user_id="secret-ann", interaction="secret-kind")])
    assert counted("trunkshow_events_refused_total", reason="INTERACTION_UNKNOWN") == before + 2
    lines = [json.loads(line) for line in told.getvalue().splitlines()]
    assert [(line["event"], line["reason"]) for line in lines] == [("pixel.not_recorded", "INTERACTION_UNKNOWN")]
    assert "secret" not in told.getvalue()


async def test_requests_are_counted_under_names_of_ours(world: World) -> None:
    """Whatever was asked for."""
    before = asked("other", "404"), asked("/v1/events", "202")
    assert (await world.get("/users/ann")).status_code == 404
    await world.post(event())
    assert (asked("other", "404"), asked("/v1/events", "202")) == (before[0] + 1, before[1] + 1)


async def test_what_nobody_foresaw_is_an_error_of_ours(
    world: World, monkeypatch: pytest.MonkeyPatch, told: io.StringIO
) -> None:
    """Which says nothing of the request, and does not end the listener."""

    async def broken(*_: object) -> None:
        raise RuntimeError("secret-ann")

    monkeypatch.setattr(world.log, "append", broken)
    answer = await world.post(event())
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    assert "tracking.failed" in told.getvalue()
    assert "secret-ann" not in told.getvalue()


def test_the_script_that_is_served_was_made_from_the_one_that_is_read() -> None:
    """It ends with the digest of what it was made from; after a change of that make it again, as its head says."""
    source = Path(script.__file__).with_name("trunkshow.js").read_bytes()
    made_from = script.RESPONSE.body.splitlines()[-1].decode()
    assert made_from == f"//{hashlib.sha256(source).hexdigest()[:16]}"


async def test_the_script_for_pages_is_small_and_cached(world: World) -> None:
    """2 KB, as it goes over the wire uncompressed."""
    answer = await world.get("/trunkshow.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "max-age" in answer.headers["cache-control"]
    assert 1000 < len(answer.content) <= script.BYTES_MAX == 2048
