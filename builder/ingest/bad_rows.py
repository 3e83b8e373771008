"""Bad rows: counted by reason, the first few kept to be quoted, and past a share the read fails.

What makes a row bad is decided by the readers of the formats, and by `builder.events` and `builder.tables`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from builder.errors import TooManyBadRows
from builder.ingest.block import Block

MALFORMED = "malformed line"
EXAMPLES_MAX = 5
TEXT_CHARACTERS_MAX = 120


@dataclass(frozen=True)
class BadRow:
    """A row that could not be used.

    `row` is the line in the file, from 1 and with the header counted, for CSV (where a quoted field has line
    breaks: the row's first line) and JSON lines; in Parquet it is the row's index, from 0.
    """

    file: str
    row: int
    reason: str
    text: str


def place(file: str, row: int) -> str:
    """File and row in words: `events.csv line 18`, `events.parquet row 17 (from 0)`."""
    return f"{file} row {row} (from 0)" if file.lower().endswith(".parquet") else f"{file} line {row}"


def quoted(text: object) -> str:
    """A value for a one-line message: line breaks visible, and cut when long."""
    shown = str(text).replace("\r", "\\r").replace("\n", "\\n")
    return shown if len(shown) <= TEXT_CHARACTERS_MAX else shown[: TEXT_CHARACTERS_MAX - 1] + "…"


class BadRowTally:
    """Counts the rows read and the bad ones among them; its memory is bounded however many there are."""

    def __init__(self) -> None:
        self.rows_read = 0
        self.counts: Counter[str] = Counter()
        self.examples: list[BadRow] = []
        self._first: dict[str, BadRow] = {}

    def add(self, file: str, block: Block, reasons: pl.Series) -> None:
        """Add a block of a file; `reasons` (rows,) String says what is wrong with each row, or is null."""
        self.rows_read += block.frame.height + len(block.malformed)
        bad = reasons.is_not_null()
        self.counts.update(dict(reasons.filter(bad).value_counts().iter_rows()))
        self.counts.update({MALFORMED: len(block.malformed)} if block.malformed else {})
        # Of each reason the first is kept as well, since it may not be among the first few of all.
        quotable = (bad & ((bad.cum_sum() <= EXAMPLES_MAX) | reasons.is_first_distinct())).arg_true().to_list()
        found = [BadRow(file, int(block.rows[at]), reasons[at], _row_text(block.frame, at)) for at in quotable]
        found += [BadRow(file, row, MALFORMED, quoted(text)) for row, text in block.malformed[:EXAMPLES_MAX]]
        for row in sorted(found, key=lambda one: one.row):
            self._first.setdefault(row.reason, row)
            if len(self.examples) < EXAMPLES_MAX:
                self.examples.append(row)

    def extend(self, later: BadRowTally, shift: int) -> None:
        """Add the tally of what comes after, whose rows are so many lines further on than it says."""
        self.rows_read += later.rows_read
        self.counts.update(later.counts)
        for reason, row in later._first.items():
            self._first.setdefault(reason, replace(row, row=row.row + shift))
        more = later.examples[: EXAMPLES_MAX - len(self.examples)]
        self.examples += [replace(row, row=row.row + shift) for row in more]

    def by_reason(self) -> Mapping[str, int]:
        """Bad rows by reason, the commonest first; of equally common ones that which came first."""
        reasons = sorted(self._first, key=lambda reason: -self.counts[reason])
        return {reason: self.counts[reason] for reason in reasons}

    def check(self, share_max: float) -> None:
        """Fail if more than `share_max` (0 to 1) of the rows are bad.

        Raises:
            TooManyBadRows: Names the first file and row of the commonest reason.
        """
        bad = sum(self.counts.values())
        if not bad or bad <= share_max * self.rows_read:
            return
        reason, count = next(iter(self.by_reason().items()))
        first = self._first[reason]
        raise TooManyBadRows(
            f"{place(first.file, first.row)}: {reason}: {first.text}; {bad} of {self.rows_read} rows are bad "
            f"({bad / self.rows_read:.2%}, at most {share_max:.2%} may be), {count} for this reason; "
            "mend the source, or raise [ingest] bad_rows_share_max"
        )


def _row_text(frame: pl.DataFrame, at: int) -> str:
    fields = frame.row(at, named=True).items()
    return quoted(", ".join(f"{name}={'' if value is None else value}" for name, value in fields))
