"""A NATS server's files are replaced by an older copy under readers that stay: they end up with what is in it now.

Events, new items and tombstones are in three streams of one server, so all three go back at once. What is lost was
heard by everybody; what comes instead stands where it stood, and may come before anybody is connected again.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import cast

import nats_servers
import pytest
from told_snapshot import Opened
from worlds import NatsWorld, event

from trunkshow.eventlog.opening import open_items, open_log, open_tombstones
from trunkshow.eventlog.settings import LogSettings
from trunkshow.online.follower import Follower
from trunkshow.online.forgotten import Forgotten
from trunkshow.online.growth import Growth
from trunkshow.online.positions import Position
from trunkshow.online.tombstones import following
from trunkshow.serving.deadline import monotonic
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import events_pb2, log_pb2

WITHIN_S = 30.0
SETTINGS = LogSettings(bytes_max=64 << 20, connect_s_max=1.0)


class Logs:
    """The three on one server."""

    def __init__(self, url: str) -> None:
        self.events = open_log(url, SETTINGS, {})
        self.items = open_items(url, SETTINGS, {})
        self.tombstones = open_tombstones(url, SETTINGS, {})

    async def record(self, *names: str) -> None:
        """An event with each, the item that it is with, and a tombstone of somebody else; one record each."""
        for name in names:
            await self.events.append([event(name, 0)], WITHIN_S)
            await self.items.tell([events_pb2.NewItem(id=name)], WITHIN_S)
            await self.tombstones.forget(log_pb2.Forget(id=f"t-{name}", user_id=name), WITHIN_S)

    async def close(self) -> None:
        """Let go of them."""
        for one in (self.events, self.items, self.tombstones):
            await one.close()


class Readers:
    """Who stays connected: to the events from their beginning and from their end, to the items, to the tombstones.

    Attributes:
        heard: where each event was heard last.
    """

    def __init__(self, logs: Logs) -> None:
        self.heard: dict[str, Position] = {}
        self.replays = 0
        self.opened, self.forgotten = Opened(), Forgotten()
        self._logs = logs
        self._growth = Growth(logs.items)
        self._growth.admit(cast("Snapshot", self.opened))
        self.whole = Follower(logs.events, self._hear)
        self.from_end = Follower(logs.events, lambda event, at: None, went_back=self._told_back)

    def _hear(self, event: events_pb2.Event, at: Position) -> None:
        self.heard[event.user_id] = at

    def _told_back(self) -> None:
        self.replays += 1

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Readers]:
        """They read."""
        works = (
            self._growth.run(),
            self.whole.run(),
            self.from_end.run(from_end=True),
            following(self.forgotten, self._logs.tombstones),
        )
        running = [asyncio.ensure_future(work) for work in works]
        try:
            yield self
        finally:
            for one in running:
                one.cancel()
            for one in running:
                with suppress(asyncio.CancelledError):
                    await one

    def know(self, *names: str) -> bool:
        """Whether everybody knows of all of these."""
        buried = {one.user_id for one in self.forgotten.tombstones()}
        return set(names) <= set(self.heard) & set(self.opened.told) & buried

    @property
    def are_fresh(self) -> bool:
        """Whether who follows the events keeps up."""
        return all(one.progress.is_caught_up(monotonic()) for one in (self.whole, self.from_end))


async def until(met: Callable[[], bool]) -> None:
    """Look again and again until something is so."""
    async with asyncio.timeout(WITHIN_S):
        while not met():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.01)


async def put_back(world: NatsWorld, copy: Path, meanwhile: Sequence[str]) -> None:
    """The older copy takes the place of what the server has; this much was recorded in it before it came there."""
    if meanwhile:
        with nats_servers.running(copy) as aside:
            logs = Logs(aside.url)
            await logs.record(*meanwhile)
            await logs.close()
    shutil.rmtree(world.server.folder)
    shutil.copytree(copy, world.server.folder)


@pytest.fixture
async def logs(nats_world: NatsWorld) -> AsyncIterator[Logs]:
    """On a server of their own."""
    made = Logs(nats_world.url)
    yield made
    await made.close()


LOST = ("lost-1", "lost-2", "lost-3")
NEW = ("new-1", "new-2", "new-3", "new-4", "new-5")


@pytest.mark.parametrize("new", [1, 3, 5], ids=["shorter than it was", "as long as it was", "longer than it was"])
@pytest.mark.parametrize("first", [True, False], ids=["before readers are back", "under readers"])
async def test_readers_know_what_a_restored_log_has_now(
    nats_world: NatsWorld, logs: Logs, tmp_path: Path, new: int, first: bool
) -> None:
    """Whatever came instead of what was lost, and who was heard of before stays heard of."""
    names, copy = NEW[:new], tmp_path / "copy"
    await logs.record("kept-1", "kept-2")
    await nats_world.kill()
    shutil.copytree(nats_world.server.folder, copy)
    await nats_world.restart()
    async with Readers(logs).up() as readers:
        await until(lambda: readers.know("kept-1", "kept-2") and readers.are_fresh)
        await logs.record(*LOST)
        await until(lambda: readers.know(*LOST))
        await nats_world.kill()
        await put_back(nats_world, copy, names if first else ())
        await nats_world.restart()
        if not first:
            await logs.record(*names)
        await until(lambda: readers.know("kept-1", *names))
        end = await logs.events.end(WITHIN_S)
        assert end.counts == {0: 2 + new}
        await until(lambda: readers.replays > 0)
        await until(lambda: readers.whole.progress.text == readers.from_end.progress.text == str(end))
        assert readers.know("kept-1", "kept-2", *LOST, *names)
        assert [readers.heard[name].number for name in names] == [3 + at for at in range(new)]
