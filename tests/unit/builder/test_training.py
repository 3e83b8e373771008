"""What models learn from: numbered by nothing but the data, and by nothing that comes after the cut."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import datasets
import numpy as np
import pytest
from datasets import DAY_MS, START_MS, Event, Item, Shop

from builder.dataset import load_dataset
from builder.events import read_events
from builder.tables import read_items, read_users
from builder.training import SEGMENT_USERS_MIN, Numbered, number
from trunkshow.models.protocol import Settings


def numbered(shop: Shop, folder: Path, *, days: float | None = None) -> Numbered:
    """A shop, numbered; only its first days where a number is given."""
    dataset = load_dataset(datasets.write(shop, folder))
    events, _ = read_events(dataset)
    items, users = read_items(dataset), read_users(dataset)
    up_to = None if days is None else events.times < START_MS + days * DAY_MS
    return number(dataset, events, items if up_to is None else None, users, Settings(), up_to=up_to)


def bought(user: str, item: str, day: int, interaction: str = "purchase") -> Event:
    """One event."""
    return Event(user, item, START_MS + day * DAY_MS, interaction)


def listed(item: str, **known: object) -> Item:
    """A row of the items table of which little is known."""
    plain = {"title": "", "category": "", "colour": "", "occasions": "", "available": True, "created_ms": START_MS}
    return Item(item, **{**plain, **known})  # type: ignore[arg-type]


def test_users_and_items_are_numbered_in_the_order_of_their_ids(tmp_path: Path) -> None:
    """Rows do not depend on who came first."""
    known = numbered(Shop((bought("zoe", "b", 0), bought("ann", "c", 1), bought("ann", "a", 2))), tmp_path)
    assert (list(known.user_ids), list(known.columns.ids)) == (["ann", "zoe"], ["a", "b", "c"])


def test_the_matrix_has_the_summed_weights(tmp_path: Path) -> None:
    """Twice bought, once returned, is once."""
    events = (bought("u", "a", 0), bought("u", "a", 1), bought("u", "a", 2, "return"), bought("u", "b", 3))
    assert numbered(Shop(events), tmp_path).training.matrix.toarray().tolist() == [[1, 1]]


@pytest.mark.parametrize("returns", [1, 2], ids=["all of it", "more than was bought"])
def test_what_was_returned_says_nothing_of_taste(tmp_path: Path, returns: int) -> None:
    """A sum of zero or less is no entry at all."""
    back = tuple(bought("u", "a", day, "return") for day in range(1, 1 + returns))
    assert numbered(Shop((bought("u", "a", 0), *back)), tmp_path).training.matrix.nnz == 0


def test_a_listed_item_that_nobody_bought_is_in_the_catalogue(tmp_path: Path) -> None:
    """New in the shop today."""
    known = numbered(Shop((bought("u", "b", 0),), (listed("a"), listed("b"))), tmp_path)
    assert list(known.columns.ids) == ["a", "b"]


def test_a_bought_item_that_is_not_listed_is_in_the_catalogue(tmp_path: Path) -> None:
    """Without metadata, called by its id, and available."""
    known = numbered(Shop((bought("u", "b", 0),), (listed("a", title="A"),)), tmp_path).columns
    assert (list(known.ids), list(known.titles), known.available.tolist()) == (["a", "b"], ["A", "b"], [True, True])


def test_metadata_finds_its_item_whatever_the_order_of_the_table(tmp_path: Path) -> None:
    """Titles, categories, attributes and availability stand in the items' rows."""
    items = (
        listed("c", title="C", category="late", colour="red", available=False),
        listed("a", title="A", category="early", colour="blue"),
    )
    known = numbered(Shop((bought("u", "b", 0),), items), tmp_path).columns
    assert list(known.titles) == ["A", "b", "C"]
    assert [known.category_names[code] if code >= 0 else None for code in known.categories] == ["early", None, "late"]
    colours = known.attribute_values["colour"]
    assert [colours[code] if code >= 0 else None for code in known.attributes["colour"]] == ["blue", None, "red"]
    assert known.available.tolist() == [True, True, False]


def test_an_item_is_as_old_as_the_table_says_or_as_its_first_event(tmp_path: Path) -> None:
    """In this order."""
    events = (bought("u", "a", 5), bought("u", "b", 7), bought("u", "b", 6))
    known = numbered(Shop(events, (listed("a", created_ms=START_MS + DAY_MS),)), tmp_path)
    assert ((known.training.created - START_MS) // DAY_MS).tolist() == [1, 6]


def test_occasions_hold_the_rows_of_their_items(tmp_path: Path) -> None:
    """An item may belong to several."""
    items = (listed("b", occasions="wedding|work"), listed("a", occasions="work"), listed("c"))
    known = numbered(Shop((bought("u", "a", 0),), items), tmp_path).training
    assert {name: rows.tolist() for name, rows in known.occasions.items()} == {"wedding": [1], "work": [0, 1]}


def shoppers(**counts: int) -> Shop:
    """As many users per segment."""
    users = [(f"{segment}-{number}", segment) for segment, count in counts.items() for number in range(count)]
    return Shop(tuple(bought(user, "a", 0) for user, _ in users), segments=tuple(users))


def test_segments_are_numbered_largest_first(tmp_path: Path) -> None:
    """Ties by name."""
    known = numbered(shoppers(b=SEGMENT_USERS_MIN, a=SEGMENT_USERS_MIN, big=SEGMENT_USERS_MIN + 5), tmp_path)
    assert known.training.segment_names == ("big", "a", "b")


def test_a_segment_of_a_few_users_is_none(tmp_path: Path) -> None:
    """Its popular list would be noise, and close to naming people."""
    known = numbered(shoppers(few=SEGMENT_USERS_MIN - 1, many=SEGMENT_USERS_MIN), tmp_path).training
    assert known.segment_names == ("many",)
    assert np.count_nonzero(known.segments == -1) == SEGMENT_USERS_MIN - 1


def test_a_user_of_the_table_without_events_is_nobody(tmp_path: Path) -> None:
    """Users are those with events."""
    known = numbered(Shop((bought("u", "a", 0),), segments=(("v", "x"), ("u", "x"))), tmp_path)
    assert list(known.user_ids) == ["u"]


def test_the_last_event_is_now(tmp_path: Path) -> None:
    """The moment that the data ends, not the one that it is read at."""
    assert numbered(Shop((bought("u", "a", 3), bought("u", "a", 9))), tmp_path).training.now == START_MS + 9 * DAY_MS


def test_what_comes_after_the_cut_cannot_reach_the_training(tmp_path: Path) -> None:
    """Other events, new users and new items there leave every array as it was."""
    shop = datasets.clustered(40, 30, 8)
    early = tuple(event for event in shop.events if event.time_ms < START_MS + 60 * DAY_MS)
    late = tuple(bought(f"aaa-{number}", f"aaa-{number % 7}", 60 + number % 30) for number in range(50))
    one = numbered(shop, tmp_path / "one", days=60)
    other = numbered(Shop((*late, *early), shop.items, shop.segments), tmp_path / "other", days=60)
    assert described(one) == described(other)


def described(known: Numbered) -> dict[str, object]:
    """Everything that models see, as bytes."""
    seen = {field.name: getattr(known.training, field.name) for field in fields(known.training)}
    seen.pop("progress")
    matrix = seen.pop("matrix")
    arrays = {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr, **seen}
    return {
        "user_ids": list(known.user_ids),
        "item_ids": list(known.columns.ids),
        **{name: one.tobytes() if isinstance(one, np.ndarray) else one for name, one in arrays.items()},
    }


def test_only_the_largest_segments_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each costs a popular list in every process that serves."""
    monkeypatch.setattr("builder.training.SEGMENTS_MAX", 1)
    counts = {"large": SEGMENT_USERS_MIN + 1, "small": SEGMENT_USERS_MIN}
    users = [(f"{segment}-{number}", segment) for segment, count in counts.items() for number in range(count)]
    known = numbered(Shop(tuple(bought(user, "a", 0) for user, _ in users), segments=tuple(users)), tmp_path).training
    assert known.segment_names == ("large",)
    assert np.count_nonzero(known.segments == -1) == SEGMENT_USERS_MIN
