"""`trunkshow demo`: all of it once, on simulated grocery shopping. Data, build, cluster, shoppers, clicks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyclopts import Parameter
from rich.console import RenderableType
from rich.markup import escape
from rich.rule import Rule

from cli import cluster_view, demo_clicks, output, render
from cli.build import BuildOptions, run_build, summary
from cli.cluster import Plan, interruptible, running
from cli.local_log import LogPlan
from cli.logs import fresh_folder
from cli.output import UsageError
from cli.titles import Titles
from cli.up import say_in_words
from shard.config import ShardConfig
from trunkshow.answers import Slate
from trunkshow.client import AsyncClient

SHARDS, REPLICAS = 3, 2
ITEMS_SHOWN, CAROUSELS_SHOWN = 4, 5
WARMING = 20
"""Requests before the ones that are shown: a cluster that has just started is not what anyone will meet."""


@Parameter(name="*")
@dataclass(frozen=True)
class DemoOptions:
    """What can be chosen of the demo."""

    work: Path = Path(".demo")
    """Folder for its dataset, its snapshots and its logs."""

    build_only: bool = False
    """End once the snapshot is built; `trunkshow up --store WORK/store` then serves it."""

    json: bool = False
    """Print one JSON: the build's report, the three slates, and what clicks made of two others."""


@dataclass(frozen=True)
class Shopper:
    """Somebody to ask for."""

    who: str
    user: str
    items: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stage:
    """Who appears, and what became of it.

    Attributes:
        shoppers: asked for, one after the other.
        clicks: items that are clicked.
        slates: of the shoppers, as plain values.
        clicked: what the clicks made, as plain values.
    """

    shoppers: tuple[Shopper, ...]
    clicks: tuple[str, ...]
    slates: list[dict[str, Any]]
    clicked: list[dict[str, Any]]


DEFAULTS = DemoOptions()


def demo(*, options: DemoOptions = DEFAULTS) -> None:
    """See all of it once: build from simulated grocery shopping, start a cluster, ask for shoppers, click, end it."""
    try:
        from cli import demo_data
    except ImportError as error:
        raise UsageError(f"the builder is not installed ({error.name}); install trunkshow[demo]") from error

    quiet, store = options.json, options.work / "store"
    if not quiet:
        output.show(Rule("1  data", align="left"), demo_data.SOURCE)
    data = demo_data.materialise(options.work)
    if not quiet:
        output.show(f"dataset file: {data.dataset}", "", Rule("2  build", align="left"))
    report = run_build(data.dataset, BuildOptions(str(store)), quiet=quiet).to_json()
    if not quiet:
        output.show(*summary(report, store))
    slates: list[dict[str, Any]] = []
    clicks: list[dict[str, Any]] = []
    if not options.build_only:
        shoppers = (
            Shopper("a shopper we know", data.known_user),
            Shopper("a new shopper with two items in hand", "new-shopper", data.items_in_hand),
            Shopper("a shopper nobody knows", "nobody-knows-me"),
        )
        logs = fresh_folder(options.work.resolve() / "logs")
        events = LogPlan(folder=fresh_folder(options.work.resolve() / "events"))
        plan = Plan(str(store.resolve()), report["version"], SHARDS, REPLICAS, "127.0.0.1:0", logs, log=events)
        stage = Stage(shoppers, data.clicks, slates, clicks)
        done = asyncio.run(interruptible(lambda hurry: _ask_a_cluster(plan, stage, hurry, quiet=quiet)))
        if not done:
            raise KeyboardInterrupt
    if quiet:
        output.show_json({"build": report, "slates": slates, "clicks": clicks})
    else:
        output.show("", Rule("your turn", align="left"))
        output.show_as_it_is(_what_next(data.known_user, store))


async def _ask_a_cluster(plan: Plan, stage: Stage, hurry: asyncio.Event, *, quiet: bool) -> None:
    """Start a cluster, ask for every shopper, let two of them click, show the slates, end it; all are kept for JSON."""
    if not quiet:
        output.show(
            "", Rule(f"3  a cluster: {SHARDS} shards, each partition on {REPLICAS}, and a router", align="left")
        )
    say = (lambda event, **details: None) if quiet else say_in_words
    with Titles.of(plan.store, plan.snapshot) as titles:
        async with running(plan, say, hurry) as cluster, AsyncClient(cluster.target) as client:
            await client.connect()
            for _ in range(WARMING):
                await client.recommend(stage.shoppers[0].user)
            for number, shopper in enumerate(stage.shoppers, 4):
                slate = await client.recommend(shopper.user, items=shopper.items, items_per_carousel=ITEMS_SHOWN)
                stage.slates.append(
                    {"who": shopper.who, "user": shopper.user, "items": shopper.items, **slate.to_json()}
                )
                if not quiet:
                    output.show("", *_shown(number, shopper, slate, titles))
            known = stage.shoppers[0].user
            clicking = (
                ("that shopper clicks three items of one category", known, stage.clicks),
                ("a stranger clicks two", "first-time-here", stage.clicks[:2]),
            )
            for number, (who, user, items) in enumerate(clicking, 4 + len(stage.shoppers)):
                one = await demo_clicks.clicked(client, who, user, items, ITEMS_SHOWN)
                stage.clicked.append(one.to_json())
                if not quiet:
                    output.show("", Rule(f"{number}  {who}: {user}", align="left"), *demo_clicks.shown(one, titles))
            if not quiet:
                # Shards report now and then; what is shown is to count the answers above.
                await asyncio.sleep(1.5 * ShardConfig.status_period_s)
                output.show("", Rule("the cluster as its router sees it", align="left"))
                output.show(*cluster_view.status(await client.status()), "")


def _shown(number: int, shopper: Shopper, slate: Slate, titles: Titles) -> Iterator[RenderableType]:
    yield Rule(f"{number}  {shopper.who}: {shopper.user}", align="left")
    for item in shopper.items:
        yield f"in hand: {item}  [dim]{escape(titles.get(item))}[/]"
    first, rest = slate.carousels[:CAROUSELS_SHOWN], slate.carousels[CAROUSELS_SHOWN:]
    yield from (render.carousel(carousel, titles) for carousel in first)
    if rest:
        yield f"\n[dim]and {len(rest)} more carousels: {escape(', '.join(carousel.title for carousel in rest))}[/]"
    yield render.receipt(slate.receipt)


def _what_next(user: str, store: Path) -> str:
    return f"""\
Start a cluster that stays:

    [bold]trunkshow up --store {store}[/]

and ask it, from a terminal,

    [bold]trunkshow recommend {user} --store {store}[/]

from Python (examples/python),

    [bold]from trunkshow import Client

    with Client("127.0.0.1:7450") as client:
        slate = client.recommend("{user}")
        print(slate.carousels[0].title, \\[item.item_id for item in slate.carousels[0].items])[/]

or from Node (examples/node):

    [bold]npm install && node index.js {user}[/]"""
