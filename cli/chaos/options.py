"""What `trunkshow chaos` can be told, and the plan that comes of it: by its flags, or by the report of a run before.

A flag that is not given is None, so that it can be taken from the report of a run that goes on.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cyclopts import Parameter

from cli.chaos import catalogue
from cli.chaos.clock import can_step
from cli.chaos.places import weed
from cli.chaos.plan import Plan
from cli.chaos.terrain import Terrain
from cli.output import Names, UsageError, check_range

DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "store": "",
        "fault": (),
        "seconds": 5.0,
        "load": 0.5,
        "rate": 0.0,
        "shards": 3,
        "replicas": 2,
        "routers": 2,
        "s3": False,
        "requests": 0,
    }
)
"""Where neither a flag nor a report says another."""

MAY_DIFFER = ("store", "requests")
"""Between the parts of a run: the store may lie elsewhere, as long as its snapshot is the same, and a run may be made
longer."""


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

    seconds: float | None = None
    """How long each fault lasts, about: 0.5 to 3600; 5 where not given."""

    requests: int | None = None
    """Go on, with other draws, each round in a new cluster, until so many requests were sent during faults."""

    minutes: float = 0.0
    """Go on, with other draws, each round in a new cluster, for so long."""

    soak_minutes: float = 0.0
    """Instead of faults: so many minutes with a new snapshot every minute; memory and descriptors must stay flat."""

    load: float | None = None
    """Share of what the cluster is measured to sustain that is asked of it, above 0 to 5; 0.5 where not given."""

    rate: float | None = None
    """Requests a second instead of a share; the share where not given."""

    shards: int | None = None
    """How many shards, 1 to 16; 3 where not given."""

    replicas: int | None = None
    """How many shards hold each partition; 2 where not given."""

    routers: int | None = None
    """How many routers, 1 to 4; 2 where not given."""

    s3: bool | None = None
    """Serve from a bucket of a SeaweedFS server that is started for it, and not from a folder."""

    resume: Path | None = None
    """Go on with the run of this report (of --json, or report.json in the work folder, written after every fault): with
    the step after the last one judged, and as the report says where a flag is not given. --requests counts over all
    parts together."""

    work: Path | None = None
    """Folder for the copy and the logs, emptied first; a temporary one, removed after a pass, where not given."""

    markdown: Path | None = None
    """Write the report as Markdown to this file too."""

    json: bool = False
    """Print the report as one JSON value."""

    list: bool = False
    """Name the faults, and do nothing."""


def make_plan(options: ChaosOptions, told: Mapping[str, Any] | None = None) -> Plan:
    """What to do, drawn from the seed; where is told later.

    Args:
        options: the flags.
        told: the flags of the run that goes on, by its report; None for a new run.

    Raises:
        UsageError: naming the flag that cannot be, or every one that is not the report's.
    """
    given = _given(options)
    if told is not None:
        _agree(given, told)
    chosen = {**DEFAULTS, **(told or {}), **given}
    _check(options, chosen)
    seed = int(chosen["seed"]) if "seed" in chosen else random.SystemRandom().randrange(2**31)
    names = tuple(chosen["fault"]) or _all_faults()
    terrain = Terrain(
        chosen["store"],
        Path(),
        chosen["shards"],
        chosen["replicas"],
        chosen["routers"],
        seed,
        catalogue.CLOCK_STEP in names,
        chosen["s3"],
    )
    return Plan(
        terrain,
        seed,
        names,
        chosen["seconds"],
        chosen["load"],
        chosen["rate"],
        requests=chosen["requests"],
        minutes=options.minutes,
    )


def again(plan: Plan, rate: float, soak_minutes: float = 0.0) -> str:
    """The command that does the same again, at the same rate, though another machine may sustain another one."""
    said = plan.flags()
    said["fault"] = "" if plan.faults == _all_faults() else ",".join(plan.faults)
    said |= {"minutes": plan.minutes, "soak-minutes": soak_minutes, "rate": rate}
    is_s3 = bool(said.pop("s3"))
    told = (f"--{name} {value}" for name, value in said.items() if value or name == "seed")
    return "trunkshow chaos " + " ".join(told) + " --s3" * is_s3


def _all_faults() -> tuple[str, ...]:
    return tuple(name for name in catalogue.FAULTS if name != catalogue.CLOCK_STEP or can_step())


def _given(options: ChaosOptions) -> dict[str, Any]:
    """The flags of a run that were given, by name."""
    flags = {name: getattr(options, name) for name in DEFAULTS}
    given = {name: value for name, value in flags.items() if value not in (None, "", ())}
    return given | ({"seed": options.seed} if options.seed >= 0 else {})


def _agree(given: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    differing = [
        f"--{name} {_shown(value)} is not the report's {_shown(told[name])}"
        for name, value in given.items()
        if name not in MAY_DIFFER and _shown(value) != _shown(told[name])
    ]
    if differing:
        raise UsageError("a run goes on as it began: " + "; ".join(differing))


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, Sequence) else f"{float(value):.10g}"


def _check(options: ChaosOptions, chosen: Mapping[str, Any]) -> None:
    """Refuse what cannot be done."""
    if not chosen["store"]:
        raise UsageError("--store is needed: a folder, or s3://BUCKET/PREFIX")
    if options.resume is not None and options.soak_minutes:
        raise UsageError("--resume goes on with a run of faults; a soak begins anew")
    if options.markdown is not None and (options.markdown.is_dir() or not options.markdown.parent.is_dir()):
        raise UsageError(f"--markdown {options.markdown} cannot be written; name a file in a folder that exists")
    check_range("shards", chosen["shards"], 1, 16)
    check_range("routers", chosen["routers"], 1, 4)
    check_range("replicas", chosen["replicas"], 1, 16)
    check_range("load", chosen["load"], 0.01, 5)
    check_range("rate", chosen["rate"], 0, 1e5)
    check_range("seconds", chosen["seconds"], 0.5, 3600)
    check_range("minutes", options.minutes, 0, 24 * 60)
    check_range("soak-minutes", options.soak_minutes, 0, 24 * 60)
    check_range("requests", chosen["requests"], 0, 1e9)
    unknown = sorted(set(chosen["fault"]) - set(catalogue.FAULTS))
    if unknown:
        raise UsageError(f"there is no fault {unknown[0]!r}; there are: {', '.join(catalogue.FAULTS)}")
    if catalogue.CLOCK_STEP in chosen["fault"] and not can_step():
        raise UsageError(f"--fault {catalogue.CLOCK_STEP} needs Linux and a C compiler (cc); there is none here")
    if chosen["s3"]:
        weed()
