"""Whoever counts events counts each once, however often it is sent and however late: features, exports and builds."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from memory_log import MemoryLog

from builder.dataset import load_dataset
from builder.events import read_events
from builder.export.exporting import export
from builder.export.folder import held
from shard.online.features import FeatureCounters
from shard.online.statistics import Statistics
from trunkshow.online.forgotten import Forgotten
from trunkshow.online.ids import AHEAD_MS
from trunkshow.online.positions import Position
from trunkshow.v1 import events_pb2 as pb
from trunkshow.v1 import log_pb2

BEGAN_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
KEPT_S = 3600.0
"""For which ids are known here: events come again long after that."""

EVENTS = 8


class Sending(NamedTuple):
    """Of an event: which, and how long after it happened it is received."""

    number: int
    late_ms: int


sendings = st.lists(st.builds(Sending, st.integers(0, EVENTS - 1), st.integers(0, 72 * HOUR_MS)), max_size=40)
moments = st.lists(st.integers(0, 20 * HOUR_MS), min_size=EVENTS, max_size=EVENTS)


def records(sent: Sequence[Sending], happened: Sequence[int]) -> list[log_pb2.Record]:
    """One for each sending, in the order in which they are received."""
    made = []
    for one in sorted(sent, key=lambda one: happened[one.number] + one.late_ms):
        event = pb.Event(event_id=f"e{one.number}", user_id=f"u{one.number}", item_id="i")
        event.interaction = pb.INTERACTION_ORDER
        event.timestamp.FromMilliseconds(BEGAN_MS + happened[one.number])
        record = log_pb2.Record(events=[event])
        record.received.FromMilliseconds(BEGAN_MS + happened[one.number] + one.late_ms)
        made.append(record)
    return made


def counted(log: Sequence[log_pb2.Record]) -> list[int]:
    """How often each event counts in its user's feature windows."""
    now_s = BEGAN_MS / 1000

    def wall() -> float:
        return now_s

    counters = FeatureCounters(100, 100, wall)
    statistics = Statistics([counters], Forgotten(), ids_kept_s=KEPT_S, clock=wall, wall=wall)
    statistics.known_from_ms = 0
    for number, record in enumerate(log, 1):
        now_s = record.received.ToMilliseconds() / 1000
        for _ in statistics.follow(record, Position("log", 0, number), None):
            pass
    asked_ms = round(now_s * 1000) + 60_000
    return [sum(counters.user(f"u{number}", asked_ms)[0].counts[-1]) for number in range(EVENTS)]


async def built(log: Sequence[log_pb2.Record], parts: int) -> int:
    """Events of a build from so many exports, one after the other."""
    source = MemoryLog()
    with tempfile.TemporaryDirectory() as folder:
        for part in range(parts):
            source.records.extend(log[part * len(log) // parts : (part + 1) * len(log) // parts])
            with held(Path(folder)) as out:
                await export(source, MemoryLog("gone"), out, None, ids_kept_s=KEPT_S)
        events, _ = await asyncio.to_thread(read_events, load_dataset(Path(folder) / "dataset.toml"))
    return len(events.times)


@given(sendings, moments)
def test_features_count_nothing_twice_and_what_comes_in_time_once(sent: list[Sending], happened: list[int]) -> None:
    """At any distance; one that first comes later than ids are known may be left to the next build."""
    log = records(sent, happened)
    found = counted(log)
    assert max(found, default=0) <= 1
    first: dict[int, int] = {}
    for one in sent:
        first[one.number] = min(one.late_ms, first.get(one.number, one.late_ms))
    in_time = {number for number, late_ms in first.items() if late_ms + AHEAD_MS < KEPT_S * 1000}
    assert {number for number in first if found[number]} >= in_time
    assert not any(found[number] for number in range(EVENTS) if number not in first)


@settings(max_examples=15, deadline=None)
@given(sendings.filter(bool), moments, st.integers(1, 3))
def test_a_build_has_every_event_once(sent: list[Sending], happened: list[int], parts: int) -> None:
    """Whatever of it an export wrote again, since nobody knew its id any more."""
    assert asyncio.run(built(records(sent, happened), parts)) == len({one.number for one in sent})
