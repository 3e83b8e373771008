"""The report of a run that ended, read to go on with it; it is kept after every fault, since a run may end anyhow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from cli.chaos.plan import Plan, steps
from cli.chaos.result import Result
from cli.output import UsageError

REPORT = "report.json"
"""In the work folder."""


def read(path: Path, work: Path | None) -> Mapping[str, Any]:
    """What a report says.

    Args:
        path: of the report.
        work: folder that is emptied before anything is done; None where it is a new one.

    Raises:
        UsageError: it cannot be read, or is none that can be gone on with, or would be lost.
    """
    if work is not None and path.resolve().is_relative_to(work.resolve()):
        raise UsageError(f"--work {work} is emptied first, and {path} lies in it; choose another folder")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"--resume {path} cannot be read: {error}") from error
    if not isinstance(raw, dict) or not raw.keys() >= {"flags", "parts", "steps"}:
        raise UsageError(f"--resume {path} is not the report of a run of faults that says how it went, step by step")
    return raw


def gone_on_with(raw: Mapping[str, Any], plan: Plan) -> Result:
    """The run until now.

    Raises:
        UsageError: it has done all that it is to do, or something else than this plan says.
    """
    try:
        result = Result.from_json(raw, plan)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"the report to go on with is of another version of this command: {error!r}") from error
    _follow(result, plan)
    goes_on = result.requests < plan.requests or plan.minutes > 0
    if next(steps(plan, lambda: goes_on, len(result.verdicts)), None) is None:
        raise UsageError(
            f"the report's run is done, with {len(result.verdicts)} faults and {result.requests} requests; "
            "ask for more with --requests or --minutes"
        )
    return result


def _follow(result: Result, plan: Plan) -> None:
    """Refuse verdicts on other faults than the plan begins with: the next step would not be the one after them."""
    drawn = islice(steps(plan, lambda: True), len(result.verdicts))
    for number, (verdict, step) in enumerate(zip(result.verdicts, drawn, strict=True), start=1):
        if verdict.fault != step.fault.name:
            raise UsageError(
                f"fault {number} of the report is {verdict.fault}, and {step.fault.name} is drawn by its seed here: "
                "it was written by another version of this command, or changed"
            )


def keep(result: Result, work: Path) -> None:
    """Write the report as it is now, whole or not at all.

    Raises:
        OSError: it could not be written; the one before is as it was.
    """
    aside = work / f"{REPORT}.new"
    try:
        aside.write_text(json.dumps(result.to_json()), encoding="utf-8")
        aside.replace(work / REPORT)
    except OSError:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise
