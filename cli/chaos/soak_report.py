"""What a soak came to, as a section of Markdown for the repository."""

from __future__ import annotations

from cli.chaos.denied import DENIED_MIN
from cli.chaos.markdown import markdown_table
from cli.chaos.origin import commit, machine
from cli.chaos.soak import Flatness, Soaked

SOAK_TITLE = "# Soak"

COLUMNS = ("process", "memory MiB, early", "late", "with files, early", "late", "descriptors, early", "late", "flat")


def soak_markdown(soaked: Soaked, command: str) -> str:
    """A section for `bench/RELIABILITY.md`."""
    tally, events = soaked.tally, soaked.events
    fresh = (
        "not seen to be in every slate" if events.fresh_s is None else f"in every slate after {events.fresh_s:.1f} s"
    )
    lines = [
        SOAK_TITLE,
        "",
        f"    {command}",
        "",
        f"{soaked.minutes:.0f} minutes at {soaked.rate:.0f} requests a second, {soaked.swaps} snapshots promoted; "
        f"commit {commit()}, {machine()}. {tally.requests:,} requests, {tally.failed:,} failed, {tally.wrong:,} wrong, "
        f"{tally.late:,} late{_denied(soaked)}, p99 {tally.quantile_ms(0.99):.0f} ms.",
        "",
        f"{events.acknowledged:,} events of {events.users:,} users acknowledged, of {events.events:,} that were sent "
        f"{events.tries:,} times: {events.lost:,} lost, {events.twice:,} counted twice; at the end {fresh}. "
        f"{events.forgotten:,} people were forgotten, {events.remembered:,} known since."
        + ("" if soaked.told else " What became of the last requests is not known, and not counted."),
        "",
        "Means of the second quarter and of the last. Judged are a process's own memory and its descriptors; beside it",
        "stands what it holds with the pages of mapped files, which the kernel keeps and takes back as it likes.",
        "",
        *markdown_table(COLUMNS, map(_cells, soaked.processes)),
        "",
    ]
    return "\n".join(lines)


def _denied(soaked: Soaked) -> str:
    if soaked.denial is None:
        return ""
    denial = soaked.denial
    return (
        f" ({denial.late:,} of them while more than {DENIED_MIN:.0%} of the processors' time was taken from the "
        f"machine; {denial.share:.1%} was on the whole)"
    )


def _cells(one: Flatness) -> tuple[str, ...]:
    weights = (one.early.own_bytes, one.late.own_bytes, one.early.rss_bytes, one.late.rss_bytes)
    memory = (f"{weight / 2**20:.1f}" for weight in weights)
    return (one.name, *memory, str(one.early.descriptors), str(one.late.descriptors), "yes" if one.is_flat else "no")
