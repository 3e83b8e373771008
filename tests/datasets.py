"""Small shops to build snapshots from: made of one seed, with tastes that a model can find.

A shop is plain rows, so that a test can change some of them and write the rest as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from builder.pipeline import BuildReport

TASTES = 4
DAY_MS = 86_400_000
START_MS = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp() * 1000)
DAYS = 100
OWN_TASTE_SHARE = 0.85
OCCASIONS = ("wedding", "work week")
COLOURS = ("red", "green", "blue")
SEGMENTS = ("loyal", "new")


@dataclass(frozen=True)
class Event:
    """One row of the events file."""

    user: str
    item: str
    time_ms: int
    interaction: str = "purchase"


@dataclass(frozen=True)
class Item:
    """One row of the items table."""

    id: str
    title: str
    category: str
    colour: str
    occasions: str
    available: bool
    created_ms: int


@dataclass(frozen=True)
class Shop:
    """Everything that a data set is written from.

    Attributes:
        events: in any order.
        items: of the items table; no table is written where there are none.
        segments: of the users table, by user id; no table is written where there are none.
    """

    events: tuple[Event, ...]
    items: tuple[Item, ...] = ()
    segments: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Built:
    """A shop, and what became of it.

    Attributes:
        shop: the rows.
        dataset: the data set file.
        store: of the published snapshot.
        report: of the build.
        told: what the build told of its progress.
    """

    shop: Shop
    dataset: Path
    store: Path
    report: BuildReport
    told: tuple[tuple[str, int, int], ...]


def user_id(number: int) -> str:
    """What the shop calls its users."""
    return f"user-{number:04d}"


def item_id(number: int) -> str:
    """What the shop calls its items."""
    return f"item-{number:04d}"


def taste_of_user(user: str) -> int:
    """The taste that a user was made with."""
    return int(user.removeprefix("user-")) % TASTES


def taste_of_item(item: str) -> int:
    """The taste that an item was made for."""
    return int(item.removeprefix("item-")) % TASTES


def clustered(users: int = 400, items: int = 300, events_per_user: int = 24, seed: int = 7) -> Shop:
    """A shop whose users mostly buy what was made for their taste; every tenth item is out of stock."""
    rng = np.random.default_rng(seed)
    wanted = 1 / (1 + np.arange(items // TASTES)) ** 0.5
    events = []
    for user in range(users):
        for _ in range(events_per_user):
            own = rng.random() < OWN_TASTE_SHARE
            taste = user % TASTES if own else int(rng.integers(TASTES))
            item = TASTES * int(rng.choice(len(wanted), p=wanted / wanted.sum())) + taste
            events.append(Event(user_id(user), item_id(item), START_MS + int(rng.integers(DAYS * DAY_MS))))
    return Shop(
        tuple(events),
        tuple(_item(number) for number in range(items)),
        tuple((user_id(number), SEGMENTS[number % len(SEGMENTS)]) for number in range(users)),
    )


def _item(number: int) -> Item:
    return Item(
        id=item_id(number),
        title=f"Article № {number}",
        category=f"taste {number % TASTES}",
        colour=COLOURS[number % len(COLOURS)],
        occasions="|".join(OCCASIONS[: number % (len(OCCASIONS) + 1)]),
        available=number % 10 != 9,
        created_ms=START_MS + (number % DAYS) * DAY_MS,
    )


def write(shop: Shop, folder: Path, *, form: str = "csv", extra: str = "", serving: str = "repeat = false") -> Path:
    """Write the shop's files and the data set file that maps them; return the latter.

    Args:
        shop: what to write.
        folder: to be made.
        form: `csv` or `parquet`.
        extra: more tables of the data set file.
        serving: what stands in its `[serving]`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write(_event_frame(shop.events), folder / f"events.{form}")
    tables = ""
    if shop.items:
        _write(_item_frame(shop.items), folder / f"items.{form}")
        tables += f"""
[items]
path = "items.{form}"
id = "item_id"
title = "title"
category = "category"
attributes = ["colour"]
available = "available"
created_at = "created"
occasions = "occasions"
"""
    if shop.segments:
        users = pl.DataFrame(shop.segments, schema=["user_id", "segment"], orient="row")
        _write(users, folder / f"users.{form}")
        tables += f"""
[users]
path = "users.{form}"
id = "user_id"
segment = "segment"
"""
    dataset = folder / "shop.toml"
    dataset.write_text(
        f"""
name = "shop"
[[events]]
path = "events.{form}"
user = "user_id"
item = "item_id"
interaction = "interaction"
timestamp = "timestamp"
[interactions]
purchase = 1.0
return = -1.0
[serving]
{serving}
{tables}
{extra}
""",
        encoding="utf-8",
    )
    return dataset


def _event_frame(events: Sequence[Event]) -> pl.DataFrame:
    rows = [(event.user, event.item, event.interaction, event.time_ms) for event in events]
    return pl.DataFrame(rows, schema=["user_id", "item_id", "interaction", "timestamp"], orient="row")


def _item_frame(items: Sequence[Item]) -> pl.DataFrame:
    rows = [
        (item.id, item.title, item.category, item.colour, item.occasions, item.available, item.created_ms)
        for item in items
    ]
    columns = ["item_id", "title", "category", "colour", "occasions", "available", "created"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def _write(frame: pl.DataFrame, path: Path) -> None:
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    else:
        frame.write_csv(path)
