"""A log is followed, replayed, and outlived, over every adapter: what `trunkshow.online.follower` rests on."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from worlds import WITHIN_S, NatsWorld, World, event, opened

from trunkshow.eventlog.log import EventLog
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online import lineage
from trunkshow.online.follower import Follower
from trunkshow.online.positions import Position
from trunkshow.serving.deadline import monotonic
from trunkshow.v1 import events_pb2

USERS = [f"u{number}" for number in range(12)]


class Listener:
    """Who follows, and what they heard."""

    def __init__(self, log: EventLog) -> None:
        self.heard: list[tuple[str, Position]] = []
        self.follower = Follower(log, self.hear)

    def hear(self, event: events_pb2.Event, at: Position) -> None:
        """Remember."""
        self.heard.append((event.event_id, at))

    @property
    def ids(self) -> Counter[str]:
        """Of what was heard."""
        return Counter(event_id for event_id, _ in self.heard)

    @property
    def is_fresh(self) -> bool:
        """Whether it keeps up."""
        return self.follower.progress.is_caught_up(monotonic())

    async def hears(self, mark: Watermark) -> None:
        """Wait until everything up to there was heard."""
        await until(lambda: self.follower.progress.covers(mark))

    @asynccontextmanager
    async def up(self, *, from_end: bool = False) -> AsyncIterator[Listener]:
        """It follows."""
        running = asyncio.create_task(self.follower.run(from_end=from_end))
        try:
            yield self
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


async def until(met: Callable[[], bool]) -> None:
    """Look again and again until something is so."""
    async with asyncio.timeout(WITHIN_S):
        while not met():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.01)


async def written(log: EventLog, first: int, last: int) -> Watermark:
    """So many events of every user; the watermark that covers them."""
    marks = [await log.append([event(user, number) for user in USERS], WITHIN_S) for number in range(first, last + 1)]
    whole = marks[0]
    for mark in marks[1:]:
        whole = whole.joined(mark)
    return whole


def everything(first: int, last: int) -> Counter[str]:
    """The ids of these."""
    return Counter(f"{user}-{number}" for user in USERS for number in range(first, last + 1))


async def test_what_is_written_is_reached_and_is_fresh(log: EventLog) -> None:
    """Every event of it, once, and in order within its lane; nothing that stood there before."""
    await written(log, 1, 2)
    async with Listener(log).up(from_end=True) as one:
        await until(lambda: one.is_fresh)
        mark = await written(log, 3, 5)
        assert await one.follower.reached(mark, WITHIN_S)
        assert one.ids == everything(3, 5)
        places = [at for _, at in one.heard]
        for lane in {at.lane for at in places}:
            numbers = [at.number for at in places if at.lane == lane]
            assert numbers == sorted(numbers)


async def test_a_replay_and_what_is_followed_leave_no_gap(log: EventLog) -> None:
    """Who begins to follow at the end, and replays what came before it, has heard everything."""
    await written(log, 1, 4)
    async with Listener(log).up(from_end=True) as one:
        await until(lambda: one.follower.progress.watermark is not None)
        await written(log, 5, 5)
        await one.follower.replay(None, one.hear)
        await one.hears(await written(log, 6, 6))
        assert set(one.ids) == set(everything(1, 6))


async def test_places_are_the_same_for_every_reader(log: EventLog) -> None:
    """Wherever it began: by them a snapshot is told from what came after it."""
    early = await written(log, 1, 2)
    late = await written(log, 3, 4)
    rest = Listener(log)
    await rest.follower.replay(early, rest.hear)
    async with Listener(log).up() as whole:
        await whole.hears(late)
    assert set(rest.ids) == set(everything(3, 4))
    assert set(rest.heard) <= set(whole.heard)


async def test_a_log_that_begins_anew_is_followed_on(world: World) -> None:
    """What its first readers heard of the one before is no place in it."""
    if not isinstance(world, NatsWorld):
        return  # another mock cluster has another address
    log = opened(world)
    async with Listener(log).up() as one:
        await one.hears(await written(log, 1, 3))
        await world.make_anew()
        await until(lambda: one.follower.progress.text.endswith("/"))
        mark = await written(log, 4, 4)
        await one.hears(mark)
        assert one.ids == everything(1, 4)
    await log.close()


async def test_a_log_that_is_killed_and_comes_back_is_followed_on(nats_world: NatsWorld) -> None:
    """Nothing is missed, and the reader knows that it was behind."""
    log = opened(nats_world)
    async with Listener(log).up() as one:
        await one.hears(await written(log, 1, 2))
        await nats_world.kill()
        assert not await one.follower.reached(Watermark(one.follower.progress.watermark.log, {0: 9}), 0.2)  # type: ignore[union-attr]
        await nats_world.restart()
        await one.hears(await written(log, 3, 4))
        assert set(one.ids) == set(everything(1, 4))
    await log.close()


async def test_a_log_that_is_restored_from_an_older_copy_is_read_again(
    nats_world: NatsWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the same name, and other events where there were others: each of those is heard all the same."""
    monkeypatch.setattr(lineage, "LOOKS_MIN", 2)
    log, folder, copy = opened(nats_world), nats_world.server.folder, tmp_path / "copy"
    await written(log, 1, 2)
    await nats_world.kill()
    shutil.copytree(folder, copy)
    await nats_world.restart()
    async with Listener(log).up() as one:
        before = await written(log, 3, 6)
        await one.hears(before)
        await nats_world.kill()
        shutil.rmtree(folder)
        shutil.copytree(copy, folder)
        await nats_world.restart()
        after = await written(log, 7, 8)
        assert after.log == before.log
        assert before.covers(after)
        await until(lambda: set(one.ids) == set(everything(1, 8)))
        await until(lambda: one.is_fresh and one.follower.progress.text == str(after))
    await log.close()
