"""`trunkshow features`: what users and items did lately, as the cluster counts it; one table for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from cyclopts import Parameter
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cli import output, render
from cli.access import NOTHING, Access
from cli.ask import CONNECT_WITHIN_S, DEADLINE_MS_MAX, DEFAULT_TARGET, Json, Target
from cli.output import Names, UsageError
from trunkshow.features import Features, FeaturesAnswer, WindowCounts


@Parameter(name="*")
@dataclass(frozen=True)
class FeaturesOptions:
    """Whose features, and where to ask."""

    target: Target = DEFAULT_TARGET
    """Address of the router."""

    user: Names = ()
    """Users, at most 100; may be repeated."""

    item: Names = ()
    """Items, at most 100; may be repeated."""

    deadline_ms: float = 200.0
    """How long an answer may take, in milliseconds; the router cuts it to its own 200."""

    access: Annotated[Access, Parameter(name="*")] = NOTHING
    """What the router is shown."""

    json: Json = False
    """Print the answer as JSON."""


FEATURES = FeaturesOptions()


def features(*, options: FeaturesOptions = FEATURES) -> None:
    """Show feature windows: counts by interaction in 5 minutes to 30 days, the last price and the last category."""
    output.check_range("deadline-ms", options.deadline_ms, 1, DEADLINE_MS_MAX)
    if not options.user and not options.item:
        raise UsageError("write --user ID, --item ID, or several of each")
    with options.access.client(options.target, deadline_ms=options.deadline_ms) as client:
        client.connect(CONNECT_WITHIN_S)
        answer = client.features(options.user, options.item)
    if options.json:
        output.show_json(answer.to_json())
    else:
        output.show(*_shown(answer))


def _shown(answer: FeaturesAnswer) -> Iterator[RenderableType]:
    for of, told in (("user", answer.users), ("item", answer.items)):
        for one in told:
            yield Text.assemble((f"\n{of} ", "dim"), (one.id, "bold"), ("" if one.known else _nothing(one), "yellow"))
            if one.known:
                yield _table(one)
            if not one.missing:
                yield render.pairs(_about(one))


def _nothing(one: Features) -> str:
    return f"  not told: {one.missing.name}" if one.missing else "  nothing known of the last 30 days"


def _table(one: Features) -> Table:
    """Interactions below one another, windows side by side; what may be incomplete has a star."""
    windows = list(one.windows.values())
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, header_style="dim", padding=(0, 1))
    table.add_column("")
    for window in windows:
        table.add_column(window.window + ("" if window.complete else "*"), justify="right")
    for name in dict.fromkeys(name for window in windows for name in window.counts):
        table.add_row(name, *(_count(window, name) for window in windows))
    return table


def _count(window: WindowCounts, name: str) -> str:
    count = window.counts.get(name, 0)
    return f"{count:,}" if count else "[dim]·[/]"


def _about(one: Features) -> dict[str, str]:
    starred = "" if all(window.complete for window in one.windows.values()) else "  (* may lack what happened before)"
    told = {
        "last price": "" if one.last_price is None else f"{one.last_price:g}",
        "last category": one.last_category,
        "as of": _time(one.moment),
        "known from": _time(one.known_from) + starred,
        "watermark": one.watermark,
        "told by": one.replica,
    }
    return {name: value for name, value in told.items() if value}


def _time(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"
