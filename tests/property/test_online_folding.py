"""A record with events folded in is what a rebuild with these events would have made of the user."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shard.online.folding import NOBODY, Terms, fold
from shard.online.state import NO_EVENTS, Event, applied
from trunkshow.eventlog.watermark import Watermark
from trunkshow.marks import marks_by_type
from trunkshow.models.fold_in import Confidence, NormalEquations
from trunkshow.online.positions import Position, Since
from trunkshow.online.weights import SESSION_FACTOR, weights_of
from trunkshow.snapshot.records import UserRecord
from trunkshow.v1 import events_pb2 as pb

ITEMS, FACTORS = 40, 6
SEEN = 5
"""Records of the log that the snapshot has seen."""

rng = np.random.default_rng(5)
VECTORS = rng.standard_normal((ITEMS, FACTORS)).astype(np.float32)
SCALE = rng.uniform(0.3, 3, ITEMS).astype(np.float32)
UNOBSERVED, STRENGTH, MEAN_DEGREE = 0.05, 0.02, 4.0
WIDE = VECTORS.astype(np.float64)
EQUATIONS = NormalEquations(VECTORS, UNOBSERVED * WIDE.T @ WIDE, Confidence(SCALE, MEAN_DEGREE), UNOBSERVED, STRENGTH)
WEIGHTS = weights_of({"interactions": {"order": 2.0, "click": 0.5}})
MARKS = marks_by_type(["order", "click"])
KINDS = sorted(WEIGHTS)


def row_of(item: str) -> int | None:
    """Its number, where the catalogue goes that far."""
    row = int(item[1:])
    return row if row < ITEMS else None


TERMS = Terms(row_of, EQUATIONS, WEIGHTS, MARKS, Since(Watermark("log", {0: SEEN}), 1 << 62))


def dense(worth: NDArray[np.float64]) -> NDArray[np.float64]:
    """The vector of summed weights per item (ITEMS,), by the loss as it is stated, with full matrices."""
    liked = worth > 0
    if not liked.any():
        return np.zeros(FACTORS)
    confidence = np.where(liked, worth, 0) * SCALE * (liked.sum() / MEAN_DEGREE) ** -0.3
    observed = np.diag(confidence)
    left = WIDE.T @ (UNOBSERVED * np.eye(ITEMS) + observed) @ WIDE
    left += STRENGTH * (UNOBSERVED * ITEMS + liked.sum()) * np.eye(FACTORS)
    found: NDArray[np.float64] = np.linalg.lstsq(left, WIDE.T @ observed @ np.ones(ITEMS), rcond=None)[0]
    return found


@st.composite
def records(draw: st.DrawFn) -> UserRecord:
    """A user of the snapshot, newest first."""
    rows = draw(st.lists(st.integers(0, ITEMS - 1), unique=True, max_size=10))
    # Nothing that is not nought and yet lost beside an event's weight: whether it counts as liked is rounding's to say.
    weight = st.floats(-2, 4, width=32).filter(lambda worth: worth == 0 or abs(worth) > 1e-3)
    worth = draw(st.lists(weight, min_size=len(rows), max_size=len(rows)))
    items, weights = np.array(rows, np.int32), np.array(worth, np.float32)
    times = np.arange(len(rows), 0, -1).astype(np.uint32)
    return UserRecord(2, EQUATIONS.solve(items, weights), items, weights, times)


def event(key: int, item: int, kind: int, time_ms: int, count: int) -> Event:
    """An event; items beyond the catalogue are unknown."""
    return Event(key, f"i{item}", kind, time_ms, Position("log", 0, count))


def built_of(happened: list[Event]) -> UserRecord:
    """A user of the snapshot who did this: each item once, at its last time, with its summed weight."""
    known = [one for one in happened if int(one.item[1:]) < ITEMS]
    rows = sorted({int(one.item[1:]) for one in known})
    worth = [sum(WEIGHTS[one.interaction] for one in known if one.item == f"i{row}") for row in rows]
    times = [max(one.time_ms // 1000 for one in known if one.item == f"i{row}") for row in rows]
    items, weights = np.array(rows, np.int32), np.array(worth, np.float32)
    return UserRecord(2, EQUATIONS.solve(items, weights), items, weights, np.array(times, np.uint32))


FAR = Position("log", 0, 10**6)

events = st.lists(
    st.builds(
        event,
        st.integers(0, 2**40),
        st.integers(0, ITEMS + 3),
        st.sampled_from(KINDS),
        st.integers(0, 20_000_000),
        st.integers(1, 3 * SEEN),
    ),
    unique_by=lambda one: one.key,
    max_size=25,
)


def new_of(record: UserRecord, happened: list[Event]) -> list[Event]:
    """Those that the record cannot have: behind what its snapshot has seen, and later than what it has of the item."""
    last = dict(zip(record.items.tolist(), record.times.tolist(), strict=True))
    behind = [one for one in happened if one.at.number > SEEN and int(one.item[1:]) < ITEMS]
    return [one for one in behind if one.time_ms // 1000 > last.get(int(one.item[1:]), -1)]


def is_present(time_ms: int, times: list[int]) -> bool:
    """Whether no pause of more than half an hour lies between a moment and the newest one."""
    later = sorted(time for time in times if time >= time_ms)
    return all(after - before <= 1_800_000 for before, after in itertools.pairwise(later))


@settings(max_examples=150)
@given(records() | st.just(NOBODY), events)
def test_it_equals_a_full_solve_of_everything_known(record: UserRecord, happened: list[Event]) -> None:
    """With dense matrices, item by item, to 1e-4; with the same history and the same weights."""
    kept = NO_EVENTS
    for one in happened:
        kept = applied(kept, one).events
    folded = fold(record, kept, TERMS)
    new = new_of(record, happened)
    assert (folded.events if folded else 0) == len(new)
    if folded is None:
        return
    worth = np.zeros(ITEMS)
    worth[record.items] = record.weights
    weighed_times = [one.time_ms for one in new if WEIGHTS[one.interaction]]
    session = np.zeros(ITEMS)
    for one in new:
        present = is_present(one.time_ms, weighed_times)
        (session if present else worth)[int(one.item[1:])] += WEIGHTS[one.interaction]
    worth += np.where(session > 0, SESSION_FACTOR * session, session)  # what is given back at once was not liked
    assert np.abs(folded.record.vector - dense(worth)).max() < 1e-4
    assert np.allclose(folded.record.weights, worth[folded.record.items], atol=1e-5)
    weighed = {int(one.item[1:]) for one in new if WEIGHTS[one.interaction]}
    assert sorted(folded.record.items.tolist()) == sorted({*record.items.tolist(), *weighed})
    assert (np.diff(folded.record.times.astype(np.int64)) <= 0).all()


@given(records(), events)
def test_what_was_had_and_what_is_hidden(record: UserRecord, happened: list[Event]) -> None:
    """Orders, rentals and returns add to what the user had, hides to what they do not want to see."""
    new = [one for one in happened if one.at.number > SEEN and int(one.item[1:]) < ITEMS]
    folded = fold(record, tuple(happened), TERMS)
    having = (pb.INTERACTION_ORDER, pb.INTERACTION_RENTAL, pb.INTERACTION_RETURN)
    had = {int(one.item[1:]) for one in new if one.interaction in having}
    hidden = {int(one.item[1:]) for one in new if one.interaction == pb.INTERACTION_HIDE}
    if folded is not None:
        assert set(folded.had.tolist()) == {*record.items.tolist(), *had}
        assert set(folded.hidden.tolist()) == hidden


@given(st.permutations([event(n, n, KINDS[n % 4], 1000 * (n % 3), 9) for n in range(6)]))
def test_one_by_one_in_any_order_ends_where_all_at_once_does(happened: list[Event]) -> None:
    """Nothing drifts."""
    kept = NO_EVENTS
    for one in happened:
        kept = applied(kept, one).events
        fold(NOBODY, kept, TERMS)
    last, whole = fold(NOBODY, kept, TERMS), fold(NOBODY, tuple(sorted(happened)), TERMS)
    assert last is not None and whole is not None
    assert np.abs(last.record.vector - whole.record.vector).max() < 1e-6
    assert last.record.items.tolist() == whole.record.items.tolist()


@given(events, st.integers(0, 25), st.data())
def test_however_long_after_the_first_an_event_comes_again_it_counts_once(
    happened: list[Event], seen: int, data: st.DataObject
) -> None:
    """The record is a build's of what came before; of what came after it, and of it again, nothing counts twice.

    What is new, but earlier than what the record has of the same item, may be left to the next build.
    """
    before, after = happened[:seen], happened[seen:]
    again = data.draw(st.lists(st.sampled_from(happened), max_size=10)) if happened else []
    built = built_of(before)
    kept = NO_EVENTS
    for count, one in enumerate(after + again, start=SEEN + 1):
        kept = applied(kept, one._replace(at=Position("log", 0, count))).events
    folded = fold(built, kept, TERMS)
    left = {one.key for one in after} - {one.key for one in new_of(built, [x._replace(at=FAR) for x in after])}
    once = [one for one in happened if int(one.item[1:]) < ITEMS and one.key not in left]
    weighed_times = [one.time_ms for one in after if one in once and WEIGHTS[one.interaction]]
    worth, session = np.zeros(ITEMS), np.zeros(ITEMS)
    for one in once:
        present = one in after and is_present(one.time_ms, weighed_times)
        (session if present else worth)[int(one.item[1:])] += WEIGHTS[one.interaction]
    worth += np.where(session > 0, SESSION_FACTOR * session, session)
    found = np.zeros(ITEMS)
    record = folded.record if folded else built
    found[record.items] = record.weights
    assert np.allclose(found, worth, atol=1e-4)


@pytest.mark.parametrize("seen", [0, 1, 6])
def test_what_the_snapshot_has_seen_is_not_counted_again(seen: int) -> None:
    """By its place in the log, whenever it happened."""
    happened = tuple(event(n, n, pb.INTERACTION_CLICK, 0, n + 1) for n in range(6))
    terms = Terms(row_of, EQUATIONS, WEIGHTS, MARKS, Since(Watermark("log", {0: seen}), 10**15))
    folded = fold(NOBODY, happened, terms)
    assert (folded.events if folded else 0) == 6 - seen
