"""What a cluster's status looks like to a person. Values in, rich renderables out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.text import Text

from cli.pictures import RUNG_STYLES, bar, ranges, size
from cli.render import pairs, table_of
from trunkshow.cluster import Candidate, ClusterStatus, Generation, LogView, ShardState, ShardView

STATE_STYLES = {
    ShardState.UNSPECIFIED: "dim",
    ShardState.LOADING: "yellow",
    ShardState.READY: "green",
    ShardState.DRAINING: "magenta",
}


def status(one: ClusterStatus) -> Iterator[RenderableType]:
    """The cluster: coverage, shards, and the rungs it served."""
    style = "green" if one.covered else "bold red"
    yield Text.assemble(
        ("snapshot ", "dim"),
        one.snapshot_version or "none",
        ("   partitions covered ", "dim"),
        (f"{one.partitions_covered} of {one.partitions}", style),
        ("   requests ", "dim"),
        f"{one.requests:,}",
    )
    yield _router(one)
    yield _shards(one)
    served = sum(one.rungs.values())
    rungs = table_of("rung", "carousels", "")
    for rung, carousels in sorted(one.rungs.items()):
        rungs.add_row(Text(rung.name, RUNG_STYLES[rung]), f"{carousels:,}", bar(carousels, served))
    if served:
        yield rungs


def _shards(one: ClusterStatus) -> RenderableType:
    """One row per shard; what there is nothing of gets no column."""
    columns_of = {
        "shard": [escape(shard.address) for shard in one.shards],
        "state": [_state(shard) for shard in one.shards],
        "requests": [f"{shard.requests:,}" for shard in one.shards],
        "p95": [f"{shard.p95_ms:.1f} ms" if shard.p95_ms else "" for shard in one.shards],
        "memory": [size(shard.rss_bytes) if shard.rss_bytes else "" for shard in one.shards],
        "partitions": [_numbers(one, shard, lambda generation: generation.warm) for shard in one.shards],
        "surplus": [_numbers(one, shard, lambda generation: generation.surplus) for shard in one.shards],
        "loading": [_numbers(one, shard, lambda generation: generation.loading) for shard in one.shards],
        "stand-ins": [_numbers(one, shard, lambda generation: generation.stand_ins) for shard in one.shards],
        "refused": [_numbers(one, shard, lambda generation: generation.refused) for shard in one.shards],
        "stand-ins refused": [
            _numbers(one, shard, lambda generation: generation.refused_stand_ins) for shard in one.shards
        ],
    }
    shown = {name: cells for name, cells in columns_of.items() if any(cells)}
    table = table_of(*shown)
    if shown:
        table.columns[0].no_wrap, table.columns[0].min_width = True, max(len(shard.address) for shard in one.shards)
    for row in zip(*shown.values(), strict=True):
        table.add_row(*row)
    errors = [Text(f"{shard.address}: {shard.last_error}", "yellow") for shard in one.shards if shard.last_error]
    return Group(table, *errors)


def _state(shard: ShardView) -> str:
    if not shard.reachable:
        return "[bold red]unreachable[/]"
    ejected = " [yellow]ejected[/]" if shard.ejected else ""
    return f"[{STATE_STYLES.get(shard.state, 'red')}]{shard.state.name if shard.state else 'not heard'}[/]{ejected}"


def _numbers(one: ClusterStatus, shard: ShardView, of: Callable[[Generation], Sequence[int]]) -> str:
    """Partitions, a line per version; which one is named only where it is not the router's."""
    held = ((_version_in_words(one, generation.snapshot_version), of(generation)) for generation in shard.generations)
    return "\n".join(f"{len(numbers)}: {ranges(numbers)}{of_which}" for of_which, numbers in held if numbers)


def _version_in_words(one: ClusterStatus, version: str) -> str:
    if version == one.snapshot_version:
        return ""
    if version == one.previous_version:
        return " (previous)"
    is_candidate = one.candidate is not None and version == one.candidate.snapshot_version
    return " (candidate)" if is_candidate else f" ({escape(version)})"


def _router(one: ClusterStatus) -> RenderableType:
    """What there is to say of the router itself; what is as always is left out."""
    said: dict[str, str] = {}
    if one.previous_version:
        said["previous"] = one.previous_version
    if one.previous_version and one.partitions_moved < one.partitions:
        said["moved"] = (
            f"{one.partitions_moved} of {one.partitions} partitions; the others are served from the previous"
        )
    if one.candidate:
        said["candidate"] = _candidate(one.candidate)
    if not one.store_reachable:
        said["store"] = "does not answer; serving goes on from what is open"
    if one.event_log:
        said["log"] = _log(one.event_log)
    if one.concurrency_limit:
        said["load"] = (
            f"{one.in_flight} in flight, limit {one.concurrency_limit}, {one.shed:,} shed, {one.hedges:,} hedged"
        )
    return pairs(said)


def _log(one: LogView) -> str:
    answers = f"answers; at {one.position or 'its beginning'}"
    gone = f"does not answer ({one.last_error or 'not heard yet'}); nothing is recorded, serving goes on"
    return f"{one.url}: {answers if one.reachable else gone}"


def _candidate(one: Candidate) -> str:
    share = f" for {one.share:.0%} of users" if one.phase == "canary" else ""
    said = f"; {one.verdict}" if one.verdict else ""
    return f"{one.snapshot_version}: {one.phase}{share}, {one.requests:,} requests compared{said}"
