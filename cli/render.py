"""What answers and snapshots look like to a person. Values in, rich renderables out; fetching is the commands'."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cli.pictures import RUNG_STYLES, bar, columns, ladder, number, size
from cli.titles import Titles
from trunkshow.answers import Carousel, Slate
from trunkshow.intents import Intent
from trunkshow.receipts import Effort, Receipt
from trunkshow.snapshot.manifest import Manifest


def slate(answer: Slate, titles: Titles) -> Iterator[RenderableType]:
    """A slate: its carousels, then its receipt."""
    for one in answer.carousels:
        yield carousel(one, titles)
    if not answer.carousels:
        yield Text("nothing to show", "yellow")
    if answer.intent is not None:
        yield intent(answer.intent)
    yield receipt(answer.receipt)


def carousel(one: Carousel, titles: Titles) -> RenderableType:
    """A carousel: its title, who made it on which rung, and its items; a reason they all share is said once."""
    reasons = {item.reason for item in one.items}
    shared = reasons.pop() if len(reasons) == 1 else ""
    made = Text.assemble(
        (f"{one.id} · made by {one.source or 'nobody'} · ", "dim"),
        (one.rung.name, RUNG_STYLES[one.rung]),
        (" · " if shared else "", "dim"),
        (shared, "italic"),
    )
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, show_header=False)
    widest = max((len(item.item_id) for item in one.items), default=0)
    # Where the terminal is narrow, titles and reasons give way, not what one copies or compares.
    table.add_column(style="dim", no_wrap=True, min_width=2)
    table.add_column(no_wrap=True, min_width=widest)
    table.add_column()  # the only one that may be narrowed; its texts are cut rather than wrapped
    table.add_column(style="dim", justify="right", no_wrap=True, min_width=6)
    lines = Text("\n", no_wrap=True, overflow="ellipsis")
    for place, item in enumerate(one.items, 1):
        # A reason of its own stands below the title: beside it, both would be cut.
        said = filter(None, (Text(titles.get(item.item_id), "bold"), Text("" if shared else item.reason, "italic")))
        table.add_row(f"{place:2}", escape(item.item_id), lines.join(said), number(item.score))
    return Group(Text(), Text(one.title or one.id, "bold"), made, table if one.items else Text("no items", "dim"))


def intent(one: Intent) -> RenderableType:
    """What the user is doing right now: since when, how sure that is, and which categories it lifts."""
    lines = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for _ in range(3):
        lines.add_column()
    for interest in one.interests:
        share = f"{interest.share:4.0%} {bar(interest.share, 1.0, 20)}"
        lines.add_row(escape(interest.category), share, f"[dim]{interest.lift:.1f} times its usual share[/]")
    since = f", a new one since {one.changed_at:%H:%M:%S} UTC" if one.changed_at is not None else ""
    said = f"within {one.window}{since}; holds with {one.strength:.0%}; last event {one.newest_event:%H:%M:%S} UTC"
    return Group(Text(), Text.assemble(("intent  ", "bold"), (said, "dim")), lines)


def receipt(one: Receipt) -> RenderableType:
    """A receipt: the ladder, then what the answer was made from and where the time went."""
    lines = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    lines.add_column(style="dim")
    lines.add_column()
    lines.add_row("rung", ladder(one.rung))
    lines.add_row("reasons", ", ".join(reason.name for reason in one.reasons) or "none")
    lines.add_row("snapshot", escape(one.snapshot_version) or "none")
    lines.add_row("partitions", f"{one.partitions_answered} of {one.partitions_asked} answered")
    given = f" of {one.budget_ms:.0f} ms given" if one.budget_ms else ""
    lines.add_row("elapsed", f"{one.elapsed_ms:.1f} ms in the router{given}")
    if one.effort > Effort.FULL:
        lines.add_row("effort", one.effort.name)
    if len(one.attempts) > 1:
        lines.add_row(
            "attempts", f"{len(one.attempts)} ({'hedged; ' if one.hedged else ''}`trunkshow explain-receipt` tells)"
        )
    stages: dict[str, list[float]] = {}
    for stage in one.stages:
        stages.setdefault(stage.name, []).append(stage.ms)
    longest = max(map(max, stages.values()), default=0)
    for name, ms in stages.items():
        # Shards that were asked side by side took as long as the slowest of them.
        times = f", slowest of {len(ms)}" if len(ms) > 1 else ""
        lines.add_row(f"  {escape(name)}{times}", f"{max(ms):7.2f} ms {bar(max(ms), longest, 20)}")
    lines.add_row("request", escape(one.request_id))
    return Group(Text(), Text("receipt", "bold"), lines)


def manifest(one: Manifest, *, current: bool) -> Iterator[RenderableType]:
    """A snapshot: what it is, how it was made, how good it is, and what it is made of."""
    yield Text.assemble(
        ("snapshot ", "dim"), (one.version, "bold"), ("   current" if current else "   not current", "dim")
    )
    yield pairs(
        {
            "dataset": one.dataset,
            "created": one.created_at,
            "data until": one.data_until,
            "models": ", ".join(f"{name} → {carousel}" for name, carousel in one.models.items()),
            "segments": ", ".join(one.segments) or "none",
            **{key.replace("_", " "): value for key, value in one.counts.items() if isinstance(value, int)},
        }
    )
    yield titled("parameters", pairs(one.parameters))
    yield measured(one.metrics)
    yield titled("partitions", partitioning(one.counts, one.partitioning, one.index))
    yield titled("files", files(one))


def measured(said: Mapping[str, Any]) -> RenderableType:
    """A manifest's metrics, under a title that says of what: figures by different protocols are not to be compared."""
    within = said.get("protocol") == "held-back"
    return titled(f"metrics on {'events held back within the fit' if within else 'held-out events'}", metrics(said))


def metrics(measured: Mapping[str, Any]) -> RenderableType:
    """The model's metrics beside the baseline's, as bars on one scale."""
    table = table_of("metric", "", "value", "")
    model, baseline = measured.get("model", {}), measured.get("popularity", {})
    for name in model:
        largest = max(model[name], baseline.get(name, 0))
        for who, values, style in (("model", model, "green"), ("popularity", baseline, "dim")):
            value = values.get(name)
            if value is not None:
                table.add_row(name if who == "model" else "", who, f"{value:.4f}", Text(bar(value, largest), style))
    return table


def partitioning(counts: Mapping[str, Any], measures: Mapping[str, Any], index: Mapping[str, Any]) -> RenderableType:
    """How users were partitioned: one column per partition, and what the hash is worth."""
    lines = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    lines.add_column(style="dim")
    lines.add_column()
    pictures: list[RenderableType] = []
    for what in ("users", "items"):
        sizes = counts.get(f"{what}_per_partition", ())
        if sizes:
            said = f"[dim]{what} in each:[/] {min(sizes):,} to {max(sizes):,}"
            pictures += [Text.from_markup(said), Text(columns(sizes), "cyan"), Text()]
    for name, value in measures.items():
        if not isinstance(value, list | dict):
            lines.add_row(name.replace("_", " "), _value(value))
    for name, value in index.items():
        lines.add_row(f"index {name}", _value(value))
    return Group(*pictures, lines)


def files(one: Manifest) -> RenderableType:
    """Files and bytes, by folder."""
    table = table_of("folder", "files", "bytes", "")
    sums: dict[str, list[int]] = {}
    for path, file in one.files.items():
        sums.setdefault(path.partition("/")[0], []).append(file.bytes)
    largest = max(map(sum, sums.values()), default=0)
    for folder, found in sorted(sums.items()):
        table.add_row(escape(folder), f"{len(found):,}", size(sum(found)), bar(sum(found), largest))
    table.add_row("all", f"{len(one.files):,}", size(sum(file.bytes for file in one.files.values())), style="bold")
    return table


def seconds(spent: Mapping[str, float]) -> RenderableType:
    """Where the time went."""
    table = table_of("stage", "value", "")
    for stage, took in spent.items():
        table.add_row(escape(stage), f"{took:.2f} s", bar(took, max(spent.values())))
    return table


def pairs(values: Mapping[str, Any]) -> RenderableType:
    """Names and values, one line each."""
    lines = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    lines.add_column(style="dim")
    lines.add_column()
    for name, value in values.items():
        lines.add_row(name.replace("_", " "), _value(value))
    return lines


def titled(title: str, body: RenderableType) -> RenderableType:
    """A part of a longer text."""
    return Group(Text(), Text(title, "bold"), body)


def table_of(*names: str) -> Table:
    """An empty table; columns of numbers stand to the right."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, header_style="dim", padding=(0, 1))
    for name in names:
        numeric = name in {"requests", "memory", "carousels", "files", "bytes", "value", "p95"}
        table.add_column(name, justify="right" if numeric else "left")
    return table


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, Mapping | list | tuple) and not value:
        return "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_value, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{escape(str(name))} {_value(of)}" for name, of in value.items())
    return escape(str(value))
