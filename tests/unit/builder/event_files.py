"""Small files of events in every format, and what is read from them. Not a test."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from builder.dataset import load_dataset
from builder.events import Events, IngestReport, read_events

FAR_S = 1e11  # when they are built: nothing that can be written is in the future of that
HEADER = "user_id,item_id,interaction,timestamp,value\n"
Row = tuple[str, str, str, str, str | None]
same_folder = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(
    folder: Path,
    path: str = "events.csv",
    *,
    source: str = "",
    extra: str = "",
    interaction: str = 'interaction = "interaction"',
    **options: Any,
) -> tuple[Events, IngestReport]:
    (folder / "shop.toml").write_text(
        f"""
name = "shop"
[[events]]
path = "{path}"
user = "user_id"
item = "item_id"
{interaction}
timestamp = "timestamp"
value = "value"
{source}
[interactions]
purchase = 1.0
return = -1.0
{extra}
""",
        encoding="utf-8",
    )
    return read_events(load_dataset(folder / "shop.toml"), **{"wall": lambda: FAR_S, **options})


def read_csv(folder: Path, rows: str, *, header: str = HEADER, **options: Any) -> tuple[Events, IngestReport]:
    (folder / "events.csv").write_bytes((header + rows).encode())
    return read(folder, **options)


def lenient(share: float = 1.0) -> str:
    return f"[ingest]\nbad_rows_share_max = {share}"


def plain(events: Events) -> list[tuple[str, str, str, int, float | None]]:
    """Events as rows that a test can write down."""
    return [
        (
            events.user_ids[int(user)],
            events.item_ids[int(item)],
            events.kind_names[int(kind)],
            int(time),
            None if np.isnan(value) else float(value),
        )
        for user, item, kind, time, value in zip(
            events.users, events.items, events.kinds, events.times, events.values, strict=True
        )
    ]


def assert_same(one: Events, other: Events) -> None:
    for name in ("users", "items", "kinds", "times", "values"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.user_ids.equals(other.user_ids)
    assert one.item_ids.equals(other.item_ids)


identifiers = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=6)
event_rows = st.lists(
    st.tuples(
        identifiers,
        identifiers,
        st.sampled_from(["purchase", "return"]),
        st.integers(2 * 10**9, 3 * 10**9).map(str),
        st.none() | st.integers(-99, 99).map(lambda number: str(number / 4)),
    ),
    min_size=1,
    max_size=12,
)
COLUMNS = ("user_id", "item_id", "interaction", "timestamp", "value")


def as_csv(rows: Sequence[Row], quote: bool = False) -> bytes:
    table = pl.DataFrame(rows, schema=list(COLUMNS), orient="row")
    return table.write_csv(quote_style="always" if quote else "necessary").encode()


def as_json(rows: Sequence[Row]) -> bytes:
    return "".join(json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n" for row in rows).encode()


def write_parquet(path: Path, rows: Sequence[Row]) -> None:
    table = pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")
    table.with_columns(pl.col("timestamp").cast(pl.Int64), pl.col("value").cast(pl.Float64)).write_parquet(path)
