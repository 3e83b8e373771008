"""What a run came to, as tables for people, with what is to be said beside them."""

from __future__ import annotations

from typing import Any

from bench.peers import registry
from bench.peers.run import BATCH, BATCH_CALLERS, CALLERS
from bench.peers.sweep import RECALL, TOLERANCE

_WRONG_SHARE_MAX = 0.01


def as_markdown(result: dict[str, Any], command: str) -> str:
    """Of what `report.as_json` made."""
    subjects = result["subjects"]
    rows = [(name, row) for name, one in subjects.items() for row in one["rows"]]
    callers, calls = (", ".join(map(str, some)) for some in (CALLERS, BATCH_CALLERS))
    failed = {name: one["failed"] for name, one in subjects.items() if one["failed"]}
    lines = [
        *_what(result, command),
        *_table(f"One user at a time, {callers} in flight", [one for one in rows if not one[1]["batch"]], "requests/s"),
        *_table(
            f"{BATCH} users in a call, {calls} calls in flight", [one for one in rows if one[1]["batch"]], "users/s"
        ),
        "| ours ÷ theirs | aim | least | by callers in flight | |",
        "|---|---:|---:|---|---|",
        *map(_aim, result["aims"]),
        *("", "Recall@10 against exact search, and what it took:", ""),
        *(f"- **{name}**: {_recall(one, result['recall'])}" for name, one in subjects.items() if one["recalls"]),
        *("", "What each does not do:", ""),
        *(
            f"- **{one.name}** ({one.title}): {one.lacks} ({one.source})"
            for one in registry.PEERS
            if one.name in subjects
        ),
        "",
        *(f"- **{name}: NOT measured**, or not whole. {why}" for name, why in failed.items()),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _what(result: dict[str, Any], command: str) -> list[str]:
    about = result["about"]
    return [
        f"{result['machine']}; `{command}`",
        "",
        f"{about['items']:,} items, {about['factors']} factors, {about['users']:,} users in turn, top 10, "
        f"snapshot of {about['partitions']} partitions; {result['repeats']} repeats of {result['seconds']:g} s, "
        "medians; ratios are medians over the repeats, in brackets the least and the most.",
        "",
    ]


def _table(title: str, rows: list[tuple[str, dict[str, Any]]], rate: str) -> list[str]:
    if not rows:
        return []
    lines = [
        f"{title}:",
        "",
        f"| | in flight | {rate} | p50 ms | p99 ms | server CPU µs | ours ÷ it | wrong |",
        "|---|---:|---:|---:|---:|---:|---|---:|",
    ]
    for name, row in rows:
        figures = f"{row['rps']:,.0f} | {row['p50_ms']:.2f} | {row['p99_ms']:.2f} | {row['cpu_s_per_1000'] * 1000:,.0f}"
        lines.append(f"| {name} | {row['callers']} | {figures} | {_compared(row)} | {_wrong(row)} |")
    return [*lines, ""]


def _aim(aim: dict[str, Any]) -> str:
    if aim["ratio"] is None:
        return f"| {aim['what']} | {aim['aim']:g} | | | not measured in this run |"
    by_callers = ", ".join(f"{callers}: {ratio_:.2f}" for callers, ratio_ in aim["by_callers"].items())
    verdict = "kept" if aim["kept"] else "MISSED"
    return f"| {aim['what']} | {aim['aim']:g} | **{aim['ratio']:.2f}** | {by_callers} | {verdict} |"


def _compared(row: dict[str, Any]) -> str:
    if not row["ours_to_it"]:
        return ""
    ratio_ = row["ours_to_it"]
    return f"**{ratio_['median']:.2f}** ({ratio_['least']:.2f}, {ratio_['most']:.2f}; {row['ours']})"


def _wrong(row: dict[str, Any]) -> str:
    too_many = row["wrong"] > _WRONG_SHARE_MAX * row["answers"]
    return f"{row['wrong']}{' (more than 1 %: believe nothing of this line)' if too_many else ''}"


def _recall(one: dict[str, Any], aim: float = RECALL) -> str:
    swept, least = one["swept"], min(one["recalls"])
    by = f"{swept['name']} = {swept['knob']}" if swept["knob"] is not None else "nothing to turn"
    apart = ""
    if least > aim + TOLERANCE:
        apart = f"; more than the {aim:g} asked for, which costs it speed"
    elif least < aim - TOLERANCE:
        apart = f"; LESS than the {aim:g} asked for: not equal"
    return f"{least:.4f} at least ({by}; up in {one['start_s']:.1f} s){apart}"
