"""`trunkshow chaos`: the command."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import uvloop

from cli import output
from cli.chaos import catalogue, report, resuming, soak_report
from cli.chaos.options import ChaosOptions, again, make_plan
from cli.chaos.plan import Plan
from cli.chaos.result import Result
from cli.chaos.run import run
from cli.chaos.soak import Soaked, soak
from cli.chaos.verdict import Verdict
from cli.cluster import interruptible
from trunkshow.serving import telemetry

DEFAULTS = ChaosOptions()


def chaos(*, options: ChaosOptions = DEFAULTS) -> None:
    """Break a local cluster while it is asked: kill, freeze, slow and cut off its processes; say what became of it.

    Exits with 1 where a promise was not kept. Ctrl-C ends it, and tells what was found until then; --resume goes on.
    """
    if options.list:
        output.show_as_it_is("\n".join(catalogue.FAULTS))
        return
    before = resuming.read(options.resume, options.work) if options.resume else None
    plan = make_plan(options, before["flags"] if before else None)
    result = resuming.gone_on_with(before, plan) if before else Result(plan)
    telemetry.configure("error")  # of our own reader of the event log, which is harmed on purpose
    with _work(options.work) as work:
        if not _do(options, replace(plan, terrain=replace(plan.terrain, work=work)), result):
            output.remark(f"[red]promises were not kept[/]; the logs are in {work}")
            sys.exit(1)
        if options.work is None:
            shutil.rmtree(work, ignore_errors=True)


def _do(options: ChaosOptions, plan: Plan, result: Result) -> bool:
    """Do it, and say what became of it; whether every promise was kept."""
    done, judged, work = list[Callable[[], bool]](), len(result.verdicts), plan.terrain.work

    def say_and_keep(event: str, **details: Any) -> None:
        say(event, **details)
        if event == "fault.judged":
            _keep(result, work)

    async def work_through(hurry: asyncio.Event) -> None:
        del hurry  # everything is killed at the end anyway
        if options.soak_minutes:
            soaked = await soak(plan, options.soak_minutes, say)
            done.append(lambda: _tell_soak(options, plan, soaked))
        else:
            await run(plan, say_and_keep, result)
            done.append(lambda: _tell(options, result))

    try:
        if not uvloop.run(interruptible(work_through)):
            if result.verdicts:
                output.remark(f"interrupted after {len(result.verdicts)} faults; this is what became of them")
                _tell(options, result)
            raise KeyboardInterrupt
    finally:
        if not done and len(result.verdicts) > judged and (work / resuming.REPORT).exists():
            output.remark(f"[dim]go on with: --resume {work / resuming.REPORT}[/]")
    return done[0]()


def _keep(result: Result, work: Path) -> None:
    """The report so far, where there is room for it: it is there for what may come, and no reason to end a run."""
    try:
        resuming.keep(result, work)
    except OSError as error:
        output.remark(f"[red]  the report so far was not written[/]: {error}")


@contextlib.contextmanager
def _work(chosen: Path | None) -> Iterator[Path]:
    if chosen:
        shutil.rmtree(chosen, ignore_errors=True)
    # A temporary folder on the store's own disk would be better linked, but the store is not ours to write to.
    yield chosen.resolve() if chosen else Path(tempfile.mkdtemp(prefix="trunkshow-chaos-"))


def _tell(options: ChaosOptions, result: Result) -> bool:
    """Say what became of it; whether every promise was kept."""
    command = again(result.as_one, result.rate)
    if options.json:
        output.show_json(result.to_json())
    else:
        output.show(report.table(result))
        output.show(report.events_table(result))
        output.show(*report.summary(result.by_fault))
        output.remark(f"[dim]again: {command}[/]")
    if options.markdown is not None:  # last: where it cannot be written, all has been said
        _replace(options.markdown, report.markdown(result, command), soak=False)
    return result.passed


def _tell_soak(options: ChaosOptions, plan: Plan, soaked: Soaked) -> bool:
    """The same of a soak."""
    text = soak_report.soak_markdown(soaked, again(plan, soaked.rate, options.soak_minutes))
    if options.json:
        output.show_json({**asdict(soaked), "tally": soaked.tally.to_json(), "passed": soaked.passed})
    else:
        output.show_as_it_is(text)
    if options.markdown is not None:
        _replace(options.markdown, text, soak=True)
    return soaked.passed


def _replace(path: Path, text: str, *, soak: bool) -> None:
    """Write one half of the report, and leave the other as it is: faults first, then the soak."""
    before, title, after = (
        path.read_text(encoding="utf-8").partition(soak_report.SOAK_TITLE) if path.exists() else ("", "", "")
    )
    whole = before.rstrip() + "\n\n" + text if soak else text + ("\n" + title + after if title else "")
    path.write_text(whole.lstrip(), encoding="utf-8")


def say(event: str, **details: Any) -> None:
    """An event as one line on stderr."""
    if event in _WORDS:
        output.remark(_WORDS[event].format(**details))
    else:
        verdict = details["verdict"]
        judged = f"[red]{'; '.join(verdict.broken)}[/]" if verdict.broken else "[green]kept[/]"
        output.remark(f"  {judged}: {verdict.tally.requests:,} requests, {report.rungs(verdict)}{_events(verdict)}")


def _events(verdict: Verdict) -> str:
    events = verdict.events
    return "" if events is None else f"; {events.acknowledged:,} events of {events.events:,} acknowledged"


_WORDS = {
    "cluster.ready": "[bold green]ready[/] at {target} on snapshot {snapshot}",
    "traffic.flows": "{rate} requests a second",
    "fault.injected": "[bold]{fault}[/] for {seconds:.1f} s [dim]{particulars}[/]",
    "fault.healed": "  healed",
    "snapshot.promoted": "  [dim]{snapshot} is promoted[/]",
    "cluster.restarted": "[red]  the cluster did not become whole by itself; it is started again[/]",
}
