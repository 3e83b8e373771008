"""`trunkshow recommend`, `similar` and `status`: one question each to a router, through the client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from cli import cluster_view, output, render
from cli.access import NOTHING, Access
from cli.output import Names, UsageError
from cli.titles import Titles
from trunkshow.answers import Slate
from trunkshow.receipts import Rung

Target = Annotated[str, Parameter(env_var="TRUNKSHOW_TARGET")]
Store = Annotated[str | None, Parameter(env_var="TRUNKSHOW_STORE")]
Json = Annotated[bool, Parameter(help="Print the answer as JSON.")]

DEFAULT_TARGET = "127.0.0.1:7450"
CONNECT_WITHIN_S = 2.0

ITEMS_MAX = 100
DEADLINE_MS_MAX = 3_600_000


@Parameter(name="*")
@dataclass(frozen=True)
class AskOptions:
    """What every question has."""

    target: Target = DEFAULT_TARGET
    """Address of the router."""

    deadline_ms: float = 200.0
    """How long an answer may take, in milliseconds; the router cuts it to its own 200."""

    store: Store = None
    """The snapshot store, a folder or s3://BUCKET/PREFIX, to show items by their titles; ids are shown without it."""

    n: int = 10
    """Items per carousel, 1 to 100."""

    category: Names = ()
    """Only items of any of these categories."""

    attribute: Annotated[tuple[str, ...], Parameter(show_default=False, metavar="NAME=A,B")] = ()
    """Only items whose attribute has one of the values; may be repeated, and all must hold."""

    include_unavailable: bool = False
    """Also items that the catalogue marks as not available."""

    access: Annotated[Access, Parameter(name="*")] = NOTHING
    """What the router is shown."""

    json: Json = False
    """Print the answer as JSON."""

    def check(self) -> None:
        """Refuse what no router would take, before one is asked.

        Raises:
            UsageError: a number out of range.
        """
        output.check_range("n", self.n, 1, ITEMS_MAX)
        output.check_range("deadline-ms", self.deadline_ms, 1, DEADLINE_MS_MAX)

    def attributes(self) -> Mapping[str, tuple[str, ...]]:
        """The attribute filters, by name.

        Raises:
            UsageError: one is not of the form NAME=VALUE.
        """
        pairs = [one.partition("=") for one in self.attribute]
        for name, _, values in pairs:
            if not name or not values:
                raise UsageError(f"--attribute {name!r} has no value; write NAME=VALUE or NAME=A,B")
        return {name: tuple(values.split(",")) for name, _, values in pairs}


@Parameter(name="*")
@dataclass(frozen=True)
class RecommendOptions(AskOptions):
    """What a slate can be asked with."""

    items: Names = ()
    """Items in hand, newest first: session, basket, product page."""

    surface: str = ""
    """Where the slate is shown: home, product, basket, last_call, search or email; home where empty."""

    carousels: Names = ()
    """Carousels wanted, in order; the surface's own where empty."""

    exclude: Names = ()
    """Items never shown."""

    include_seen: bool = False
    """Also items that the user already had, where the data set would hide them."""

    worst_rung: str = ""
    """Rather an error than a carousel of a lower rung than fresh, snapshot, previous, stand-in, segment or popular."""

    at_least_as_fresh: str = ""
    """Watermark that recording events was answered with: the slate waits for these, as long as its deadline allows."""

    request_id: str = ""
    """Comes back in the receipt, and stands in the logs; made by the router where empty."""

    def lowest(self) -> Rung | None:
        """The lowest rung that is accepted; None where all are.

        Raises:
            UsageError: there is no such rung.
        """
        if not self.worst_rung:
            return None
        named = {rung.name: rung for rung in Rung if rung}
        rung = named.get(self.worst_rung.upper().replace("-", "_"))
        if rung is None:
            raise UsageError(f"--worst-rung {self.worst_rung} is no rung; choose one of {', '.join(named)}")
        return rung


@Parameter(name="*")
@dataclass(frozen=True)
class StatusOptions:
    """Which cluster."""

    target: Target = DEFAULT_TARGET
    """Address of the router."""

    access: Annotated[Access, Parameter(name="*")] = NOTHING
    """What the router is shown."""

    json: Json = False
    """Print the answer as JSON."""


RECOMMEND, SIMILAR, STATUS = RecommendOptions(), AskOptions(), StatusOptions()


def recommend(user: str, /, *, options: RecommendOptions = RECOMMEND) -> None:
    """Ask for a user's slate: carousels with a reason per item, and the receipt that says how good it is.

    Args:
        user: whom the slate is for; one that nobody knows is answered too.
        options: what to ask with.
    """
    slate = ask(user, options)
    with Titles.of(options.store, slate.receipt.snapshot_version) as titles:
        if options.json:
            output.show_json(slate.to_json())
        else:
            output.show(*render.slate(slate, titles))


def ask(user: str, options: RecommendOptions) -> Slate:
    """The slate that the options ask for."""
    options.check()
    attributes = options.attributes()
    with options.access.client(options.target, deadline_ms=options.deadline_ms) as client:
        client.connect(CONNECT_WITHIN_S)
        return client.recommend(
            user,
            surface=options.surface,
            items=options.items,
            carousels=options.carousels,
            items_per_carousel=options.n,
            exclude=options.exclude,
            categories=options.category,
            attributes=attributes,
            include_unavailable=options.include_unavailable,
            include_seen=options.include_seen,
            worst_rung=options.lowest(),
            at_least_as_fresh=options.at_least_as_fresh,
            request_id=options.request_id,
        )


def similar(item: str, /, *, options: AskOptions = SIMILAR) -> None:
    """Ask for the items that the same users go for, nearest first.

    Args:
        item: what to look from.
        options: what to ask with.
    """
    options.check()
    attributes = options.attributes()
    with options.access.client(options.target, deadline_ms=options.deadline_ms) as client:
        client.connect(CONNECT_WITHIN_S)
        answer = client.similar(
            item,
            options.n,
            categories=options.category,
            attributes=attributes,
            include_unavailable=options.include_unavailable,
        )
    with Titles.of(options.store, answer.receipt.snapshot_version) as titles:
        if options.json:
            output.show_json(answer.to_json())
        else:
            output.show(render.carousel(answer.carousel, titles), render.receipt(answer.receipt))


def status(*, options: StatusOptions = STATUS) -> None:
    """Show the cluster as its router sees it: shards, what they hold, and what was served."""
    with options.access.client(options.target) as client:
        client.connect(CONNECT_WITHIN_S)
        answer = client.status()
    if options.json:
        output.show_json(answer.to_json())
    else:
        output.show(*cluster_view.status(answer))
