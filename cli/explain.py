"""`trunkshow explain-receipt`: what an answer says of itself, told to a person.

The meanings are one table, which docs/receipts.md shows too; a test holds the two together. The receipt comes from a
file, from another command's JSON, or from a request made here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cli import output
from cli.ask import RECOMMEND, RecommendOptions, ask
from cli.output import UsageError
from cli.pictures import RUNG_STYLES, bar, ladder
from cli.render import titled
from trunkshow.receipts import Attempt, Effort, Outcome, Reason, Receipt, Rung

RECEIPT_BYTES_MAX = 16 << 20


class Meaning(NamedTuple):
    """What something in a receipt stands for, and what its reader may do."""

    means: str
    do: str


NOTHING = "Nothing."

RUNGS: Mapping[Rung, Meaning] = {
    Rung.FRESH: Meaning("The current snapshot, with the user's newest events folded in.", NOTHING),
    Rung.SNAPSHOT: Meaning("The snapshot that is being served, made for this user.", NOTHING),
    Rung.PREVIOUS: Meaning(
        "The snapshot before the current one: the current one's home of this user did not answer.",
        "Look at the attempts, and at `trunkshow status`: shards that hold the user's partition are down or late.",
    ),
    Rung.STAND_IN: Meaning(
        "A compact copy of the user, kept by another shard: no shard with the user's home answered.",
        "Bring the home's shards back; `trunkshow status` shows which partitions lack a holder.",
    ),
    Rung.SEGMENT: Meaning(
        "What is popular in the user's segment, from the router's own memory: no shard answered in time.",
        "As for STAND_IN; with REASON_OVERLOADED, add routers or shards.",
    ),
    Rung.POPULAR: Meaning(
        "What is popular with everyone, from the router's own memory.",
        "For a stranger with nothing in hand this is the best there is; otherwise as for SEGMENT.",
    ),
}

REASONS: Mapping[Reason, Meaning] = {
    Reason.USER_UNKNOWN: Meaning(
        "No snapshot has seen this user, nor has the event log anything of them; or they asked to be forgotten, and "
        "have done nothing since.",
        "Record what they do: they are known by it at once where routers and shards have `--log`, else from the next "
        "build on.",
    ),
    Reason.NOTHING_IN_HAND: Meaning(
        "The user is unknown and no item came with the request.", "Send the session's or the page's items."
    ),
    Reason.FOLDED_IN: Meaning("The user's taste was solved from the items in the request.", NOTHING),
    Reason.CONTEXT_ITEM_UNKNOWN: Meaning(
        "An item of the request is not in the catalogue of the snapshot.", "Check the id, or build a newer snapshot."
    ),
    Reason.NO_REPLICA: Meaning(
        "No shard that is up has the partition warm.", "Start the missing shards; `trunkshow status` names them."
    ),
    Reason.SHARD_FAILED: Meaning("Every shard that was asked answered with an error.", "Read those shards' logs."),
    Reason.SHARD_LATE: Meaning(
        "The shards had not answered when their time was up.", "Give a longer deadline, or add shards."
    ),
    Reason.PARTITION_MISSING: Meaning("Of several partitions asked, some did not answer.", "As for SHARD_LATE."),
    Reason.CAROUSEL_EMPTY: Meaning(
        "A carousel had nothing to show, and was replaced or left out.", "Loosen the filters, if there are any."
    ),
    Reason.MODEL_FAILED: Meaning("A model raised an error.", "The shard's log has its traceback (`model.failed`)."),
    Reason.SNAPSHOT_MISMATCH: Meaning(
        "Shards that are up serve other snapshots than the router. Of one of a batch without a slate: it named what "
        "only a version knew that was rolled back meanwhile.",
        "Wait for the swap, or look for a stuck shard.",
    ),
    Reason.MODEL_LATE: Meaning("A plugged-in model had not answered in its time.", "Make the model faster."),
    Reason.MODEL_NONSENSE: Meaning(
        "A model proposed items that do not exist, or scores that are no numbers.", "Mend the model."
    ),
    Reason.CAROUSEL_SHORT: Meaning("A model proposed fewer than half of the items asked for.", "Mend the model."),
    Reason.OVERLOADED: Meaning(
        "More to do than could be done: the router used its own lists at once, or a shard refused the work.",
        "Add routers or shards; an attempt that had too much to do was a shard's.",
    ),
    Reason.REDUCED_EFFORT: Meaning(
        "Time was short: the shard looked at fewer candidates.", "Give a longer deadline, or add shards."
    ),
    Reason.CANARY: Meaning("This user is among those to whom a new snapshot is shown first.", NOTHING),
    Reason.STORE_UNREACHABLE: Meaning(
        "The snapshot store does not answer; the router serves from its own disk.", "Bring the store back."
    ),
    Reason.PARTIAL_ABORTED: Meaning(
        "This request of a batch asked for an error rather than for what could be had.", "Ask again, or allow less."
    ),
    Reason.ROUTER_FAILED: Meaning(
        "The router itself failed in making the slate, and used its own lists.",
        "Report the traceback in the router's log (`slate.broke`).",
    ),
    Reason.NOT_AS_FRESH: Meaning(
        "Events up to the watermark that was asked for had not arrived in time.",
        "Ask again, or look at the shards' lag.",
    ),
}

OUTCOMES: Mapping[Outcome, str] = {
    Outcome.UNSPECIFIED: "of unknown outcome",
    Outcome.ANSWERED: "answered",
    Outcome.FAILED: "failed",
    Outcome.LATE: "was late",
    Outcome.CANCELLED: "was cancelled, another was faster",
    Outcome.NOT_HELD: "does not hold that partition",
    Outcome.OVERLOADED: "had too much to do",
}

EFFORTS: Mapping[Effort, str] = {
    Effort.UNSPECIFIED: "no shard's work is in it",
    Effort.FULL: "full",
    Effort.REDUCED: "reduced: fewer partitions and candidates, for lack of time",
    Effort.MINIMAL: "minimal: the nearest partition alone, for lack of time",
}


def explain_receipt(file: Path | None = None, /, *, user: str = "", options: RecommendOptions = RECOMMEND) -> None:
    """Tell what a receipt says: which rung and why, who was asked, where the time went, and what to do.

    Args:
        file: JSON of `trunkshow recommend --json`, or of a receipt alone; standard input where it is - or not given.
        user: ask for this user's slate now, and explain its receipt.
        options: what to ask with.
    """
    if user and file is not None:
        raise UsageError("a file and --user are two receipts; give one of them")
    receipt = ask(user, options).receipt if user else read(_text(file))
    if options.json:
        output.show_json(explanation(receipt))
    else:
        output.show(*story(receipt))


def read(text: str) -> Receipt:
    """The receipt in JSON, alone or within an answer.

    Raises:
        UsageError: there is none.
    """
    try:
        plain = json.loads(text)
        return Receipt.from_json(plain.get("receipt", plain))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        hint = "give the output of `trunkshow recommend USER --json`"
        raise UsageError(f"this is no receipt ({type(error).__name__}: {error}); {hint}") from None


def explanation(one: Receipt) -> dict[str, Any]:
    """The receipt, with what its rung and its reasons mean."""
    return {
        "receipt": one.to_json(),
        "rung": _plain(RUNGS.get(one.rung)),
        "reasons": {reason.name: _plain(REASONS.get(reason)) for reason in one.reasons},
        "effort": EFFORTS[one.effort],
    }


def story(one: Receipt) -> Iterator[RenderableType]:
    """A receipt in words and bars."""
    yield Text.assemble(("request ", "dim"), one.request_id or "without an id")
    yield ladder(one.rung)
    yield Text(RUNGS[one.rung].means if one.rung in RUNGS else "A rung that this release does not know.")
    yield _facts(one)
    if one.attempts:
        yield titled("who was asked", _attempts(one))
    if one.stages:
        yield titled("where the time went", _stages(one))
    if one.reasons or one.rung > Rung.SNAPSHOT:
        yield titled("why, and what to do", _reasons(one))
    for failed in one.model_failures:
        said = f"The model {failed.model or 'of another release'} cost the carousel {failed.carousel} a rung: "
        yield Text(said + failed.reason.name, "yellow")


def _facts(one: Receipt) -> RenderableType:
    lines = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    lines.add_column(style="dim")
    lines.add_column()
    lines.add_row("snapshot", escape(one.snapshot_version) or "none could be read")
    if one.router:
        lines.add_row("router", escape(one.router))
    lines.add_row("coverage", f"{one.partitions_answered} of {one.partitions_asked} partitions answered")
    lines.add_row("effort", EFFORTS[one.effort])
    if one.watermark:
        events = "1 event" if one.events_folded == 1 else f"{one.events_folded} events"
        aged = "" if one.watermark_age_ms is None else f", at most {one.watermark_age_ms:.0f} ms ago"
        lines.add_row("events", f"{events} since the snapshot; everything known up to {escape(one.watermark)}{aged}")
    if one.kept_age_ms is not None:
        before = f"{one.kept_age_ms / 1000:.1f} s before"
        lines.add_row("kept", f"made {before}, for the same request; nothing changed that it rests on")
    left = f"; {max(one.budget_ms - one.elapsed_ms, 0):.0f} ms were left" if one.budget_ms else ""
    given = f" of {one.budget_ms:.0f} ms" if one.budget_ms else ""
    lines.add_row("time", f"{one.elapsed_ms:.1f} ms{given}{left}")
    return lines


def _attempts(one: Receipt) -> RenderableType:
    lines = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    longest = max(attempt.ms for attempt in one.attempts)
    for attempt in one.attempts:
        style = "green" if attempt.outcome is Outcome.ANSWERED else "yellow"
        lines.add_row(
            escape(attempt.replica),
            Text(attempt.rung.name, RUNG_STYLES[attempt.rung]),
            f"{attempt.ms:8.2f} ms",
            Text(bar(attempt.ms, longest), style),
            Text(_said(attempt), style),
        )
    return lines


def _said(attempt: Attempt) -> str:
    return OUTCOMES[attempt.outcome] + (" (a hedge: an earlier one took long)" if attempt.hedge else "")


def _stages(one: Receipt) -> RenderableType:
    lines = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    longest = max(max(stage.ms, stage.budget_ms) for stage in one.stages)
    for stage in one.stages:
        given = f"of {stage.budget_ms:.0f} ms given" if stage.budget_ms else ""
        lines.add_row(escape(stage.name), f"{stage.ms:8.2f} ms", bar(stage.ms, longest), given)
    return lines


def _reasons(one: Receipt) -> RenderableType:
    lines = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    lines.add_column(no_wrap=True)
    for reason in one.reasons:
        meaning = REASONS.get(reason, Meaning("A reason that this release does not know.", "Upgrade this command."))
        lines.add_row(Text(reason.name, "bold"), f"{meaning.means} [dim]→ {meaning.do}[/]")
    if one.rung > Rung.SNAPSHOT:
        lines.add_row(Text(one.rung.name, RUNG_STYLES[one.rung]), f"[dim]→ {RUNGS[one.rung].do}[/]")
    return lines


def _plain(meaning: Meaning | None) -> dict[str, str]:
    return meaning._asdict() if meaning else {}


def _text(file: Path | None) -> str:
    if file is None or str(file) == "-":
        return sys.stdin.read(RECEIPT_BYTES_MAX)
    try:
        with file.open(encoding="utf-8") as opened:
            return opened.read(RECEIPT_BYTES_MAX)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from None
