"""Rows of a Parquet file as fields of an event, some at a time: for `cli.event_files`.

Columns have the names of the contract, or `user` and `item`, as `trunkshow export-events` writes them; a context may be
JSON text, as there. What a row may hold is left to `cli.event_files`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from cli.output import UsageError

ROWS_AT_ONCE = 10_000
SAME = {"user": "user_id", "item": "item_id"}


class ParquetRows:
    """A file, open.

    Attributes:
        done: rows that were given.
        count: rows of the file.

    Raises:
        UsageError: it is no Parquet, or cannot be read, or what reads it is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            import polars as pl
        except ImportError as error:
            raise UsageError(
                f"{path}: Parquet needs {error.name}; install trunkshow[builder], or write .jsonl"
            ) from error
        self._path, self._errors = path, (pl.exceptions.PolarsError, OSError)
        self.done = 0
        try:
            self._frame = pl.scan_parquet(path, glob=False, hive_partitioning=False)
            self.count = int(self._frame.select(pl.len()).collect().item())
        except self._errors as error:
            raise UsageError(f"{path}: {error!s:.200}") from None

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any] | str]]:
        """Numbers of rows from 1, and what is in them; what is null is left out."""
        while self.done < self.count:
            try:
                part = self._frame.slice(self.done, ROWS_AT_ONCE).collect()
            except self._errors as error:
                raise UsageError(f"{self._path}: {error!s:.200}") from None
            for row in part.iter_rows(named=True):
                self.done += 1
                yield self.done, _fields(row)


def _fields(row: dict[str, Any]) -> dict[str, Any] | str:
    """By name; in words what is wrong with the row, where something is."""
    fields = {SAME.get(name, name): value for name, value in row.items() if value is not None}
    if isinstance(fields.get("timestamp"), datetime):
        fields["timestamp"] = fields["timestamp"].isoformat()
    if isinstance(fields.get("context"), str):
        try:
            fields["context"] = json.loads(fields["context"])
        except (ValueError, RecursionError) as error:
            return f"context: {error}"
    return fields
