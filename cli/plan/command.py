"""`trunkshow plan`: pods, memory, disk and the expected p99 of a size, and what each of these figures rests on.

The sums are `cli.plan.arithmetic`'s, the unit costs `cli.plan.costs`'.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from cyclopts import Parameter
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cli import output, pictures
from cli.output import UsageError
from cli.plan import arithmetic, costs
from cli.plan.arithmetic import Basis, Figure, Plan
from cli.plan.costs import Costs
from cli.plan.layout import DoesNotFit, Size

USERS_MAX = 10_000_000_000
ITEMS_MAX = 1_000_000_000
REQUESTS_PER_S_MAX = 100_000_000
REPLICAS_MAX = 16
FACTORS_MAX = 1024
HISTORY_MAX = 10_000
POD_GIB_MAX = 4096
_STYLES = {Basis.MEASURED: "green", Basis.EXTRAPOLATED: "yellow", Basis.CHOSEN: "dim"}


@Parameter(name="*")
@dataclass(frozen=True)
class PlanOptions:
    """The size."""

    users: int
    """Whom the snapshot knows."""

    items: int
    """Of the catalogue."""

    requests_per_second: float
    """At the peak of a day; of slates of two carousels of ten."""

    replicas: int = 2
    """Shards that hold each partition."""

    factors: int = 64
    """Dimensions of a taste vector."""

    history: float = 0
    """Items in a user's history, in the mean; as in what was measured where left out."""

    pod_memory_gib: float = 16
    """Memory of a shard's pod, in GiB; more is planned with only where the catalogue alone needs it."""

    json: bool = False
    """Print the plan as JSON."""


def plan(*, options: PlanOptions) -> None:
    """Say how many pods, and how much memory and disk, a size needs, from what a unit was measured to cost."""
    held = costs.shipped()
    size = size_of(options, held)
    try:
        planned = arithmetic.plan(size, held)
    except DoesNotFit as error:
        raise UsageError(str(error)) from None
    if options.json:
        output.show_json(to_json(size, planned, held))
    else:
        output.show(*lines(planned, held))


def size_of(options: PlanOptions, held: Costs) -> Size:
    """What is planned for.

    Raises:
        UsageError: a number out of range.
    """
    output.check_range("users", options.users, 1, USERS_MAX)
    output.check_range("items", options.items, 1, ITEMS_MAX)
    output.check_range("requests-per-second", options.requests_per_second, 0.001, REQUESTS_PER_S_MAX)
    output.check_range("replicas", options.replicas, 1, REPLICAS_MAX)
    output.check_range("factors", options.factors, 1, FACTORS_MAX)
    output.check_range("history", options.history, 0, HISTORY_MAX)
    output.check_range("pod-memory-gib", options.pod_memory_gib, 1, POD_GIB_MAX)
    return Size(
        options.users,
        options.items,
        options.requests_per_second,
        options.replicas,
        options.factors,
        options.history or held.history,
        int(options.pod_memory_gib * 2**30),
    )


def to_json(size: Size, planned: Plan, held: Costs) -> dict[str, Any]:
    """A plan as plain values."""
    return {
        "size": asdict(size),
        "figures": [{**asdict(one), "from": [held[name].measured for name in one.sources]} for one in planned.figures],
        "remarks": list(planned.remarks),
        "measured": {
            "commit": held.commit,
            "command": held.command,
            "machine": dict(held.machine),
            "quiet": held.quiet,
        },
    }


def lines(planned: Plan, held: Costs) -> Iterator[RenderableType]:
    """What a person sees; what figures come from is numbered, and told once."""
    numbers = {name: at for at, name in enumerate(dict.fromkeys(_all_sources(planned)), start=1)}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    table.add_column("", justify="right")
    table.add_column("from")
    table.add_column("")
    for one in planned.figures:
        sources = ",".join(str(numbers[name]) for name in one.sources)
        table.add_row(Text(one.name, no_wrap=True), amount(one), sources, Text(_trusted(one), _STYLES[one.basis]))
    yield table
    for name, at in numbers.items():
        yield Text(
            f"{at:2}  {held[name].measured}: {held[name].points} points, {held[name].worst_error:.0%} off at worst"
        )
    yield Text("")
    yield from (Text(f"- {remark}") for remark in planned.remarks)
    machine = held.machine
    yield Text(
        f"- measured at {held.commit} by {held.command}, {machine['date']}, {machine['cpus']} x {machine['cpu']}"
    )


def _all_sources(planned: Plan) -> Iterator[str]:
    for one in planned.figures:
        yield from one.sources


def _trusted(figure: Figure) -> str:
    """How far a figure may be trusted; where it is extrapolated, the farthest of what lies beyond the measurements."""
    if not figure.beyond:
        return f"{figure.basis.value}: {figure.why}" if figure.why else figure.basis.value
    term, times = next(iter(figure.beyond.items()))
    return f"{figure.basis.value} {pictures.number(times)} x {term.partition(' ')[0]}"


def amount(figure: Figure) -> str:
    """A value with its unit, for a person."""
    if figure.unit == "bytes":
        return pictures.size(figure.value)
    if figure.unit == "CPU s" and figure.value >= 3600:
        return f"{pictures.number(figure.value / 3600)} CPU h"
    unit = {"milliseconds": "ms"}.get(figure.unit, figure.unit)
    return f"{pictures.number(figure.value)} {unit}".strip()
