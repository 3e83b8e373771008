"""`trunkshow record-items`: tell a cluster of items that no build has seen yet, or withdraw them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cli import output
from cli.access import NOTHING, Access
from cli.ask import CONNECT_WITHIN_S, DEADLINE_MS_MAX, DEFAULT_TARGET, Json, Target
from cli.item_files import read_items
from cli.output import UsageError
from trunkshow.channel import RECORD_DEADLINE_MS
from trunkshow.errors import DeadlineExceeded, Overloaded, Unavailable
from trunkshow.items import RecordedItems

BATCH_ITEMS = 500
SHOWN_MAX = 10
"""Refused rows that are told; all are counted."""


@Parameter(name="*")
@dataclass(frozen=True)
class RecordItemsOptions:
    """Where items are recorded."""

    target: Target = DEFAULT_TARGET
    """Address of the router."""

    deadline_ms: float = RECORD_DEADLINE_MS
    """How long a call may take, in milliseconds."""

    access: Annotated[Access, Parameter(name="*")] = NOTHING
    """What the router is shown; the role of an operator is needed."""

    json: Json = False
    """Print the answer as JSON."""


DEFAULTS = RecordItemsOptions()


def record_items(file: Path, /, *, options: RecordItemsOptions = DEFAULTS) -> None:
    """Tell of new items: they are in new arrivals, and in slates of those whose taste it is, before any build.

    Args:
        file: .json, .jsonl, .csv or .parquet, with the fields id, title, category, available, created, occasions; every
            other one, or an object called attributes, is an attribute. available=false withdraws an item.
        options: where, and what is shown.
    """
    output.check_range("deadline-ms", options.deadline_ms, 1, DEADLINE_MS_MAX)
    items = read_items(file)
    if not items:
        raise UsageError(f"{file}: there are no items in it")
    answers: list[RecordedItems] = []
    with options.access.client(options.target) as client:
        client.connect(CONNECT_WITHIN_S)
        try:
            for start in range(0, len(items), BATCH_ITEMS):
                some = items[start : start + BATCH_ITEMS]
                answers.append(client.record_items(some, deadline_ms=options.deadline_ms))
        except (Unavailable, Overloaded, DeadlineExceeded) as error:
            done = sum(one.recorded for one in answers)
            raise UsageError(f"{error}; {done:,} items of {file} are recorded; run this again") from None
    _tell(file, answers, options)


def _tell(file: Path, answers: list[RecordedItems], options: RecordItemsOptions) -> None:
    recorded = sum(one.recorded for one in answers)
    refused = [
        (number * BATCH_ITEMS + one.index + 1, one.message.partition(".")[2] or one.message)
        for number, answer in enumerate(answers)
        for one in answer.refused
    ]
    watermark = next((one.watermark for one in reversed(answers) if one.watermark), "")
    if options.json:
        first = [{"row": row, "why": why} for row, why in refused[:SHOWN_MAX]]
        shown = {"recorded": recorded, "refused": len(refused), "first_refused": first, "watermark": watermark}
        output.show_json(shown)
    else:
        output.show(f"recorded {recorded:,} items" + (f"; their log is at {watermark}" if watermark else ""))
    if refused:
        told = "; ".join(f"row {row}: {why}" for row, why in refused[:SHOWN_MAX])
        more = f"; and {len(refused) - SHOWN_MAX:,} more" if len(refused) > SHOWN_MAX else ""
        raise UsageError(f"{file}: {len(refused):,} not recorded: {told}{more}")
