"""`trunkshow trending`: what trends now, by the lists that the router shows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cli import output
from cli.access import NOTHING, Access
from cli.ask import CONNECT_WITHIN_S, DEFAULT_TARGET, Json, Store, Target
from cli.output import UsageError
from cli.render import table_of
from cli.titles import Titles
from trunkshow.features import name_of
from trunkshow.online.trends import EVERYBODY, Listed, Trends, TrendWindow


@Parameter(name="*")
@dataclass(frozen=True)
class TrendingOptions:
    """What is shown."""

    segment: str = EVERYBODY
    """Name of a segment of users; everybody's list where empty."""

    n: int = 10
    """Items, 1 to 50."""

    target: Target = DEFAULT_TARGET
    """Address of the router."""

    store: Store = None
    """The snapshot store, a folder or s3://BUCKET/PREFIX, to show items by their titles; ids are shown without it."""

    access: Annotated[Access, Parameter(name="*")] = NOTHING
    """What the router is shown."""

    json: Json = False
    """Print it as JSON, with the counts of every window."""


DEFAULTS = TrendingOptions()


def trending(*, options: TrendingOptions = DEFAULTS) -> None:
    """Show what trends now: items of which more happens than was expected, largest surge first, and what was done.

    Counts decay: an event counts one when it happens, and half of that after the half-life. The table has those of the
    half-life by which an item trends.

    Args:
        options: what is shown.
    """
    output.check_range("n", options.n, 1, 50)
    with options.access.client(options.target) as client:
        client.connect(CONNECT_WITHIN_S)
        trends = client.status().trends
    if not trends.known_from_ms:
        raise UsageError("no shard can tell: none follows an event log, or none has heard its past yet")
    if options.json:
        output.show_json(as_json(trends, options.segment, options.n))
        return
    with Titles.of(options.store) as titles:
        output.show(*lines(trends, options.segment, options.n, titles))


def as_json(trends: Trends, segment: str, count: int) -> dict[str, Any]:
    """What a machine reads."""
    windows = trends.windows.get(segment, ())
    return {
        "known_from": _moment(trends.known_from_ms),
        "known_to": _moment(trends.known_to_ms),
        "segment": segment,
        "items": [
            {**one._asdict(), "windows": [_window(window, at) for window in windows]}
            for at, one in enumerate(trends.of(segment)[:count])
        ],
    }


def _window(window: TrendWindow, at: int) -> dict[str, Any]:
    expected = window.expected[at]
    return {
        "half_life_s": window.half_life_s,
        "counts": _counts(window, at),
        "observed": window.observed[at],
        "expected": expected if math.isfinite(expected) else None,
        "surge": window.surges[at],
    }


def lines(trends: Trends, segment: str, count: int, titles: Titles) -> Iterator[RenderableType]:
    """What a person sees."""
    listed = trends.of(segment)[:count]
    yield _table(listed, trends.windows.get(segment, ()), titles) if listed else Text("nothing trends", "yellow")
    yield Text(f"by events from {_moment(trends.known_from_ms)} to {_moment(trends.known_to_ms)}", "dim")


def _table(listed: Sequence[Listed], windows: Sequence[TrendWindow], titles: Titles) -> Table:
    """A line for each item: how much more than usual, and what was done with it; a shard may tell no counts."""
    best = [_best(windows, at) for at in range(len(listed))] if windows else []
    counts = [_counts(window, at) for at, window in enumerate(best)]
    names = list(dict.fromkeys(name for one in counts for name in one))
    table = table_of("item", *(["title"] if titles else []), "at least", "lately", "usually", *names)
    if best:
        table.add_column("half-life")
    for at, one in enumerate(listed):
        title = [escape(titles.get(one.item_id))] if titles else []
        numbers = f"{one.surge:.1f} times", f"{one.observed:.1f}", f"{one.expected:.1f}"
        done = [f"{counts[at][name]:.1f}" if name in counts[at] else "[dim]·[/]" for name in names]
        table.add_row(escape(one.item_id), *title, *numbers, *done, *(_minutes(window) for window in best[at : at + 1]))
    return table


def _counts(window: TrendWindow, at: int) -> dict[str, float]:
    return {name_of(kind): counts[at] for kind, counts in window.counts.items() if counts[at] > 0}


def _best(windows: Sequence[TrendWindow], at: int) -> TrendWindow:
    return max(windows, key=lambda window: window.surges[at])


def _minutes(window: TrendWindow) -> str:
    return f"{window.half_life_s / 60:g} min"


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds") if ms else "never"
