"""The dataset file: a small TOML that maps any sources onto user, item, interaction, timestamp and value.

It is read into frozen values and checked whole before any source is opened: unknown keys, wrong types and
values out of range are errors that name the table and the key. Opening the sources is left to
`builder.events` and `builder.tables`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from builder.ingest.values import TIMESTAMP_FORMS, milliseconds
from builder.toml_table import TomlTable

COLUMN = "the name of a column, as text"
PATH = 'a path or a glob, relative to this file, such as "events/*.csv"'
# A kind is stored in one byte per event.
INTERACTIONS_MAX = 256


@dataclass(frozen=True)
class EventSource:
    """Where events are, and which columns hold the five fields; one of the two interaction fields is set."""

    path: str  # as written: relative to the dataset file, globs allowed
    user: str
    item: str
    interaction: str | None  # a column
    interaction_type: str | None  # one type for every row of the source
    timestamp: str
    value: str | None
    separator: str = ","  # between the fields of a CSV file


@dataclass(frozen=True)
class ItemSource:
    """Where the items table is; every column but the id is optional."""

    path: str
    id: str
    title: str | None
    category: str | None
    attributes: tuple[str, ...]
    available: str | None
    created_at: str | None
    occasions: str | None
    occasions_separator: str = "|"  # between the occasions in one cell of text
    separator: str = ","


@dataclass(frozen=True)
class UserSource:
    """Where the users table is; a user's segment is the values of these columns, joined."""

    path: str
    id: str
    segment: tuple[str, ...]
    separator: str = ","


@dataclass(frozen=True)
class Serving:
    """How slates are to be made; evaluation follows it."""

    repeat: bool = False  # may an item come back once the user had it? (groceries yes, novels no)
    new_arrival_days: float = 30.0  # how long an item counts as new
    popularity_half_life_days: float = 30.0  # after this long an event counts half in the popular lists


@dataclass(frozen=True)
class Evaluation:
    """Where the test events begin: at `cut` if there is one, else the last `test_share` of events by time."""

    test_share: float = 0.1
    cut: datetime | None = None  # UTC


@dataclass(frozen=True)
class Ingest:
    """What reading tolerates: above this share of bad rows, from 0 to 1, the read fails."""

    bad_rows_share_max: float = 0.01


@dataclass(frozen=True)
class Dataset:
    """A dataset file's whole content, checked."""

    name: str
    folder: Path  # what the sources' paths are relative to
    events: tuple[EventSource, ...]  # may be none where there is an export
    interactions: Mapping[str, float]  # weight of each type, in the order of the file; a return's can be negative
    serving: Serving
    evaluation: Evaluation
    ingest: Ingest
    items: ItemSource | None
    users: UserSource | None
    export: str | None = None  # folder of `trunkshow export-events`, as written: relative to the dataset file


def load_dataset(path: Path) -> Dataset:
    """Read and check a dataset file; no source is opened.

    Raises:
        DatasetInvalid: The file cannot be read, is not TOML, or holds a wrong key or value.
    """
    top = TomlTable.load(path).with_keys(
        ("name", "events", "interactions", "serving", "evaluation", "ingest", "items", "users", "log")
    )
    interactions = _interactions(top)
    export = _export(top.table("log"))
    return Dataset(
        name=top.text("name", "the dataset's name, as text"),
        folder=path.parent,
        events=_event_sources(top, interactions) if "events" in top.values or export is None else (),
        interactions=interactions,
        serving=_serving(top.table("serving")),
        evaluation=_evaluation(top.table("evaluation")),
        ingest=_ingest(top.table("ingest")),
        items=_items(top.table("items")),
        users=_users(top.table("users")),
        export=export,
    )


def _interactions(top: TomlTable) -> Mapping[str, float]:
    table = top.table("interactions")
    if table is None or not table.values:
        raise top.wrong("interactions", "a table with the weight of each interaction type, such as purchase = 1.0")
    if len(table.values) > INTERACTIONS_MAX:
        raise top.wrong("interactions", f"at most {INTERACTIONS_MAX} interaction types")
    return {kind.strip(): table.number(kind, 0.0) for kind in table.values}


def _event_sources(top: TomlTable, interactions: Mapping[str, float]) -> tuple[EventSource, ...]:
    tables = top.tables("events", "at least one [[events]] table, with its path and columns")
    return tuple(_event_source(table, interactions) for table in tables)


def _export(table: TomlTable | None) -> str | None:
    if table is None:
        return None
    return table.with_keys(("export",)).text("export", "the folder of `trunkshow export-events`, relative to this file")


def _event_source(table: TomlTable, interactions: Mapping[str, float]) -> EventSource:
    table.with_keys(("path", "user", "item", "interaction", "interaction_type", "timestamp", "value", "separator"))
    column = table.text_or_none("interaction", COLUMN)
    kind = table.text_or_none("interaction_type", "the type of every event of this source, as text")
    if (column is None) == (kind is None):
        raise table.wrong("interaction", "either interaction (a column) or interaction_type (one type for all)")
    if kind is not None and kind not in interactions:
        raise table.wrong("interaction_type", f"one of [interactions]: {', '.join(interactions)}")
    return EventSource(
        path=table.text("path", PATH),
        user=table.text("user", COLUMN),
        item=table.text("item", COLUMN),
        interaction=column,
        interaction_type=kind,
        timestamp=table.text("timestamp", COLUMN),
        value=table.text_or_none("value", COLUMN),
        separator=table.character("separator", ","),
    )


def _items(table: TomlTable | None) -> ItemSource | None:
    if table is None:
        return None
    columns = ("title", "category", "available", "created_at", "occasions")
    table.with_keys(("path", "id", "attributes", "occasions_separator", "separator", *columns))
    named = {key: table.text_or_none(key, COLUMN) for key in columns}
    return ItemSource(
        path=table.text("path", PATH),
        id=table.text("id", COLUMN),
        attributes=table.texts("attributes", "a list of columns"),
        occasions_separator=table.character("occasions_separator", "|"),
        separator=table.character("separator", ","),
        **named,
    )


def _users(table: TomlTable | None) -> UserSource | None:
    if table is None:
        return None
    table.with_keys(("path", "id", "segment", "separator"))
    return UserSource(
        path=table.text("path", PATH),
        id=table.text("id", COLUMN),
        segment=table.texts("segment", "a column or a list of columns"),
        separator=table.character("separator", ","),
    )


def _serving(table: TomlTable | None) -> Serving:
    if table is None:
        return Serving()
    table.with_keys(("repeat", "new_arrival_days", "popularity_half_life_days"))
    return Serving(
        repeat=table.flag("repeat", Serving.repeat),
        new_arrival_days=table.number("new_arrival_days", Serving.new_arrival_days, low=0),
        popularity_half_life_days=table.number(
            "popularity_half_life_days", Serving.popularity_half_life_days, low=0.001
        ),
    )


def _evaluation(table: TomlTable | None) -> Evaluation:
    if table is None:
        return Evaluation()
    table.with_keys(("test_share", "cut"))
    share = table.number("test_share", Evaluation.test_share, low=0.001, high=0.9)
    return Evaluation(test_share=share, cut=_cut(table))


def _cut(table: TomlTable) -> datetime | None:
    cut = table.values.get("cut")
    if cut is None:
        return None
    # TOML has dates of its own; a person may well leave the quotes out.
    text = cut.isoformat() if isinstance(cut, date) else cut
    if not isinstance(text, str):
        raise table.wrong("cut", 'a date or a time, such as "2024-01-31"')
    instant = milliseconds(pl.Series([text]))[0]
    if instant is None:
        raise table.wrong("cut", TIMESTAMP_FORMS)
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=instant)


def _ingest(table: TomlTable | None) -> Ingest:
    if table is None:
        return Ingest()
    table.with_keys(("bad_rows_share_max",))
    return Ingest(table.number("bad_rows_share_max", Ingest.bad_rows_share_max, low=0, high=1))
