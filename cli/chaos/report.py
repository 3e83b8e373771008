"""A run's verdicts as a table for a person, and as Markdown for the repository; as JSON: `cli.chaos.result`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from cli.chaos import denied_report, manners_report, origin
from cli.chaos.ledger import Account
from cli.chaos.markdown import markdown_table
from cli.chaos.result import Result
from cli.chaos.verdict import Verdict
from trunkshow.client import Rung

LATE_TOLD = 5
"""Late answers of a fault that are told of; the report as JSON has some more."""

COLUMNS = (
    *("fault", "requests", "failed", "wrong", "late", "p99 ms", "taken", "late then"),
    *("rungs", "recovered", "switched", "verdict"),
)

EVENT_COLUMNS = (
    *("fault", "events", "sent", "recorded", "acknowledged", "refused", "unanswered", "rejected"),
    *("lost", "twice", "forgotten", "known since", "fresh again"),
)


def cells(verdict: Verdict) -> tuple[str, ...]:
    """A row of the table."""
    tally = verdict.tally
    recovered = "not seen" if verdict.recovered_s is None else f"{verdict.recovered_s:.1f} s"
    return (
        verdict.fault,
        f"{tally.requests:,}",
        f"{tally.failed:,}" if verdict.promise.answered else f"({tally.failed:,})",
        f"{tally.wrong:,}",
        f"{tally.late:,}" if verdict.promise.healthy else f"({tally.late:,})",
        f"{tally.quantile_ms(0.99):.0f}",
        *denied_report.cells(verdict),
        rungs(verdict),
        recovered,
        "" if verdict.switched_s is None else f"{verdict.switched_s:.1f} s",
        "; ".join(verdict.broken) or "kept",
    )


def event_cells(verdict: Verdict) -> tuple[str, ...]:
    """A row of the table of events; nothing where nobody recorded."""
    events = verdict.events
    if events is None:
        return ()
    sent = (events.events, events.tries, events.recorded, events.acknowledged)
    not_so = (events.refused, events.unanswered, events.rejected, events.lost + events.strange, events.twice)
    fresh = "not seen" if events.fresh_s is None else f"{events.fresh_s:.1f} s"
    gone = (events.forgotten, events.remembered)
    return (verdict.fault, *(f"{count:,}" for count in (*sent, *not_so, *gone)), fresh)


def rungs(verdict: Verdict) -> str:
    """Shares of the rungs, best first."""
    whole = verdict.tally.rungs.total() or 1
    shares = [(rung.name, verdict.tally.rungs[rung.name] / whole) for rung in Rung]
    return ", ".join(f"{name.lower().replace('_', ' ')} {share:.1%}" for name, share in shares if share)


def table(result: Result) -> Table:
    """For a terminal."""
    shown = Table(*COLUMNS, box=None, pad_edge=False)
    shown.columns[0].no_wrap = True
    for verdict in result.by_fault:
        shown.add_row(*cells(verdict), style="red" if verdict.broken else "")
    return shown


def events_table(result: Result) -> Table:
    """Of what was recorded, for a terminal."""
    shown = Table(*EVENT_COLUMNS, box=None, pad_edge=False)
    shown.columns[0].no_wrap = True
    for row in filter(None, map(event_cells, result.by_fault)):
        shown.add_row(*row)
    return shown


def markdown(result: Result, command: str) -> str:
    """For `bench/RELIABILITY.md`."""
    verdicts = result.by_fault
    lines = [
        "# Reliability",
        "",
        "What became of the answers while something was wrong. Written by a run; do it again with:",
        "",
        f"    {command}",
        "",
        f"Seed {result.plan.seed}, {origin.told(result.parts)}; "
        f"{result.plan.terrain.shards} shards, {result.plan.terrain.replicas} replicas of each partition, "
        f"{result.plan.terrain.routers} routers behind one client; {result.rate:.0f} requests a second in an open loop"
        + (f", of {result.sustained:.0f} that the cluster sustains on this machine" if result.sustained else "")
        + ".",
        "",
        *summary(verdicts),
        "",
        *markdown_table(COLUMNS, map(cells, verdicts)),
        "",
        *_LEGEND,
        "",
        *manners_report.section(verdicts),
        "## Events",
        "",
        *_EVENTS_TOLD,
        "",
        *markdown_table(EVENT_COLUMNS, filter(None, map(event_cells, verdicts))),
        "",
        *_EVENTS_LEGEND,
        "",
        "## What was drawn",
        "",
        *(f"- `{verdict.particulars}`, {verdict.seconds:.1f} s" for verdict in result.verdicts),
        "",
    ]
    late = [
        f"- {verdict.fault}: {one.told(result.places)}"
        for verdict in verdicts
        if verdict.promise.healthy
        for one in sorted(verdict.tally.latecomers, key=lambda one: -one.took_ms)[:LATE_TOLD]
    ]
    if late:
        lines += ["## Late answers", "", *_LATE_TOLD, "", *late, ""]
    complaints = [f"- {verdict.fault}: {text}" for verdict in verdicts for text in verdict.tally.complaints[:3]]
    if complaints:
        lines += ["## First complaints of each fault", "", *complaints, ""]
    return "\n".join(lines)


_LEGEND = (
    "- *requests*: sent from the injection until the end of the time to recover; each request of a batch counts.",
    "- *failed*: another status than OK, or no answer within 2 s (a batch: 6 s); in brackets where no router was left.",
    "- *wrong*: an item that does not exist in the snapshot that the receipt names, that filters, exclusions or the",
    "  seen rule forbid, or that stands twice; a slate that is empty while something could be shown; a receipt that",
    "  contradicts itself. Every answer is checked (of those that make an overload, one in twenty).",
    "- *late*: after 200 ms (a batch: 2 s) as the caller measured it, less the time in which the caller's own process",
    "  stood still; in brackets where no replica was healthy.",
    *denied_report.LEGEND,
    "- *rungs*: of the receipts. Strangers with nothing in hand are rightly answered from POPULAR.",
    "- *recovered*: from the fault's end to the first half second in which nothing failed, and 99 % of those whom the",
    "  current snapshot knows were served from it.",
    "- *switched*: from the pointer's last move until every answer was from the version that it names.",
)

_LATE_TOLD = (
    "Of those where a replica was healthy, the slowest: what the caller measured, what the receipt says of the stages,",
    "and what of the shards that were asked, in milliseconds. Stages of shards lie within `shard`.",
)

_EVENTS_TOLD = (
    "Beside the requests somebody records events, about 20 a second, for users of their own, of whom a quarter is not",
    "known to anybody: one call in ten is sent twice, one in ten after what came after it, and what was not",
    "acknowledged is sent again. After each fault the log is read, and each of these users' slates is asked of every",
    "router.",
)

_EVENTS_LEGEND = (
    "- *events*: different ones; *sent*: how often, in all; *recorded*: of the events, those in the log;",
    "  *acknowledged*: those that a caller was told are in it.",
    "- *refused*: sent, and answered with LOG_FULL; *unanswered*: sent, and not acknowledged within 1.5 s,",
    "  or answered with UNAVAILABLE; *rejected*: events from the future or the far past, by a clock that was stepped.",
    "- *lost*: acknowledged, and not in the log, or in the log and not in a slate that calls itself fresh; and what is",
    "  in the log and was never sent. *twice*: in a slate more often than in the log.",
    "- *fresh again*: from the fault's end until every slate was FRESH and had every event, those included that were",
    "  still on their way when it ended.",
)


def summary(verdicts: Sequence[Verdict]) -> list[str]:
    """The aims, and what was reached."""
    asked = sum(verdict.tally.requests for verdict in verdicts)
    batched = sum(verdict.tally.batched for verdict in verdicts)
    failed = sum(verdict.tally.failed for verdict in verdicts if verdict.promise.answered)
    unanswerable = sum(verdict.tally.failed for verdict in verdicts if not verdict.promise.answered)
    wrong = sum(verdict.tally.wrong for verdict in verdicts)
    healthy = [verdict.tally for verdict in verdicts if verdict.promise.healthy]
    late, of = sum(tally.late for tally in healthy), sum(tally.requests for tally in healthy)
    held_up = sum(tally.held_up for tally in healthy)
    slowest = max((verdict.recovered_s for verdict in verdicts if verdict.recovered_s is not None), default=0.0)
    never = [verdict.fault for verdict in verdicts if verdict.recovered_s is None]
    events = Account.sum(verdict.events for verdict in verdicts if verdict.events is not None)
    return [
        f"- {asked:,} requests in all ({batched:,} of them in batches), {failed:,} failed"
        + (f", and {unanswerable:,} more while no router was alive" if unanswerable else "")
        + f"; {wrong:,} wrong answers.",
        f"- Where a replica was healthy: {late:,} of {of:,} answers late"
        + (f", one in {of / late:,.0f}" if late else "")
        + " (aim: at most one in 10,000)"
        + denied_report.of_late(verdicts)
        + f"; {held_up:,} more came in time to a caller that stood still.",
        *denied_report.summary(verdicts),
        f"- Slowest recovery: {slowest:.1f} s (aim: 5 s)" + (f"; not seen: {', '.join(never)}" if never else "") + ".",
        f"- {events.acknowledged:,} events acknowledged, of {events.events:,} that were sent {events.tries:,} times: "
        f"{events.lost + events.strange:,} lost, {events.twice:,} counted twice; all of them in every slate "
        + ("not seen" if events.fresh_s is None else f"{events.fresh_s:.1f} s after a fault's end at the latest")
        + ".",
        manners_report.summary(verdicts),
        f"- {events.forgotten:,} people were told that they are forgotten; {events.remembered:,} were known since.",
    ]
