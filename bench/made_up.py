"""Made-up events as a data set: an events file in any form that builds read, and the dataset file that maps it."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from builder.events import Events

ROW_GROUP = 1_000_000
"""Rows of Parquet that are read at once."""

_DATASET = """\
name = "{name}"

[[events]]
path = "events.{form}"
user = "user"
item = "item"
interaction_type = "purchase"
timestamp = "time"

[interactions]
purchase = 1.0

[serving]
repeat = false

[evaluation]
test_share = 0.1
"""


def write(folder: Path, name: str, events: pl.DataFrame, form: str = "parquet") -> Path:
    """Write events as CSV, JSON lines (`jsonl`) or Parquet; the path of the dataset file.

    Args:
        folder: made where it is not there.
        name: of the data set.
        events: columns user, item, and time in seconds.
        form: of the file.
    """
    dataset = dataset_file(folder, name, form)
    path = folder / f"events.{form}"
    if form == "parquet":
        events.write_parquet(path, row_group_size=ROW_GROUP)
    elif form == "jsonl":
        events.write_ndjson(path)
    else:
        events.write_csv(path)
    return dataset


def dataset_file(folder: Path, name: str, form: str = "parquet") -> Path:
    """Write the dataset file alone."""
    folder.mkdir(parents=True, exist_ok=True)
    dataset = folder / "dataset.toml"
    dataset.write_text(_DATASET.format(name=name, form=form), encoding="utf-8")
    return dataset


def frame_of(events: Events) -> pl.DataFrame:
    """Events as a file has them."""
    return pl.DataFrame(
        {
            "user": events.user_ids.gather(events.users),
            "item": events.item_ids.gather(events.items),
            "time": events.times // 1000,
        }
    )
