"""A router process that takes events over HTTP into a real NATS server, and is told to end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import nats_servers
import pytest
from datasets import Built
from processes import Process

from cli.addresses import free_address
from router.tracking.pixel import GIF
from trunkshow.client import Client
from trunkshow.eventlog.opening import open_log

PATIENCE_S = 60.0
SHOP = "https://shop.example"


class Subject(NamedTuple):
    """A router, its HTTP address, and its log's."""

    process: Process
    http: str
    log: str


@pytest.fixture
def subject(built: Built, tmp_path: Path) -> Iterator[Subject]:
    address, http = free_address(), free_address()
    with nats_servers.running(tmp_path / "nats") as nats:
        own = ["--listen", address, "--shards", free_address(), "--watch-silence-s", "0.2", "--log", nats.url]
        tracking = ["--http-listen", http, "--http-origins", SHOP]
        process = Process(["router", "--store", str(built.store), *own, *tracking], tmp_path / "router.log")
        try:
            with Client(address) as client:
                client.connect(PATIENCE_S)
            yield Subject(process, f"http://{http}", nats.url)
        finally:
            process.kill()


async def in_the_log(url: str) -> list[str]:
    """Ids of all events."""
    log = open_log(url)
    try:
        end = await log.end(10)
        return [event.event_id async for read in log.read(None, end) for event in read.record.events]
    finally:
        await log.close()


def test_what_browsers_send_is_durable_and_a_signal_ends_it_in_order(subject: Subject) -> None:
    """Events and a pixel are in the log once they were answered; at SIGTERM the process leaves with success."""
    event = {"event_id": "e-1", "user_id": "ann", "item_id": "hat", "interaction": "click"}
    with httpx.Client(base_url=subject.http, timeout=PATIENCE_S, trust_env=False) as browser:
        answer = browser.post("/v1/events", json=[event, {**event, "event_id": ""}], headers={"origin": SHOP})
        pixel = browser.get("/p.gif", params={**event, "event_id": "e-2", "channel": "email"})
        script = browser.get("/trunkshow.js")
        assert (answer.status_code, answer.json()["recorded"]) == (202, 1)
        assert answer.json()["refused"][0]["field"] == "events[1].event_id"
        assert (pixel.content, script.status_code) == (GIF, 200)
        assert asyncio.run(in_the_log(subject.log)) == ["e-1", "e-2"]
        subject.process.signal(signal.SIGTERM)  # the browser's connection is open still
        assert subject.process.wait() == 0
        with pytest.raises(httpx.ConnectError):
            browser.get("/p.gif")
