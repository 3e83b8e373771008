"""`trunkshow trending`: what trends now, by the lists that the router shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter
from rich.console import RenderableType
from rich.markup import escape
from rich.text import Text

from cli import output
from cli.access import NOTHING, Access
from cli.ask import CONNECT_WITHIN_S, DEFAULT_TARGET, Json, Store, Target
from cli.output import UsageError
from cli.render import table_of
from cli.titles import Titles
from trunkshow.online.trends import EVERYBODY, Listed, Trends


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
    """Print it as JSON."""


DEFAULTS = TrendingOptions()


def trending(*, options: TrendingOptions = DEFAULTS) -> None:
    """Show what trends now: items of which more happens than was expected, largest surge first.

    Args:
        options: what is shown.
    """
    output.check_range("n", options.n, 1, 50)
    with options.access.client(options.target) as client:
        client.connect(CONNECT_WITHIN_S)
        trends = client.status().trends
    if not trends.known_from_ms:
        raise UsageError("no shard can tell: none follows an event log, or none has heard its past yet")
    listed = trends.of(options.segment)[: options.n]
    if options.json:
        items = [one._asdict() for one in listed]
        known = {"known_from": _moment(trends.known_from_ms), "known_to": _moment(trends.known_to_ms)}
        output.show_json({**known, "segment": options.segment, "items": items})
        return
    with Titles.of(options.store) as titles:
        output.show(*lines(trends, listed, titles))


def lines(trends: Trends, listed: tuple[Listed, ...], titles: Titles) -> Iterator[RenderableType]:
    """What a person sees."""
    if listed:
        table = table_of("item", *(["title"] if titles else []), "at least", "lately", "usually")
        for one in listed:
            title = [escape(titles.get(one.item_id))] if titles else []
            numbers = f"{one.surge:.1f} times", f"{one.observed:.1f}", f"{one.expected:.1f}"
            table.add_row(escape(one.item_id), *title, *numbers)
        yield table
    else:
        yield Text("nothing trends", "yellow")
    yield Text(f"by events from {_moment(trends.known_from_ms)} to {_moment(trends.known_to_ms)}", "dim")


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds") if ms else "never"
