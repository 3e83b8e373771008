"""Recording through a real router into a real NATS server that is killed in the middle, and comes back."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import datasets
import nats_servers
import pytest
from datasets import Built
from nats_servers import NatsServer
from processes import Process

from cli.addresses import free_address
from trunkshow.client import Client, Event
from trunkshow.errors import TrunkshowError, Unavailable
from trunkshow.eventlog.opening import open_log

BATCHES, BATCH_EVENTS = 60, 20
PATIENCE_S = 60.0
IN_TIME_S = 20.0


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """The log's server; whoever kills it starts it again."""
    with nats_servers.running(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture(scope="module")
def target(built: Built, nats: NatsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A router that records; its one shard is not there, which recording does not need."""
    folder = tmp_path_factory.mktemp("router")
    address = free_address()
    own = ["--listen", address, "--shards", free_address(), "--watch-silence-s", "0.2", "--log", nats.url]
    process = Process(["router", "--store", str(built.store), *own], folder / "router.log")
    try:
        with Client(address) as client:
            client.connect(PATIENCE_S)
        yield address
    finally:
        process.kill()


class Recording(threading.Thread):
    """Records batch after batch, each again until it is acknowledged.

    Attributes:
        acknowledged: ids of events that were.
        failures: tries that were not.
        went_wrong: what it did not expect.
    """

    def __init__(self, target: str) -> None:
        super().__init__(daemon=True)
        self.acknowledged: list[str] = []
        self.failures = 0
        self.went_wrong: BaseException | None = None
        self._target = target

    def run(self) -> None:
        try:
            with Client(self._target) as client:
                for _ in range(BATCHES):
                    self._record(client, [Event(f"u{n}", "hat", "view") for n in range(BATCH_EVENTS)])
        except BaseException as error:
            self.went_wrong = error

    def _record(self, client: Client, events: list[Event]) -> None:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            try:
                answer = client.record(events, deadline_ms=1_500)
            except TrunkshowError:
                self.failures += 1
                continue
            assert answer.recorded == BATCH_EVENTS
            self.acknowledged.extend(one.event_id for one in events)
            return
        raise AssertionError("nothing was recorded for a minute")


def eventually(what: str, holds: object) -> None:
    until = time.monotonic() + PATIENCE_S
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < until, what
        time.sleep(0.01)


async def in_the_log(url: str, item: str) -> list[str]:
    """Ids of all events with an item, as often as they stand there."""
    log = open_log(url)
    try:
        end = await log.end(10)
        events = [event async for read in log.read(None, end) for event in read.record.events]
        return [event.event_id for event in events if event.item_id == item]
    finally:
        await log.close()


def test_nothing_acknowledged_is_lost_and_nothing_counts_twice(nats: NatsServer, target: str) -> None:
    """Killed twice in the middle; what was sent again stands there under the same ids."""
    recording = Recording(target)
    recording.start()
    for share in (0.2, 0.6):
        eventually(
            "recording came to a stop",
            lambda share=share: len(recording.acknowledged) >= share * BATCHES * BATCH_EVENTS,
        )
        nats.kill()
        failed = recording.failures
        eventually("nobody noticed", lambda failed=failed: recording.failures > failed)
        nats.start()
    recording.join(PATIENCE_S)
    assert recording.went_wrong is None
    found = asyncio.run(in_the_log(nats.url, "hat"))
    acknowledged = recording.acknowledged
    assert len(acknowledged) == len(set(acknowledged)) == BATCHES * BATCH_EVENTS
    assert set(found) == set(acknowledged)


def test_without_its_log_a_router_says_so_in_time_and_serves_on(nats: NatsServer, target: str) -> None:
    """Slates as ever; recording is an error that names the log, within the deadline; then all is well again."""
    with Client(target) as client:
        assert client.record(Event("ann", "cap", "view")).recorded == 1
        nats.kill()
        began = time.monotonic()
        with pytest.raises(Unavailable) as caught:
            client.record(Event("ann", "cap", "view"), deadline_ms=1_000)
        assert (caught.value.reason, time.monotonic() - began < IN_TIME_S) == ("LOG_UNAVAILABLE", True)
        assert client.recommend(datasets.user_id(3), deadline_ms=5_000).carousels
        eventually("the status never said so", lambda: not client.status().event_log.reachable)  # type: ignore[union-attr]
        nats.start()
        eventually("it never came back", lambda: client.status().event_log.reachable)  # type: ignore[union-attr]
        assert client.record(Event("ann", "cap", "view")).recorded == 1
