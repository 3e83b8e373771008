"""What a run came to: JSON for `bench.aims` to read, and Markdown for people."""

from __future__ import annotations

from typing import Any

from bench import tables
from bench.peers import registry
from bench.peers.ratios import Case, middle, ratio
from bench.peers.run import BATCH, BATCH_CALLERS, CALLERS, Measured, Settings, cases
from bench.peers.sweep import RECALL, TOLERANCE

_WRONG_SHARE_MAX = 0.01


def as_json(measured: Measured, settings: Settings, about: dict[str, Any]) -> dict[str, Any]:
    """Everything, as plain values.

    Returns:
        machine, about (the data), subjects (by name: why it failed, or knob, recalls, rows), samples (all of them),
        aims (what, aim, ratio, by_callers, kept; ratio and kept are None where it was not measured).
    """
    subjects = {one.name: _subject(one, measured) for one in settings.subjects}
    return {
        "machine": tables.machine(),
        "about": about,
        "repeats": settings.repeats,
        "seconds": settings.seconds,
        "recall": settings.recall,
        "subjects": subjects,
        "aims": [aim for one in registry.PEERS for aim in _aims(one, subjects.get(one.name, {}).get("rows", []))],
        "samples": [{**one._asdict(), "case": one.case._asdict()} for one in measured.samples],
    }


def _subject(subject: registry.Subject, measured: Measured) -> dict[str, Any]:
    if why := measured.failed.get(subject.name):
        return {"title": subject.title, "failed": why}
    rows = [_row(subject, case, measured) for case in cases(subject)]
    return {
        "title": subject.title,
        "lacks": subject.lacks,
        "beside": subject.beside,
        "swept": measured.swept[subject.name],
        "recalls": measured.recalls[subject.name],
        "start_s": measured.starts_s[subject.name],
        "rows": [row for row in rows if row is not None],
    }


def _aims(subject: registry.Subject, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each aim with the least of its ratios, which is what keeps or misses it, whatever the callers in flight."""
    found = []
    for aim, batch, beside in (
        (subject.aim, 0, subject.beside),
        (subject.aim_batch, BATCH, subject.beside_batch),
    ):
        if aim is not None:
            taken = [row for row in rows if row["batch"] == batch and row["ours_to_it"]]
            by_callers = {str(row["callers"]): row["ours_to_it"]["median"] for row in taken}
            ratio_ = min(by_callers.values(), default=None)
            what = f"{beside} ÷ {subject.name}" + (f", users per second in calls of {batch}" if batch else "")
            kept = None if ratio_ is None else ratio_ >= aim
            found.append({"what": what, "aim": aim, "ratio": ratio_, "by_callers": by_callers, "kept": kept})
    return found


def _row(subject: registry.Subject, case: Case, measured: Measured) -> dict[str, Any] | None:
    typical = middle(measured.samples, subject.name, case)
    if typical is None:
        return None
    beside = subject.beside_batch if case.batch else subject.beside
    compared = ratio(measured.samples, beside, subject.name, case) if beside else None
    return {
        **case._asdict(),
        **{name: value for name, value in typical._asdict().items() if name not in {"subject", "case", "repeat"}},
        "ours": beside,
        "ours_to_it": compared._asdict() if compared else None,
    }


def as_markdown(result: dict[str, Any], command: str) -> str:
    """Tables, and what is to be said beside them."""
    lines = [f"{result['machine']}; `{command}`", ""]
    about = result["about"]
    lines += [
        f"{about['items']:,} items, {about['factors']} factors, {about['users']:,} users in turn, top 10, "
        f"snapshot of {about['partitions']} partitions; {result['repeats']} repeats of {result['seconds']:g} s, "
        "medians; ratios are medians over the repeats, in brackets the least and the most.",
        "",
    ]
    lines += _table(
        f"One user at a time, {', '.join(map(str, CALLERS))} in flight",
        [(name, one, row) for name, one in _shown(result) for row in one["rows"] if not row["batch"]],
        "requests/s",
    )
    lines += _table(
        f"{BATCH} users in a call, {', '.join(map(str, BATCH_CALLERS))} calls in flight",
        [(name, one, row) for name, one in _shown(result) for row in one["rows"] if row["batch"]],
        "users/s",
    )
    lines += ["| ours ÷ theirs | aim | least | by callers in flight | |", "|---|---:|---:|---|---|"]
    lines += [_aim(one) for one in result["aims"]]
    lines += ["", "Recall@10 against exact search, and what it took:", ""]
    lines += [f"- **{name}**: {_recall(one, result['recall'])}" for name, one in _shown(result)]
    lines += ["", "What each does not do:", ""]
    lines += [
        f"- **{one.name}** ({one.title}): {one.lacks} ({one.source})"
        for one in registry.PEERS
        if one.name in result["subjects"]
    ]
    failed = [
        f"- **{name}: NOT measured.** {one['failed']}" for name, one in result["subjects"].items() if "failed" in one
    ]
    return "\n".join([*lines, "", *failed]).rstrip() + "\n"


def _shown(result: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(name, one) for name, one in result["subjects"].items() if "failed" not in one]


def _table(title: str, rows: list[tuple[str, dict[str, Any], dict[str, Any]]], rate: str) -> list[str]:
    if not rows:
        return []
    lines = [
        f"{title}:",
        "",
        f"| | in flight | {rate} | p50 ms | p99 ms | server CPU s per 1,000 | ours ÷ it | wrong |",
        "|---|---:|---:|---:|---:|---:|---|---:|",
    ]
    for name, _, row in rows:
        figures = f"{row['rps']:,.0f} | {row['p50_ms']:.2f} | {row['p99_ms']:.2f} | {row['cpu_s_per_1000']:.3f}"
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
