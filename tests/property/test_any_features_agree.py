"""What a shard tells of features is what the builder counts: any events, in any order, sent any number of times."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.export.rows import SCHEMA, name_of
from builder.feature_table import NAMES, History, of_rows
from shard.online.features import FeatureCounters, FeatureReader
from shard.online.statistics import Statistics
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.forgotten import Forgotten
from trunkshow.online.positions import Position
from trunkshow.online.progress import Progress
from trunkshow.stream.windows import WINDOWS
from trunkshow.v1 import events_pb2, features_pb2, log_pb2, shard_pb2

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOW_MS = round(NOW.timestamp() * 1000)
CATEGORIES = {"hat": "hats", "coat": "coats", "zebra": "an animal"}
USERS, ITEMS = ("ann", "bob"), (*CATEGORIES, "uncategorised")
ASKED = [*USERS, "nobody"], [*ITEMS, "nothing"]

edges_ms = [
    sign * edge * 1000 + window.length_s * 1000
    for window in WINDOWS
    for edge in (0, 1, window.bucket_s)
    for sign in (-1, 1)
]
ages_ms = st.one_of(
    st.sampled_from(edges_ms), st.integers(0, 31 * 86_400_000), st.integers(0, 400_000), st.sampled_from([5000, 5001])
)


class Drawn(NamedTuple):
    """An event; the drawn number is its id."""

    number: int
    age_ms: int
    user: str
    item: str
    kind: int
    value: float | None


def events_of(number: int) -> st.SearchStrategy[Drawn]:
    """Events of this id."""
    kinds = st.sampled_from([one for one in events_pb2.Interaction.values() if one])
    values = st.sampled_from([None, 0.0, 1.5, 19.99])
    items = st.sampled_from([*ITEMS, ""])
    return st.builds(Drawn, st.just(number), ages_ms, st.sampled_from(USERS), items, kinds, values)


several = st.integers(0, 40).flatmap(lambda count: st.tuples(*map(events_of, range(count))))


def message(drawn: Drawn) -> events_pb2.Event:
    """As it stands in the log."""
    made = events_pb2.Event(event_id=f"e{drawn.number}", user_id=drawn.user, item_id=drawn.item, value=drawn.value)
    made.interaction = drawn.kind  # type: ignore[assignment]
    made.timestamp.FromMilliseconds(NOW_MS - drawn.age_ms)
    return made


def row(drawn: Drawn) -> dict[str, object]:
    """As it stands in an export."""
    return {
        "user": drawn.user,
        "item": drawn.item or None,
        "interaction": name_of(drawn.kind),
        "timestamp": NOW - timedelta(milliseconds=drawn.age_ms),
        "event_id": f"e{drawn.number}",
        "value": drawn.value,
    }


def of_shard(records: list[list[Drawn]], now_ms: int) -> shard_pb2.ReadFeaturesResponse:
    """What a shard tells that followed these records."""
    counters = FeatureCounters(10, 10, wall=lambda: now_ms / 1000)
    counters.category_of = lambda item_id: CATEGORIES.get(item_id, "")
    statistics = Statistics((counters,), Forgotten(), wall=lambda: NOW_MS / 1000)
    statistics.known_from_ms = 0
    for number, some in enumerate(records, 1):
        record = log_pb2.Record(events=map(message, some))
        record.received.FromMilliseconds(NOW_MS)
        for _ in statistics.follow(record, Position("log", 0, number), Watermark("log", {0: number - 1})):
            pass  # others would have their turns here
    users, items = ASKED
    asked = shard_pb2.ReadFeaturesRequest(user_ids=users, item_ids=items)
    return asyncio.run(FeatureReader(counters, statistics, Progress()).read(asked))


def flat(of: str, told: features_pb2.Features) -> dict[str, object]:
    """As the builder's columns name it."""
    counts: dict[str, object] = {}
    for window in told.windows:
        known = {one.interaction: one.count for one in window.counts}
        counts |= {f"{of}_{window.window}_{name}": known.get(kind, 0) for kind, name in enumerate(NAMES)}
    price = told.last_price if told.HasField("last_price") else None
    return {of: told.id, **counts, f"{of}_last_price": price, f"{of}_last_category": told.last_category or None}


@settings(max_examples=80, deadline=None)
@given(drawn=several, data=st.data(), later_s=st.sampled_from([0, 1, 60, 299, 3600, 86_400]))
def test_a_shard_tells_what_the_builder_counts(drawn: tuple[Drawn, ...], data: st.DataObject, later_s: int) -> None:
    """Of users and items, known or not, at the moment of recording or later."""
    again = data.draw(st.lists(st.sampled_from(drawn), max_size=20)) if drawn else []
    order = data.draw(st.permutations([*drawn, *again]))
    size = data.draw(st.integers(1, 7))
    moment = NOW + timedelta(seconds=later_s)
    told = of_shard([order[start : start + size] for start in range(0, len(order), size)], NOW_MS + later_s * 1000)
    schema = {name: SCHEMA[name] for name in ("user", "item", "interaction", "timestamp", "event_id", "value")}
    history = History.of(pl.DataFrame(list(map(row, order)), schema=schema), CATEGORIES)
    for of, ids, found in (("user", ASKED[0], told.users), ("item", ASKED[1], told.items)):
        table = of_rows(history, pl.DataFrame({of: ids, "timestamp": [moment] * len(ids)})).drop("timestamp")
        assert [flat(of, one) for one in found] == table.to_dicts()
