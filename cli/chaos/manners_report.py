"""Of callers who are not patient, as a table and a sentence: what they asked for, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence

from cli.chaos.manners import BRIEF_MS, HURRIED_MS
from cli.chaos.markdown import markdown_table
from cli.chaos.verdict import HURRIED_MIN, MISSED_ONE_IN, Verdict

COLUMNS = ("fault", "in haste", "missed", "choosy", "aborted", "with a watermark", "not as fresh", "hung up")

_HASTE = f"{HURRIED_MS[0]:.0f} to {HURRIED_MS[1]:.0f} ms"
_BRIEF = f"{BRIEF_MS[0]:.0f} to {BRIEF_MS[1]:.0f} ms"

LEGEND = (
    f"- *in haste*: single calls with a deadline of {_HASTE} of their own; *missed*: those that had no answer by then,",
    "  though their caller did not stand still. On a busy machine some do without any fault, so that these are neither",
    f"  *failed* nor *late*; but where a replica was healthy, more than one in {MISSED_ONE_IN} breaks the promise (of",
    f"  {HURRIED_MIN} or more). In brackets where none was.",
    "- *choosy*: slates that would rather be an error than of a rung below one that they name; *aborted*: those that",
    "  became one. Of somebody whom a whole cluster serves from the current snapshot, that is a step down. A carousel",
    "  below the rung that was named is *wrong*.",
    "- *with a watermark*: slates that are to know what an answer before them knew, or, one in ten, what never comes;",
    "  all are to be in time. *not as fresh*: those that say that they do not know it; not to say so is *wrong*.",
    f"- *hung up*: calls, of batches too, whose caller left after {_BRIEF}, without an answer. They are no",
    "  requests in any other count.",
)


def cells(verdict: Verdict) -> tuple[str, ...]:
    """A row of the table."""
    of = verdict.tally.counts
    missed = f"{of['missed']:,}" if verdict.promise.healthy else f"({of['missed']:,})"
    told = ("choosy", "aborted", "up_to_date", "not_as_fresh", "hung_up")
    return (verdict.fault, f"{of['hurried']:,}", missed, *(f"{of[name]:,}" for name in told))


def section(verdicts: Sequence[Verdict]) -> list[str]:
    """For `bench/RELIABILITY.md`."""
    return [
        "## Callers who are not patient",
        "",
        "Among the requests, a few in a hundred:",
        "",
        *markdown_table(COLUMNS, map(cells, verdicts)),
        "",
        *LEGEND,
        "",
    ]


def summary(verdicts: Sequence[Verdict]) -> str:
    """All of them together."""
    healthy = [verdict.tally.counts for verdict in verdicts if verdict.promise.healthy]
    hurried, missed = sum(of["hurried"] for of in healthy), sum(of["missed"] for of in healthy)
    hung_up = sum(verdict.tally.counts["hung_up"] for verdict in verdicts)
    return (
        f"- Where a replica was healthy: {missed:,} of {hurried:,} calls in haste ({_HASTE}) missed their deadline, "
        f"and are neither failed nor late. {hung_up:,} callers hung up, beside the requests."
    )
