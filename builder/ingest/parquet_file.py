"""Parquet: columns keep their own types; rows are counted from 0."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from builder.errors import DatasetInvalid
from builder.ingest.block import BLOCK_ROWS, Block, column_missing


def read_parquet_blocks(
    path: Path, file: str, columns: Sequence[str], lists: Collection[str], first: int = 0, stop: int | None = None
) -> Iterator[Block]:
    """Read a Parquet file, or its rows from `first` to before `stop`; else as `sources.read_blocks`."""
    try:
        # Neither a bracket in the name nor a folder called a=b may mean more than it says.
        scan = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        schema = scan.collect_schema()
        _check_columns(schema, file, columns, lists)
        rows = int(scan.select(pl.len()).collect().item()) if stop is None else stop
        for start in range(first, rows, BLOCK_ROWS):
            count = min(BLOCK_ROWS, rows - start)
            frame = scan.select(_plain(name, schema[name]) for name in columns).slice(start, count).collect()
            yield Block(frame, np.arange(start, start + frame.height))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:  # some damage makes polars panic
        reason = str(error).splitlines()[0]
        raise DatasetInvalid(f"{file}: is not a readable Parquet file ({reason}); write it again") from error


def _check_columns(schema: pl.Schema, file: str, columns: Sequence[str], lists: Collection[str]) -> None:
    for column in columns:
        if column not in schema:
            raise column_missing(file, column, list(schema))
        dtype = schema[column]
        if (dtype.is_nested() and not (dtype == pl.List and column in lists)) or isinstance(
            dtype, pl.Duration | pl.Time
        ):
            raise DatasetInvalid(f'{file}: column "{column}" is of type {dtype}; write it as text or numbers')


def _plain(name: str, dtype: pl.DataType) -> pl.Expr:
    # Old writers store text as bytes.
    return pl.col(name).cast(pl.String) if dtype == pl.Binary else pl.col(name)
