"""Watches a file's timestamps: a column of which nothing at all can be read is the wrong column, or form."""

from __future__ import annotations

import polars as pl

from builder.errors import TimestampUnreadable
from builder.ingest.bad_rows import place, quoted
from builder.ingest.block import Block
from builder.ingest.values import TIMESTAMP_FORMS


class TimesSeen:
    """Whether any timestamp of a file could be read, and the first that could not."""

    def __init__(self, file: str, column: str) -> None:
        self._file = file
        self._column = column
        self._any_read = False
        self._unread: tuple[int, str] | None = None

    def add(self, block: Block, times: pl.Series, given: pl.Series) -> None:
        """Add a block's instants (rows,) and whether each row had a timestamp (rows,)."""
        self._any_read = self._any_read or times.null_count() < len(times)
        if self._unread is None and not self._any_read:
            unread = (times.is_null() & given).arg_true()
            if len(unread):
                at = unread[0]
                self._unread = int(block.rows[at]), quoted(block.frame[self._column][at])

    def extend(self, later: TimesSeen, shift: int) -> None:
        """Add what was seen of a later part of the same file, whose rows are so many lines further on."""
        self._any_read = self._any_read or later._any_read
        if self._unread is None and later._unread is not None:
            row, text = later._unread
            self._unread = row + shift, text

    def check(self) -> None:
        """Fail if there were timestamps and none was read.

        Raises:
            TimestampUnreadable: Quotes the first, and says which forms are read.
        """
        if self._unread is not None and not self._any_read:
            row, text = self._unread
            where = f'{place(self._file, row)}: "{text}"'
            raise TimestampUnreadable(
                f'{where} in column "{self._column}" is no timestamp, and no other row has one; write {TIMESTAMP_FORMS}'
            )
