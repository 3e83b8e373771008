"""What a log on Kafka does beside the contract."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kafka_brokers
import pytest
from confluent_kafka import KafkaError, Producer
from worlds import LANES, WITHIN_S, KafkaWorld, event, first, ids, opened, taken

from trunkshow.eventlog import kafka_reader
from trunkshow.eventlog.kafka_consumer import Taken
from trunkshow.eventlog.kafka_log import KafkaLog
from trunkshow.eventlog.kafka_sender import Sender
from trunkshow.eventlog.kafka_topic import Asker, wanted
from trunkshow.eventlog.log import LogUnavailable
from trunkshow.eventlog.opening import open_log, open_tombstones
from trunkshow.eventlog.packing import lane_of
from trunkshow.eventlog.settings import LogSettings


@pytest.fixture
async def kafka_world(tmp_path: Path) -> AsyncIterator[KafkaWorld]:
    """A mock cluster."""
    made = KafkaWorld(tmp_path)
    yield made
    await made.close()


async def test_users_are_spread_over_the_lanes_and_each_stays_in_one(kafka_world: KafkaWorld) -> None:
    """The lane is told by the user alone."""
    log = opened(kafka_world)
    users = [f"user-{number}" for number in range(40)]
    for number in range(2):
        await log.append([event(user, number) for user in users], WITHIN_S)
    for read in await first(log, 80):
        lanes = {lane_of(one.user_id, LANES) for one in read.record.events}
        assert len(lanes) == 1
        assert lanes <= read.watermark.counts.keys()
    assert (await log.end(WITHIN_S)).counts == dict.fromkeys(range(LANES), 2)
    await log.close()


async def test_a_topic_without_an_id_is_unavailable_rather_than_guessed(kafka_world: KafkaWorld) -> None:
    """Two processes that guessed differently would never believe each other's watermarks. Nobody waits longer."""
    log = open_log(kafka_world.url, LogSettings(connect_s_max=1.0), {})
    for within_s in (0.5, 6.0):
        began = time.monotonic()
        with pytest.raises(LogUnavailable, match="within"):
            await log.append([event("user", 0)], within_s)
        assert time.monotonic() - began < 2 * within_s + 2
    await log.close()


async def test_a_reading_whose_offsets_go_back_is_unavailable(
    kafka_world: KafkaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be another topic by now: whoever asks again is told."""
    log = opened(kafka_world)
    end = await log.append([event("user", 0), event("user-1", 0)], WITHIN_S)
    (lane, *_) = end.counts
    monkeypatch.setattr(kafka_reader, "take", lambda consumer: [Taken(lane, 0, 0, b"")])
    with pytest.raises(LogUnavailable, match="went back"):
        async for read in log.read(None, end):
            raise AssertionError(read)
    await log.close()


async def test_a_lane_that_seems_to_end_early_is_read_to_where_it_ends(
    kafka_world: KafkaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a partition's new leader gives at first may end before what the old one had acknowledged."""
    log = opened(kafka_world)
    end = await log.append([event("user", number) for number in range(3)], WITHIN_S)
    ((lane, _),) = end.counts.items()
    early, really = [[Taken(lane, 0, 0, None)]], kafka_reader.take
    monkeypatch.setattr(kafka_reader, "take", lambda consumer: early.pop() if early else really(consumer))
    assert ids([read async for read in log.read(None, end)]) == ["user-0", "user-1", "user-2"]
    await log.close()


async def test_a_lane_that_stays_shorter_than_it_was_is_unavailable(
    kafka_world: KafkaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever took what there is for everything would call a partition whole that is not."""
    log = opened(kafka_world)
    assert isinstance(log, KafkaLog)
    end = await log.append([event("user", 0)], WITHIN_S)
    ((lane, _),) = end.counts.items()
    monkeypatch.setattr(log._reader, "_clock", count().__next__)
    monkeypatch.setattr(kafka_reader, "take", lambda consumer: [Taken(lane, 0, 0, None)])
    with pytest.raises(LogUnavailable, match="nothing was read"):
        async for read in log.read(None, end):
            raise AssertionError(read)
    await log.close()


async def test_a_topic_with_another_number_of_partitions_is_another_log_and_followed_as_one(
    kafka_world: KafkaWorld,
) -> None:
    """Users change lanes then, so nothing that was said of the old ones holds; who follows hears of all lanes."""
    log = opened(kafka_world)
    assert isinstance(log, KafkaLog)
    users = [f"user-{number}" for number in range(8)]
    with pytest.MonkeyPatch.context() as patch:
        shown = partial(of_fewer_lanes, await asyncio.to_thread(log._asker._listed))
        patch.setattr(log._asker, "_listed", shown)
        before = await log.append([event(user, 0) for user in users], WITHIN_S)
        assert before.counts.keys() == {0, 1}
        reads = log.follow(None)
        await taken(reads, 8)
    assert (await log.end(WITHIN_S)).log != before.log
    after = await log.append([event(user, 1) for user in users], WITHIN_S)
    assert after.counts.keys() > before.counts.keys()
    found = await taken(reads, 16)
    assert {read.watermark.log for read in found} == {after.log}
    assert sorted(ids(found)) == sorted(f"{user}-{number}" for user in users for number in range(2))
    await reads.aclose()
    await log.close()


def of_fewer_lanes(listed: Any) -> SimpleNamespace:
    """What a cluster lists, as if its topics had two partitions."""
    topics = {
        name: SimpleNamespace(partitions=dict(list(topic.partitions.items())[:2]))
        for name, topic in listed.topics.items()
    }
    return SimpleNamespace(cluster_id=listed.cluster_id, topics=topics)


async def test_brokers_that_go_and_come_back_lose_nothing_that_was_acknowledged() -> None:
    """While they are away an append says so in time; who follows goes on where they were."""
    with kafka_brokers.running("EVENTS", LANES) as brokers:
        settings = LogSettings(lanes=LANES, connect_s_max=1.0)
        log = KafkaLog(brokers.servers, "EVENTS", settings, {}, identity=lambda client, name: name)
        users = [f"user-{number}" for number in range(8)]
        acknowledged = await appended(log, users, 0)
        async with aclosing(log.follow(None)) as reads:
            heard = {one.event_id for read in await taken(reads, 8) for one in read.record.events}
            brokers.down()
            with pytest.raises(LogUnavailable, match="within"):
                await log.append([event("user-0", 1)], 1.0)
            brokers.up()
            acknowledged |= await appended(log, users, 2)
            async with asyncio.timeout(WITHIN_S):
                while not acknowledged <= heard:
                    heard |= {one.event_id for one in (await anext(reads)).record.events}
        # What was not acknowledged may be there all the same.
        assert heard - acknowledged <= {"user-0-1"}
        await log.close()


async def appended(log: KafkaLog, users: Sequence[str], number: int) -> set[str]:
    """An event of each of these users, sent until it was acknowledged; their ids."""
    events = [event(user, number) for user in users]
    until_s = time.monotonic() + WITHIN_S
    while True:
        try:
            await log.append(events, 2.0)
            return {one.event_id for one in events}
        except LogUnavailable:
            assert time.monotonic() < until_s, "nothing was acknowledged"


async def test_a_topic_says_for_how_long_it_keeps_events(kafka_world: KafkaWorld) -> None:
    """As soon as it was heard of; nobody waits for that, and mock brokers, asked themselves, do not tell."""
    log, mute = (
        opened(kafka_world),
        KafkaLog(kafka_world.servers, "EVENTS", LogSettings(), {}, lambda config, name: name),
    )
    for one in (log, mute):
        assert one.age_s is None
        await one.append([event("user", 0)], WITHIN_S)
    async with asyncio.timeout(WITHIN_S):
        while log.age_s is None:  # noqa: ASYNC110 - a thread's doing
            await asyncio.sleep(0.01)
    assert (log.age_s, mute.age_s) == (3600.0, None)
    await log.close()
    await mute.close()


def test_a_users_lane_is_the_same_in_every_release() -> None:
    """Else an upgrade would put a user's events out of order."""
    assert [lane_of(user, 16) for user in ("", "a", "user-1", "ü")] == [0, 3, 4, 5]


async def test_a_topic_of_too_many_partitions_is_refused_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    """No watermark of it could be read back."""
    listed = SimpleNamespace(cluster_id="c", topics={"EVENTS": SimpleNamespace(partitions=dict.fromkeys(range(129)))})
    asker = Asker({}, "EVENTS", LogSettings(), lambda config, name: name)
    monkeypatch.setattr(asker, "_listed", lambda: listed)
    with pytest.raises(LogUnavailable, match="129 partitions; a log has 128 at most"):
        await asker.topic()
    await asker.close()


def test_a_topic_of_tombstones_removes_none_for_want_of_room() -> None:
    """Whoever was forgotten first would be remembered again."""
    settings = LogSettings(bytes_max=64 << 20, lanes=1)
    assert wanted("EVENTS", settings).config["retention.bytes"] == str(64 << 20)
    assert wanted("EVENTS-forgotten", replace(settings, sheds=False)).config["retention.bytes"] == "-1"
    tombstones = open_tombstones("kafka://127.0.0.1:1/EVENTS", settings, {})
    assert isinstance(tombstones, KafkaLog)
    assert not tombstones._asker._settings.sheds


@pytest.mark.parametrize(("copies", "least"), [(1, "1"), (2, "2"), (3, "2"), (5, "3")])
def test_a_topic_is_made_so_that_most_copies_have_what_is_acknowledged(copies: int, least: str) -> None:
    """Else one broker alone may have said so, and be lost."""
    made = wanted("EVENTS", LogSettings(copies=copies))
    assert (made.replication_factor, made.config["min.insync.replicas"]) == (copies, least)


async def test_what_an_old_producer_says_late_leaves_the_new_one_alone() -> None:
    """Else each of its messages that fails would end the producer that took its place."""
    sender = Sender({"bootstrap.servers": "127.0.0.1:1"}, "EVENTS")
    old, new = sender._opened(), Producer({"bootstrap.servers": "127.0.0.1:1"})
    fatal = KafkaError(KafkaError._FATAL, "it is over", fatal=True)
    told = [asyncio.get_running_loop().create_future() for _ in range(2)]
    sender._producer = new
    sender._settle(old, told[0], fatal, None)
    assert sender._producer is new
    sender._settle(new, told[1], fatal, None)
    assert sender._producer is None
    assert all(isinstance(one.exception(), LogUnavailable) for one in told)
    sender.close()
