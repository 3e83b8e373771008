"""Of the processors' time that was taken from the machine: two columns, and what the summary says."""

from __future__ import annotations

from collections.abc import Sequence

from cli.chaos.denied import DENIED_MIN, SECOND_OF_S, Denial
from cli.chaos.verdict import Verdict

_BEFORE, _AFTER = SECOND_OF_S

LEGEND = (
    "- *taken*: share of the processors' time that was taken from the machine, as a hypervisor does for other machines",
    f"  (steal); *late then*: of the late answers, those in whose second ({-_BEFORE} s before they were asked for to",
    f"  {_AFTER} s after) more than {DENIED_MIN:.0%} was. They are late all the same. Both are empty where the",
    "  system does not tell.",
)


def cells(verdict: Verdict) -> tuple[str, str]:
    """Of a row of the table of faults; in brackets where no replica was healthy, as what is late is."""
    if verdict.denial is None:
        return ("", "")
    late = f"{verdict.denial.late:,}"
    return (f"{verdict.denial.share:.1%}", late if verdict.promise.healthy else f"({late})")


def of_late(verdicts: Sequence[Verdict]) -> str:
    """How many of the late answers where a replica was healthy; nothing where there were none, or nobody can tell."""
    healthy = [verdict for verdict in verdicts if verdict.promise.healthy]
    denial = Denial.sum(verdict.denial for verdict in healthy)
    if denial is None or not any(verdict.tally.late for verdict in healthy):
        return ""
    return f"; {denial.late:,} of them while the machine was denied more than {DENIED_MIN:.0%} of its processors' time"


def summary(verdicts: Sequence[Verdict]) -> list[str]:
    """All faults together, and the worst of them."""
    whole = Denial.sum(verdict.denial for verdict in verdicts)
    if whole is None:
        return []
    share, fault = max((one.denial.share, one.fault) for one in verdicts if one.denial is not None)
    worst = f", at most {share:.1%} in one fault (*{fault}*)" if share else ""
    return [f"- {whole.share:.1%} of the processors' time was taken from the machine{worst}."]
