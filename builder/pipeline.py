"""A build from end to end: read, split, evaluate, fit, partition, write, publish. Each step is another module's.

The snapshot itself, from fitting to sealing, is `builder.making`'s.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from builder import partition, warm_start
from builder.crew import opening
from builder.crew.choice import CrewSettings
from builder.crew.port import Crew
from builder.dataset import Dataset, load_dataset
from builder.errors import BuildError
from builder.evaluating import Protocol, cut_of, evaluate_apart, evaluate_within, protocol_of
from builder.events import IngestReport, event_sources, read_events
from builder.ingest.sources import find_files
from builder.making import Sources, make_snapshot
from builder.stages import Progress, Stages
from builder.tables import read_items, read_users
from builder.training import number
from builder.warm_start import Start, WarmStart
from trunkshow.models.protocol import Settings
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.manifest import FILE_NAME, Manifest
from trunkshow.snapshot.promotion import Publishing, serve_built
from trunkshow.snapshot.signature import SIGNATURE_NAME, sign
from trunkshow.snapshot.store import Store, open_store, who


class PartitionsOutOfRange(BuildError):
    """The number of partitions asked for cannot be made of these users."""


@dataclass(frozen=True)
class BuildSettings:
    """What a person chooses of a build.

    Attributes:
        partitions: how many; 0 chooses by the number of users.
        factors: dimensions of a taste vector.
        seed: of everything that is drawn.
        threads: for training. One gives the same bytes for the same input; more are faster, and differ in last bits.
        publishing: how the snapshot comes to be served.
        sign_key: file of the private key that its manifest is signed with; it is not signed where None.
        crew: who does the work.
        warm_start: whether training starts from the factors of the snapshot that is served, where it can.
        neighbour_share: of item neighbours in the score of `for-you`; 0 leaves them out.
        evaluate: how the model is measured.
    """

    partitions: int = 0
    factors: int = 64
    seed: int = 0
    threads: int = 1
    publishing: Publishing = field(default_factory=Publishing)
    sign_key: Path | None = None
    crew: CrewSettings = field(default_factory=CrewSettings)
    warm_start: WarmStart = WarmStart.NO
    neighbour_share: float = 0.0
    evaluate: Protocol = Protocol.AUTO


@dataclass(frozen=True)
class BuildReport:
    """What a build did.

    Attributes:
        manifest: of the snapshot that was pushed.
        pointer: of the store, once it was.
        ingest: what was read, by reason.
        seconds: per stage.
        peak_rss_bytes: of the process, up to its end.
        crew: how many workers helped, and the most memory that one of them needed.
    """

    manifest: Manifest
    pointer: Pointer
    ingest: dict[str, Any]
    seconds: dict[str, float]
    peak_rss_bytes: int
    crew: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        counts = self.manifest.counts
        return {
            "version": self.manifest.version,
            "state": self.pointer.states.get(self.manifest.version, ""),
            "events": counts["events"],
            "users": counts["users"],
            "items": counts["items"],
            "partitions": counts["partitions"],
            "metrics": self.manifest.metrics,
            "partitioning": self.manifest.partitioning,
            "index": self.manifest.index,
            "index_recall": self.manifest.index["recall@20"],
            "counts": counts,
            "ingest": self.ingest,
            "seconds": self.seconds,
            "peak_rss_bytes": self.peak_rss_bytes,
            "crew": self.crew,
        }


def build(
    dataset_path: Path,
    store: str | Path,
    settings: BuildSettings | None = None,
    progress: Progress = lambda what, done, of: None,
    say: Callable[[str], None] = lambda line: None,
) -> BuildReport:
    """Build a snapshot from a data set, push it to a store, and have it served as chosen.

    Args:
        dataset_path: the TOML file that maps the sources.
        store: folder of the snapshot store, made where it does not exist, or s3://BUCKET/PREFIX.
        settings: what a person chose.
        progress: told of every stage and step.
        say: told what a person should know, a line at a time.

    Raises:
        BuildError: wrong input, or workers that are gone; nothing was pushed.
        StoreError: the store does not take it; nothing was pushed.
        PointerMoved: another version was promoted meanwhile; this one is pushed, and not served.
        SnapshotRefused: it differs too much from what is served; it is pushed, and not served.
        LifecycleError: what is served is pinned; this one is pushed, and not served.
        KeyUnusable: it cannot be signed; nothing was pushed.
    """
    settings = settings or BuildSettings()
    stages = Stages(progress)
    dataset = load_dataset(dataset_path)
    if settings.sign_key:
        sign(settings.sign_key, b"")  # a key that cannot be used should not cost a training either
    opened = open_store(store)
    with (
        opened.building() as folder,  # first of all: a store that cannot be written to should not cost a training
        opening.crew(settings.crew, _data_bytes(dataset), folder, progress, say) as crew,
    ):
        base = opened.pointer().current
        manifest, ingest = _make(folder / "snapshot", dataset, settings, _Tools(opened, stages, crew, say))
        helped = crew.report()
        with stages.stage("publish"):
            opened.push(folder / "snapshot", manifest, who("built"))
            pointer = serve_built(opened, manifest.version, settings.publishing, who("built"), base)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return BuildReport(manifest, pointer, ingest.to_json(), stages.seconds, peak, helped)


def _data_bytes(dataset: Dataset) -> int:
    """Of all event files."""
    files = (path for source in event_sources(dataset) for path in find_files(dataset.folder, source.path))
    return sum(path.stat().st_size for path in files)


class _Tools(NamedTuple):
    """What a build is done with."""

    store: Store
    stages: Stages
    crew: Crew
    say: Callable[[str], None]


def _make(folder: Path, dataset: Dataset, settings: BuildSettings, tools: _Tools) -> tuple[Manifest, IngestReport]:
    """Read, evaluate, and make the snapshot in a new folder."""
    stages = tools.stages
    with stages.stage("read"):
        events, ingest = read_events(dataset, stages.progress, tools.crew, tools.say)
        items, users = read_items(dataset), read_users(dataset)
    _check_partitions(settings.partitions, len(events.user_ids))
    protocol = protocol_of(settings.evaluate, len(events), warm=settings.warm_start is not WarmStart.NO)
    chosen = Settings(
        factors=settings.factors,
        seed=settings.seed,
        neighbour_share=settings.neighbour_share,
        popularity_half_life_days=dataset.serving.popularity_half_life_days,
        new_arrival_days=dataset.serving.new_arrival_days,
        threads=settings.threads,
    )
    start, crew = _start(dataset, settings, chosen, len(events), tools), tools.crew
    cut = cut_of(dataset, events)
    with stages.stage("number"):
        numbered = number(dataset, events, items, users, chosen)
    with stages.stage("evaluate"):
        if protocol is Protocol.HELD_BACK:
            repeat = dataset.serving.repeat
            evaluated = evaluate_within(numbered, cut, repeat=repeat, progress=stages.progress, crew=crew)
        else:
            compare = settings.warm_start is WarmStart.COMPARE
            evaluated = evaluate_apart(
                dataset, events, users, chosen, stages.progress, crew=crew, start=start, compare=compare
            )
    folder.mkdir()
    sources = Sources(
        dataset, numbered, len(events), ingest.log_watermark, ingest.forgotten_watermark, ingest.log_lineage
    )
    del events, numbered
    manifest = make_snapshot(folder, sources, chosen, settings.partitions, evaluated, stages, crew, start)
    if settings.sign_key:
        (folder / SIGNATURE_NAME).write_bytes(sign(settings.sign_key, (folder / FILE_NAME).read_bytes()))
    return manifest, ingest


def _start(dataset: Dataset, settings: BuildSettings, chosen: Settings, events: int, tools: _Tools) -> Start | None:
    """What training starts from; where it is to start warm and cannot, that is said."""
    if settings.warm_start is WarmStart.NO:
        return None
    found = warm_start.find(tools.store, dataset, chosen, events)
    tools.say(f"warm start from {found.start.version}" if found.start else f"cold start: {found.why}")
    return found.start


def _check_partitions(partitions: int, users: int) -> None:
    """Refuse a number that cannot be made, before anything is trained for it."""
    most = min(partition.PARTITIONS_MAX, users)
    if not 0 <= partitions <= most:
        raise PartitionsOutOfRange(f"{partitions} partitions cannot be made of {users} users; choose 1 to {most}")
