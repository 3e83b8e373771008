"""Counters that see one event at a time and a table of all events agree: what is trained on is what is served."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.events import Events
from builder.feature_windows import FeatureTable, features
from trunkshow.stream.counters import FeatureWindows, Recent
from trunkshow.stream.windows import FUTURE_S_MAX, KINDS, WINDOWS, Event, Features, begins

NAMES = ("view", "click", "cart", "order", "like", "something of our own")
CODES = (1, 2, 3, 4, 7, 0)
NOW_S = 1_700_000_000
DAY_S = 86_400

quick = settings(max_examples=150, deadline=None)
edges = [
    sign + edge * step
    for window in WINDOWS
    for edge in (window.length_s, window.bucket_s)
    for step in (1, 2)
    for sign in (-1, 0, 1)
]
ages_s = st.one_of(st.sampled_from(edges), st.integers(-FUTURE_S_MAX, 40 * DAY_S), st.integers(-10, 4000))
rows = st.tuples(
    ages_s,
    st.integers(0, 999),  # milliseconds
    st.integers(0, 2),  # user
    st.integers(0, 3),  # item
    st.integers(0, len(NAMES) - 1),
    st.one_of(st.none(), st.sampled_from([0.5, 1.0, 2.25])),
)
Row = tuple[int, int, int, int, int, float | None]
CATEGORY_NAMES = ("books", "coats", "hats")
CATEGORIES = np.array([2, -1, 0, 2], np.int32)


def time_ms(row: Row) -> int:
    return (NOW_S - row[0]) * 1000 + row[1]


def table(drawn: list[Row]) -> Events:
    """The rows as the builder reads them."""
    return Events(
        users=np.array([row[2] for row in drawn], np.int32),
        items=np.array([row[3] for row in drawn], np.int32),
        kinds=np.array([row[4] for row in drawn], np.uint8),
        times=np.array([time_ms(row) for row in drawn], np.int64),
        values=np.array([np.nan if row[5] is None else row[5] for row in drawn], np.float32),
        user_ids=pl.Series(["a", "b", "c"]),
        item_ids=pl.Series(["p", "q", "r", "s"]),
        kind_names=NAMES,
    )


def named(code: np.int32) -> str:
    return CATEGORY_NAMES[code] if code >= 0 else ""


def event(row: Row) -> Event:
    return Event(time_ms(row), CODES[row[4]], row[5], named(CATEGORIES[row[3]]))


def from_table(found: FeatureTable, at: int) -> Features:
    value = found.last_values[at]
    return Features(
        tuple(tuple(row) for row in found.counts[at].tolist()),
        None if np.isnan(value) else float(value),
        named(found.last_categories[at]),
    )


@quick
@given(
    drawn=st.lists(rows, max_size=60),
    later_s=st.lists(st.integers(0, 40 * DAY_S), min_size=1, max_size=4),
    by_item=st.booleans(),
)
def test_the_counters_and_the_table_agree(drawn: list[Row], later_s: list[int], by_item: bool) -> None:
    """At every moment asked about, in whatever order the events came, counted as they came or all at once."""
    column, key_count = (3, 4) if by_item else (2, 3)
    online = FeatureWindows[int](keys_max=10)
    for row in drawn:
        online.record(row[column], event(row), NOW_S * 1000)
    moments = [NOW_S * 1000 + 1000 * later for later in sorted(later_s)]
    asked = np.tile(np.arange(key_count, dtype=np.int32), len(moments))
    asked_ms = np.repeat(np.array(moments, np.int64), key_count)
    events = table(drawn)
    offline = features(events, events.items if by_item else events.users, CATEGORIES, asked, asked_ms)
    for at, (key, moment) in enumerate(zip(asked.tolist(), asked_ms.tolist(), strict=True)):
        assert online.features(key, moment) == from_table(offline, at)


@quick
@given(drawn=st.lists(rows, max_size=40), moment=st.integers(0, DAY_S))
def test_both_are_what_the_definition_says(drawn: list[Row], moment: int) -> None:
    """The events between the two ends, one by one."""
    recent, second = Recent(), NOW_S + moment
    for row in drawn:
        recent.record(event(row), NOW_S * 1000)
    said = recent.features(second * 1000)
    for window, counts in zip(WINDOWS, said.counts, strict=True):
        first = -(-(second - window.length_s) // window.bucket_s) * window.bucket_s
        within = [event(row).kind for row in drawn if first <= time_ms(row) // 1000 < second]
        assert list(counts) == [within.count(kind) for kind in range(KINDS)]


@quick
@given(drawn=st.lists(rows, max_size=40), moments=st.lists(st.integers(0, 3 * DAY_S), max_size=6))
def test_what_was_asked_before_changes_nothing(drawn: list[Row], moments: list[int]) -> None:
    """Asking moves events into wider buckets, and an answer does not show it."""
    asked, fresh, end = Recent(), Recent(), (NOW_S + 3 * DAY_S) * 1000
    for row in drawn:
        asked.record(event(row), NOW_S * 1000)
        fresh.record(event(row), NOW_S * 1000)
    for moment in sorted(moments):
        asked.features((NOW_S + moment) * 1000)
    assert asked.features(end) == fresh.features(end)


@given(second=st.integers(0, 2**40))
def test_a_window_is_never_longer_than_it_says_and_hardly_shorter(second: int) -> None:
    """It misses less than the width of a bucket."""
    for window in WINDOWS:
        assert window.length_s - window.bucket_s < second - begins(second, window) <= window.length_s
