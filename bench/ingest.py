"""Reading ten million events from CSV: rows per second, and peak memory beside the limit of 4 GiB.

The file is made up in a temporary folder (500,000 users, 100,000 items, Zipf on both sides; about 370 MB) and read
by `builder.events.read_events` in a process of its own, whose peak memory is thus the reader's alone.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bench import tables

ROWS = 10_000_000
USERS = 500_000
ITEMS = 100_000
LIMIT_BYTES = 4 << 30

_BLOCK = 1_000_000
_DATASET = """\
name = "ten-million"

[[events]]
path = "events.csv"
user = "user_id"
item = "item_id"
interaction = "interaction"
timestamp = "timestamp"
value = "value"

[interactions]
purchase = 1.0
return = -1.0
"""


def write(folder: Path, rows: int) -> Path:
    """Make up the data set; the path of its dataset file."""
    draw = np.random.default_rng(0)
    with (folder / "events.csv").open("wb") as file:
        for at in range(0, rows, _BLOCK):
            _block(draw, min(_BLOCK, rows - at)).write_csv(file, include_header=at == 0)
    (folder / "dataset.toml").write_text(_DATASET, encoding="utf-8")
    return folder / "dataset.toml"


def read(dataset: Path) -> dict[str, Any]:
    """Read it all; what that took of this process."""
    from builder.dataset import load_dataset
    from builder.events import read_events

    before = _peak_bytes()
    began = time.perf_counter()
    events, report = read_events(load_dataset(dataset))
    took = time.perf_counter() - began
    return {
        "rows": report.rows_read,
        "events": len(events),
        "users": len(events.user_ids),
        "items": len(events.item_ids),
        "seconds": took,
        "rows_per_s": report.rows_read / took,
        "peak_rss_bytes": _peak_bytes(),
        "start_rss_bytes": before,
        "limit_bytes": LIMIT_BYTES,
        "within_limit": _peak_bytes() <= LIMIT_BYTES,
    }


def _block(draw: np.random.Generator, rows: int) -> pl.DataFrame:
    times = draw.integers(1_600_000_000, 1_700_000_000, rows)
    return pl.DataFrame(
        {
            "user_id": _skewed(draw, USERS, rows),
            "item_id": _skewed(draw, ITEMS, rows),
            "interaction": pl.Series(np.where(draw.random(rows) < 0.95, "purchase", "return")),
            "timestamp": pl.from_epoch(pl.Series(times)).dt.strftime("%FT%TZ"),
            "value": draw.integers(1, 100, rows) / 4,
        }
    )


def _skewed(draw: np.random.Generator, size: int, rows: int) -> pl.Series:
    # Inverse transform of a density that falls with the square root of the rank: everyone occurs, few often.
    return pl.Series((draw.random(rows) ** 2 * size).astype(np.int64)).cast(pl.String).str.zfill(8)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(1, mp_context=spawn) as pool:
        result = pool.submit(read, write(Path(folder), chosen.rows)).result()
    if chosen.json:
        json.dump({"machine": tables.machine(), **result}, sys.stdout, indent=2)
        print()
        return
    print(f"{tables.machine()}\n")
    tables.show(
        ("rows", "users", "items", "seconds", "rows/s", "peak GiB", "limit GiB"),
        [
            (
                result["rows"],
                result["users"],
                result["items"],
                result["seconds"],
                result["rows_per_s"],
                result["peak_rss_bytes"] / 2**30,
                result["limit_bytes"] / 2**30,
            )
        ],
    )
    if not result["within_limit"]:
        sys.exit("over the limit")


if __name__ == "__main__":
    main()
