"""A block: as much of a source file as is read at once, and what every reader gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from builder.errors import ColumnMissing

# Bounds the memory of a read, however large the file is.
BLOCK_BYTES = 16 * 1024 * 1024
BLOCK_ROWS = 500_000


@dataclass(frozen=True)
class Block:
    """Some consecutive rows of a file: the asked columns as they are there, and lines that are no rows."""

    frame: pl.DataFrame  # (rows,) the asked columns; CSV and JSON lines give String, Parquet its own types
    rows: NDArray[np.int64]  # (rows,) where each is in the file, as `BadRow.row` counts
    malformed: Sequence[tuple[int, str]] = ()  # (row, text) of each, ascending


def text_frame(columns: Sequence[str], records: Sequence[Sequence[str | None]]) -> pl.DataFrame:
    """Records of fields as a frame of String columns."""
    fields = zip(*records, strict=True) if records else [()] * len(columns)
    return pl.DataFrame(
        [pl.Series(name, list(field), dtype=pl.String) for name, field in zip(columns, fields, strict=True)]
    )


def column_missing(file: str, column: str, has: Sequence[str]) -> ColumnMissing:
    """The error for a column that the dataset names and the file has not."""
    return ColumnMissing(
        f'{file}: has no column "{column}"; it has {", ".join(has) or "none"}; correct the name in the dataset file'
    )
