"""`trunkshow record`: one event from the command line, or a file of them, into a cluster's event log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from cli import output
from cli.access import NOTHING, Access
from cli.ask import CONNECT_WITHIN_S, DEADLINE_MS_MAX, DEFAULT_TARGET, Json, Target
from cli.event_files import EventFile, Row, event_of
from cli.output import UsageError
from cli.progress import Told, progress
from trunkshow.channel import RECORD_DEADLINE_MS
from trunkshow.client import Client, Recorded
from trunkshow.errors import DeadlineExceeded, Overloaded, Unavailable
from trunkshow.events import Event, grouped

BATCH_EVENTS = 500
SHOWN_MAX = 10
"""Refused rows that are told; all are counted."""


@Parameter(name="*")
@dataclass(frozen=True)
class RecordOptions:
    """What is recorded, and where."""

    target: Target = DEFAULT_TARGET
    """Address of the router."""

    file: Path | None = None
    """Events to record: .jsonl or .csv, or either with .gz, or .parquet, with the fields user_id, item_id, interaction,
    and, where there are, timestamp, event_id, value, request_id, carousel, position, channel, context (not in CSV)."""

    time: str = ""
    """When it was done: ISO 8601, or seconds since 1970; now where empty."""

    event_id: str = ""
    """Id of the event; the same again is the same event. Made where empty."""

    value: float | None = None
    """In the shop's currency, or a rating."""

    request_id: str = ""
    """Of the receipt of the slate in which the item was shown."""

    carousel: str = ""
    """In that slate."""

    position: int | None = None
    """In that carousel, from 0."""

    channel: str = ""
    """Where it was done: web, app, store or email."""

    context: Annotated[tuple[str, ...], Parameter(show_default=False, metavar="NAME=VALUE")] = ()
    """Anything else, such as query=hats of a search; may be repeated."""

    deadline_ms: float = RECORD_DEADLINE_MS
    """How long a call may take, in milliseconds; the router gives its log 2,000, and in the rest it is asked again."""

    access: Annotated[Access, Parameter(name="*")] = NOTHING
    """What the router is shown."""

    json: Json = False
    """Print the answer as JSON."""

    def event(self, user: str, item: str, interaction: str) -> Event:
        """The one event that the options tell of."""
        pairs = [one.partition("=") for one in self.context]
        if not all(name and equals for name, equals, _ in pairs):
            raise UsageError("--context is written NAME=VALUE")
        told: dict[str, Any] = {
            "user_id": user,
            "item_id": item,
            "interaction": interaction,
            "timestamp": self.time,
            "event_id": self.event_id,
            "value": self.value,
            "request_id": self.request_id,
            "carousel": self.carousel,
            "position": self.position,
            "channel": self.channel,
            "context": {name: value for name, _, value in pairs},
        }
        return event_of({name: value for name, value in told.items() if value not in (None, "", {})}, 1)


RECORD = RecordOptions()


def record(user: str = "", item: str = "", interaction: str = "", /, *, options: RecordOptions = RECORD) -> None:
    """Record what a shopper did, or a file of such events; the next slate knows of it within a second.

    Args:
        user: who did it.
        item: with what; a search may have "".
        interaction: view, click, cart, order, rental, return, like, hide, search, impression or content-impression.
        options: what else is known, or the file.
    """
    output.check_range("deadline-ms", options.deadline_ms, 1, DEADLINE_MS_MAX)
    if bool(options.file) == bool(user or item or interaction):
        raise UsageError("write USER ITEM INTERACTION, or --file FILE, and not both")
    event = None if options.file else options.event(user, item, interaction)
    with options.access.client(options.target) as client:
        client.connect(CONNECT_WITHIN_S)
        done = Done()
        if event is not None:
            done.add([Row(1, event)], client.record(event, deadline_ms=options.deadline_ms))
        elif options.file is not None:
            _record_file(client, options.file, options, done)
    _tell(done, options)


@dataclass
class Done:
    """What became of it so far.

    Attributes:
        recorded: events.
        refused: rows that were not recorded.
        first_refused: line and reason of some of them.
        watermark: of the log with the last of them.
    """

    recorded: int = 0
    refused: int = 0
    first_refused: list[tuple[int, str]] = field(default_factory=list)
    watermark: str = ""

    def add(self, rows: list[Row], answer: Recorded) -> None:
        """What the router said of these."""
        self.recorded += answer.recorded
        self.watermark = answer.watermark or self.watermark
        for one in answer.refused:
            self.refuse(rows[one.index].line, one.message.partition(".")[2] or one.message)

    def refuse(self, line: int, why: str) -> None:
        """One more that was not recorded."""
        self.refused += 1
        if len(self.first_refused) < SHOWN_MAX:
            self.first_refused.append((line, why))


def _record_file(client: Client, path: Path, options: RecordOptions, done: Done) -> None:
    file = EventFile(path)
    try:
        with progress(quiet=options.json, work="record") as told:
            for rows in _batches(file, done, told):
                answer = client.record([one.event for one in rows if one.event], deadline_ms=options.deadline_ms)
                done.add(rows, answer)
                told(str(path), file.read, file.size + 1)
            told(str(path), file.size + 1, file.size + 1)
    except (Unavailable, Overloaded, DeadlineExceeded) as error:
        raise UsageError(
            f"{error}; {done.recorded:,} events of {path} are recorded, and rows with a time or an id count once "
            "however often: run this again"
        ) from None
    finally:
        file.close()


def _batches(file: EventFile, done: Done, told: Told) -> Iterator[list[Row]]:
    told(str(file.path), 0, file.size + 1)
    for some in grouped(file.rows(), BATCH_EVENTS, lambda row: row.size_bytes):
        for one in some:
            if one.event is None:
                done.refuse(one.line, one.why)
        if good := [one for one in some if one.event is not None]:
            yield good


def _tell(done: Done, options: RecordOptions) -> None:
    if options.json:
        first = [{"line": line, "why": why} for line, why in done.first_refused]
        shown = {"recorded": done.recorded, "refused": done.refused, "first_refused": first}
        output.show_json({**shown, "watermark": done.watermark})
    else:
        output.show(
            f"recorded {done.recorded:,} events" + (f"; the log is at {done.watermark}" if done.watermark else "")
        )
    if done.refused:
        where = f"{options.file} line " if options.file else ""
        told = "; ".join(f"{where}{line}: {why}" if where else why for line, why in done.first_refused)
        more = (
            f"; and {done.refused - len(done.first_refused):,} more" if done.refused > len(done.first_refused) else ""
        )
        raise UsageError(f"{done.refused:,} not recorded: {told}{more}")
