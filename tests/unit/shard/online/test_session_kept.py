"""What a user is doing outlives the snapshot that has seen it; what they took back they do not want."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import datasets
import numpy as np
import pytest
from followed_log import FollowedLog
from online_shard import USER, Shard, click

from shard.online.folding import NOBODY, Folded, Terms, fold
from shard.online.lately import Sessions, session_of
from shard.online.state import Event, Events
from trunkshow import marks
from trunkshow.marks import marks_by_type
from trunkshow.models.protocol import Floats, Rows
from trunkshow.online.positions import Position, Since
from trunkshow.online.weights import SESSION_FACTOR, weights_of
from trunkshow.snapshot.kinds import Kinds
from trunkshow.snapshot.partition import Partition
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.records import UserRecord
from trunkshow.stream.intent import DAY_MS
from trunkshow.v1 import events_pb2 as pb

NOW_MS = 1_700_000_000_500
MINUTE_MS = 60_000
ITEMS = 20
KINDS = Kinds(np.arange(ITEMS, dtype=np.int32) % 4, np.full(4, 0.25, np.float32), ("a", "b", "c", "d"))
numbers = itertools.count(1)


class Solver:
    """Solves nothing."""

    def solve(self, items: Rows, weights: Floats) -> Floats:
        """Zeros."""
        del items, weights
        return np.zeros(2, np.float32)


def event(row: int, ago_ms: int, kind: int = pb.INTERACTION_CLICK) -> Event:
    """One that happened so long ago; each stands behind the one before in the log."""
    number = next(numbers)
    return Event(number, f"i{row}", kind, NOW_MS - ago_ms, Position("log", 0, number))


def row_of(item: str) -> int | None:
    """Of an item."""
    row = int(item[1:])
    return row if row < ITEMS else None


def folded(events: Events, record: UserRecord = NOBODY, since_ms: int = 0) -> Folded | None:
    """By a snapshot whose data end then."""
    terms = Terms(row_of, Solver(), weights_of({}), marks_by_type(()), Since(None, since_ms), KINDS)
    return fold(record, events, terms)


def record(*did: tuple[int, int, float], of: Sequence[int] = ()) -> UserRecord:
    """Items with how long ago and what for, newest first."""
    rows, ago_ms, weights = zip(*did, strict=True)
    times = [(NOW_MS - ago) // 1000 for ago in ago_ms]
    return UserRecord(
        -1,
        np.zeros(2, np.float32),
        np.array(rows, np.int32),
        np.array(weights, np.float32),
        np.array(times, np.uint32),
        np.array(of, np.uint8),
    )


def did(record: UserRecord, events: Events) -> list[tuple[int, int]]:
    """Of the session: how many seconds ago, and with what category."""
    session = session_of(record, events, row_of, KINDS)
    return [] if session is None else [((NOW_MS - one.time_ms) // 1000, one.category) for one in session.events]


def test_a_snapshot_that_has_seen_the_events_changes_no_session() -> None:
    """Also where some of the same items were looked at twice, which a record does not tell."""
    events = (event(5, 9 * MINUTE_MS), event(6, 5 * MINUTE_MS), event(5, 2 * MINUTE_MS))
    before = folded(events)
    assert before is not None
    assert before.session is not None
    after = session_of(before.record, events, row_of, KINDS)
    assert after is not None
    assert after.events == before.session.events
    assert folded(events, before.record, since_ms=NOW_MS) is None


def test_of_what_was_done_before_and_after_a_snapshot_each_event_counts_once() -> None:
    """Out of the record where it is not among the events, with the time that the record has."""
    built = record((5, 2 * MINUTE_MS, 1.0), (6, 30 * MINUTE_MS, 1.0), (7, 2 * DAY_MS, 1.0))
    seen, new = event(5, 2 * MINUTE_MS), event(5, MINUTE_MS)
    assert did(built, (seen, new)) == [(1800, 2), (120, 1), (60, 1)]
    assert did(built, ()) == [(1800, 2), (120, 1)]


def test_what_was_hidden_or_returned_is_no_interest() -> None:
    """Nor what lies a day back."""
    what = (marks.HIDDEN, marks.HAD, marks.HAD)
    assert did(record((5, 1000, 1.0), (6, 2000, -1.0), (7, 3000, 0.5), of=what), ()) == [(3, 3)]
    assert did(record((5, 1000, 1.0)), (event(5, 1000, pb.INTERACTION_RETURN),)) == []


def test_a_session_is_read_once_until_the_next_event_or_until_its_user_is_forgotten() -> None:
    """Somebody who did nothing within a day costs nothing but a look."""
    read: list[str] = []
    sessions = Sessions(lambda record, events: read.append("once more"))
    built, events = record((5, MINUTE_MS, 1.0)), (event(5, MINUTE_MS),)
    for _ in range(3):
        sessions.of("ann", built, events, NOW_MS)
    assert len(read) == 1
    sessions.of("ann", built, (*events, event(6, 0)), NOW_MS)
    sessions.forget("ann")
    sessions.of("ann", built, events, NOW_MS)
    assert len(read) == 3
    sessions.of("bob", record((5, DAY_MS + MINUTE_MS, 1.0)), (), NOW_MS)
    sessions.of("eve", None, events, NOW_MS)
    assert len(read) == 3


async def test_the_intent_is_told_though_the_snapshot_has_all_of_it(
    snapshot: Snapshot, partitions: dict[int, Partition], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is folded in, and the response still says what the user is doing."""
    log = FollowedLog()
    taste = (datasets.taste_of_user(USER) + 1) % datasets.TASTES
    mark = await log.append([click(USER, datasets.item_id(datasets.TASTES * at + taste)) for at in (40, 41, 42)], 1)
    later = replace(snapshot.manifest, log_watermark=str(mark), data_until="2100-01-01T00:00:00+00:00")
    monkeypatch.setattr(snapshot, "manifest", later)
    async with Shard(snapshot, log, partitions).up() as up:
        await up.hold(*partitions)
        slate = await up.slate(USER)
        assert slate.receipt.events_folded == 0
        assert slate.intent.interests[0].category == f"taste {taste}"


@pytest.mark.parametrize(
    ("history", "done", "left"),
    [
        ((), ((pb.INTERACTION_ORDER, 2), (pb.INTERACTION_RETURN, 1)), 0.0),
        ((5, 90 * DAY_MS, 3.0), ((pb.INTERACTION_RETURN, 1),), 2.0),
        ((), ((pb.INTERACTION_ORDER, 3), (pb.INTERACTION_ORDER, 2), (pb.INTERACTION_RETURN, 1)), SESSION_FACTOR),
        ((), ((pb.INTERACTION_ORDER, 300), (pb.INTERACTION_CLICK, 2), (pb.INTERACTION_RETURN, 1)), 0.3),
    ],
)
def test_a_return_takes_back_what_it_is_of(
    history: tuple[int, int, float] | tuple[()], done: tuple[tuple[int, int], ...], left: float
) -> None:
    """An order of the same session whole, and of one from before no more than that was worth."""
    events = tuple(event(5, minutes * MINUTE_MS, kind) for kind, minutes in done)
    found = folded(events, record(history) if history else NOBODY)
    assert found is not None
    assert found.record.weights.tolist() == pytest.approx([left])
