"""`trunkshow chaos`: the command."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvloop
from cyclopts import Parameter

from cli import output
from cli.chaos import catalogue, report, soak_report
from cli.chaos.clock import can_step
from cli.chaos.ground import Terrain
from cli.chaos.places import weed
from cli.chaos.run import Plan, Result, run
from cli.chaos.soak import Soaked, soak
from cli.chaos.verdict import Verdict
from cli.cluster import interruptible
from cli.output import Names, UsageError, check_range
from trunkshow.serving import telemetry


@Parameter(name="*")
@dataclass(frozen=True)
class ChaosOptions:
    """What to break, how long, and what to say of it."""

    store: str = ""
    """The snapshot store: a folder, or s3://BUCKET/PREFIX; needed but for --list. A copy of what it serves is served,
    and it is only read."""

    fault: Names = ()
    """Faults by name, separated by commas; all of them where none is named. `--list` tells them."""

    seed: int = -1
    """Of everything that is drawn; the same seed on the same commit does the same again. Drawn where not given."""

    seconds: float = 5.0
    """How long each fault lasts, about: 0.5 to 3600."""

    requests: int = 0
    """Go on, with other draws, until so many requests were sent during faults."""

    minutes: float = 0.0
    """Go on, with other draws, for so long."""

    soak_minutes: float = 0.0
    """Instead of faults: so many minutes with a new snapshot every minute; memory and descriptors must stay flat."""

    load: float = 0.5
    """Share of what the cluster is measured to sustain that is asked of it, above 0 to 5."""

    rate: float = 0.0
    """Requests a second instead of a share; 0 for the share."""

    shards: int = 3
    """How many shards, 1 to 16."""

    replicas: int = 2
    """How many shards hold each partition."""

    routers: int = 2
    """How many routers, 1 to 4."""

    s3: bool = False
    """Serve from a bucket of a SeaweedFS server that is started for it, and not from a folder."""

    work: Path | None = None
    """Folder for the copy and the logs, emptied first; a temporary one, removed after a pass, where not given."""

    markdown: Path | None = None
    """Write the report as Markdown to this file too."""

    json: bool = False
    """Print the report as one JSON value."""

    list: bool = False
    """Name the faults, and do nothing."""


DEFAULTS = ChaosOptions()


def chaos(*, options: ChaosOptions = DEFAULTS) -> None:
    """Break a local cluster while it is asked: kill, freeze, slow and cut off its processes; say what became of it.

    Exits with 1 where a promise was not kept. Ctrl-C ends it, and tells what was found until then.
    """
    if options.list:
        output.show_as_it_is("\n".join(catalogue.FAULTS))
        return
    check(options)
    telemetry.configure("error")  # of our own reader of the event log, which is harmed on purpose
    seed = options.seed if options.seed >= 0 else random.SystemRandom().randrange(2**31)
    with _work(options.work) as work:
        plan, done = make_plan(options, seed, work), list[Callable[[], bool]]()
        result = Result(plan)

        async def work_through(hurry: asyncio.Event) -> None:
            del hurry  # everything is killed at the end anyway
            if options.soak_minutes:
                soaked = await soak(plan, options.soak_minutes, say)
                done.append(lambda: _tell_soak(options, soaked, seed))
            else:
                await run(plan, say, result)
                done.append(lambda: _tell(options, result))

        if not uvloop.run(interruptible(work_through)):
            if result.verdicts:
                output.remark(f"interrupted after {len(result.verdicts)} faults; this is what became of them")
                _tell(options, result)
            raise KeyboardInterrupt
        if not done[0]():
            output.remark(f"[red]promises were not kept[/]; the logs are in {work}")
            sys.exit(1)
        if options.work is None:
            shutil.rmtree(work, ignore_errors=True)


def check(options: ChaosOptions) -> None:
    """Refuse what cannot be done.

    Raises:
        UsageError: naming the flag.
    """
    if not options.store:
        raise UsageError("--store is needed: a folder, or s3://BUCKET/PREFIX")
    check_range("shards", options.shards, 1, 16)
    check_range("routers", options.routers, 1, 4)
    check_range("replicas", options.replicas, 1, 16)
    check_range("load", options.load, 0.01, 5)
    check_range("rate", options.rate, 0, 1e5)
    check_range("seconds", options.seconds, 0.5, 3600)
    check_range("minutes", options.minutes, 0, 24 * 60)
    check_range("soak-minutes", options.soak_minutes, 0, 24 * 60)
    check_range("requests", options.requests, 0, 1e9)
    if catalogue.CLOCK_STEP in options.fault and not can_step():
        raise UsageError(f"--fault {catalogue.CLOCK_STEP} needs Linux and a C compiler (cc); there is none here")
    if options.s3:
        weed()
    unknown = sorted(set(options.fault) - set(catalogue.FAULTS))
    if unknown:
        raise UsageError(f"there is no fault {unknown[0]!r}; there are: {', '.join(catalogue.FAULTS)}")


def make_plan(options: ChaosOptions, seed: int, work: Path) -> Plan:
    """What to do, drawn from the seed."""
    names = options.fault or tuple(name for name in catalogue.FAULTS if name != catalogue.CLOCK_STEP or can_step())
    clock = catalogue.CLOCK_STEP in names
    terrain = Terrain(options.store, work, options.shards, options.replicas, options.routers, seed, clock, options.s3)
    return Plan(
        terrain,
        seed,
        names,
        options.seconds,
        options.load,
        options.rate,
        requests=options.requests,
        minutes=options.minutes,
    )


@contextlib.contextmanager
def _work(chosen: Path | None) -> Iterator[Path]:
    # A temporary folder on the store's own disk would be better linked, but the store is not ours to write to.
    yield chosen.resolve() if chosen else Path(tempfile.mkdtemp(prefix="trunkshow-chaos-"))


def _tell(options: ChaosOptions, result: Result) -> bool:
    """Say what became of it; whether every promise was kept."""
    again = _again(options, result.plan.seed, result.rate)
    if options.markdown is not None:
        _replace(options.markdown, report.markdown(result, again), soak=False)
    if options.json:
        output.show_json(report.to_json(result))
    else:
        output.show(report.table(result))
        output.show(report.events_table(result))
        output.show(*report.summary(result.by_fault))
        output.remark(f"[dim]again: {again}[/]")
    return report.passed(result)


def _tell_soak(options: ChaosOptions, soaked: Soaked, seed: int) -> bool:
    """The same of a soak."""
    text = soak_report.soak_markdown(soaked, _again(options, seed, soaked.rate))
    if options.markdown is not None:
        _replace(options.markdown, text, soak=True)
    if options.json:
        output.show_json({**asdict(soaked), "tally": soaked.tally.to_json(), "passed": soaked.passed})
    else:
        output.show_as_it_is(text)
    return soaked.passed


def _replace(path: Path, text: str, *, soak: bool) -> None:
    """Write one half of the report, and leave the other as it is: faults first, then the soak."""
    before, title, after = (
        path.read_text(encoding="utf-8").partition(soak_report.SOAK_TITLE) if path.exists() else ("", "", "")
    )
    whole = before.rstrip() + "\n\n" + text if soak else text + ("\n" + title + after if title else "")
    path.write_text(whole.lstrip(), encoding="utf-8")


def _again(options: ChaosOptions, seed: int, rate: float) -> str:
    """The command that does the same again, at the same rate, though another machine may sustain another one."""
    said = {"store": options.store, "seed": seed, "seconds": options.seconds, "load": options.load}
    said |= {"shards": options.shards, "replicas": options.replicas, "routers": options.routers}
    optional = {"fault": ",".join(options.fault), "minutes": options.minutes, "requests": options.requests}
    optional["soak-minutes"] = options.soak_minutes
    said |= {name: value for name, value in {**optional, "rate": round(rate, 1)}.items() if value}
    return "trunkshow chaos " + " ".join(f"--{name} {value}" for name, value in said.items()) + " --s3" * options.s3


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
