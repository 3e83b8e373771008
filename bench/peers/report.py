"""What a run came to, as plain values, for JSON and for `bench.peers.markdown`."""

from __future__ import annotations

from typing import Any

from bench import tables
from bench.peers import registry
from bench.peers.ratios import Case, middle, ratio
from bench.peers.run import BATCH, Measured, Settings, cases


def as_json(measured: Measured, settings: Settings, about: dict[str, Any]) -> dict[str, Any]:
    """Everything, as plain values.

    Returns:
        machine, about (the data), subjects (by name: why it failed, or None; knob, recalls, rows, as far as it got),
        samples (all of them),
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
    rows = [_row(subject, case, measured) for case in cases(subject)]
    return {
        "title": subject.title,
        "failed": measured.failed.get(subject.name),
        "lacks": subject.lacks,
        "beside": subject.beside,
        "swept": measured.swept.get(subject.name),
        "recalls": measured.recalls.get(subject.name, []),
        "start_s": measured.starts_s.get(subject.name),
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
