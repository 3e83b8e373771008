"""A measurement as tables and a picture for a person, as JSON for a machine, and as Markdown for a file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cli.bench.judging import Wanted
from cli.bench.outcome import QUANTILES, Outcome, histogram
from cli.pictures import RUNG_STYLES, bar, number, size
from cli.render import table_of
from trunkshow.receipts import Rung

HEADS = ("", "requests/s", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "answered", "failed", "wrong", "short")
OWN = "bench"
"""The name of this process among those that were weighed."""


@dataclass(frozen=True)
class Report:
    """What was measured.

    Attributes:
        target: that was asked.
        version: of the snapshot that it serves; empty where it does not say.
        users: how many were asked for.
        wanted: of each slate.
        outcomes: of each stretch, by its name.
        weighed: the cluster's processes whose usage is known; they run on this machine.
        again: the command that does the same again.
    """

    target: str
    version: str
    users: int
    wanted: Wanted
    outcomes: Mapping[str, Outcome]
    weighed: frozenset[str]
    again: str

    @property
    def unweighed(self) -> str:
        """What is not known of processor time and memory; empty where all is."""
        return "" if self.weighed else "usage is of this command alone: the cluster's processes are not to be seen here"


def to_json(report: Report) -> dict[str, Any]:
    """Everything but single latencies."""
    return {
        "target": report.target,
        "snapshot_version": report.version,
        "users": report.users,
        "carousels": list(report.wanted.carousels),
        "items_per_carousel": report.wanted.items,
        "batch": report.wanted.slates,
        "weighed": sorted(report.weighed),
        "passed": all(outcome.passed for outcome in report.outcomes.values()),
        "stretches": {
            name: {**outcome.figures(), "histogram": _bins(outcome)} for name, outcome in report.outcomes.items()
        },
        "command": report.again,
    }


def _bins(outcome: Outcome) -> list[dict[str, float]]:
    rows = histogram(outcome.latencies_ms)
    return [{"from_ms": low, "to_ms": high, "calls": count} for low, high, count in rows]


def lines(report: Report) -> Iterator[RenderableType]:
    """What a person sees."""
    yield Text.assemble((report.target, "bold"), (f"  {_about(report)}", "dim"))
    table = table_of(*HEADS)
    for name, outcome in report.outcomes.items():
        answered, failed, wrong, short = (Text(f"{count:,}") for count in _counts(outcome))
        failed.stylize("red" if outcome.failures else "")
        wrong.stylize("red" if outcome.judged.counts["wrong"] else "")
        table.add_row(name, number(outcome.throughput), *_quantiles(outcome), answered, failed, wrong, short)
    yield table
    last = list(report.outcomes.values())[-1]
    yield _rungs(last)
    yield _picture(last)
    yield Text(_latency_from(last), "dim")
    yield _usage(last)
    if report.unweighed:
        yield Text(report.unweighed, "dim")
    for outcome in report.outcomes.values():
        for complaint in outcome.judged.complaints:
            yield Text(complaint, "red")
    yield Text(f"again: {report.again}", "dim")


def markdown(report: Report) -> str:
    """The same for a file."""
    rows = [
        (name, number(one.throughput), *_quantiles(one), *(f"{count:,}" for count in _counts(one)))
        for name, one in report.outcomes.items()
    ]
    last = list(report.outcomes.values())[-1]
    bins = [(f"{low:.2f} to {high:.2f}", f"{count:,}") for low, high, count in histogram(last.latencies_ms)]
    used = [(name, f"{cpu:.3f}", size(last.rss_bytes[name])) for name, cpu in last.cpu_s_per_1000().items()]
    parts = [
        f"# `{report.target}`",
        f"`{report.again}`",
        _about(report),
        _table(HEADS, rows),
        f"Rungs: {_rung_words(last)}. {_sentence(_latency_from(last))}",
        _table(("process", "CPU s per 1,000 requests", "resident"), used),
        *([_sentence(report.unweighed)] if report.unweighed else []),
        _table(("latency, ms", "calls"), bins),
        *(f"- {complaint}" for one in report.outcomes.values() for complaint in one.judged.complaints),
    ]
    return "\n\n".join(parts) + "\n"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _counts(outcome: Outcome) -> tuple[int, ...]:
    return outcome.answered, outcome.failures, outcome.judged.counts["wrong"], outcome.judged.counts["short"]


def _about(report: Report) -> str:
    each = f"{', '.join(report.wanted.carousels)} of {report.wanted.items}"
    batch = f", {report.wanted.slates} users a call" if report.wanted.slates > 1 else ""
    served = f"snapshot {report.version}, " if report.version else ""
    return f"{served}{report.users:,} users by Zipf's law, {each}{batch}"


def _quantiles(outcome: Outcome) -> tuple[str, ...]:
    values = (outcome.quantile_ms(share) for share in QUANTILES)
    return tuple("too few" if math.isnan(value) else number(value) for value in values)


def _latency_from(outcome: Outcome) -> str:
    if not outcome.rate:
        return "latency from when a caller asked, who waits for its answer: it leaves out who would have come meanwhile"
    late = outcome.figures()["sent_late_p99_ms"]
    own = "" if late is None else f"; p99 of this command's own lateness {number(late)} ms"
    return f"latency from when a request was due, {number(outcome.rate)} a second{own}"


def _rungs(outcome: Outcome) -> RenderableType:
    if not outcome.judged.rungs:
        return Text("nothing was answered", "yellow")
    parts = [Text(f"{name} {share:.2%}", _style(name)) for name, share in _shares(outcome)]
    if outcome.judged.kept:
        parts.append(Text(_kept_words(outcome), "dim"))
    return Text("rungs  ", "dim").append_text(Text("  ").join(parts))


def _rung_words(outcome: Outcome) -> str:
    words = [f"{name} {share:.2%}" for name, share in _shares(outcome)]
    return ", ".join([*words, _kept_words(outcome)] if outcome.judged.kept else words) or "nothing was answered"


def _kept_words(outcome: Outcome) -> str:
    return f"{outcome.judged.kept / outcome.judged.slates:.2%} had been kept by shards"


def _shares(outcome: Outcome) -> list[tuple[str, float]]:
    rungs = outcome.judged.rungs
    return [(name, rungs[name] / rungs.total()) for name in sorted(rungs, key=lambda name: -rungs[name])]


def _style(rung: str) -> str:
    return next((style for one, style in RUNG_STYLES.items() if one.name == rung), RUNG_STYLES[Rung.UNSPECIFIED])


def _picture(outcome: Outcome) -> RenderableType:
    """How many calls took how long."""
    rows = histogram(outcome.latencies_ms)
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    for justify in ("right", "left", "right"):
        table.add_column(justify=justify, no_wrap=True)
    most = max((count for *_, count in rows), default=0)
    for low, high, count in rows:
        table.add_row(Text(f"{number(low)} to {number(high)} ms", "dim"), bar(count, most, 40), f"{count:,}")
    return table


def _usage(outcome: Outcome) -> RenderableType:
    table = table_of("process", "CPU s per 1,000 requests", "memory")
    for name, cpu in outcome.cpu_s_per_1000().items():
        shown = "this command" if name == OWN else name
        table.add_row(shown, f"{cpu:.3f}", size(outcome.rss_bytes[name]))
    return table


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    rule = "|".join(["---", *("---:" for _ in heads[1:])])
    return "\n".join([f"| {' | '.join(heads)} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in rows)])
