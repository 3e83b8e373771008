"""A build from end to end: read, split, evaluate, fit, partition, write, publish. Each step is another module's."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from builder import evaluate, partition, write
from builder.dataset import Dataset, load_dataset
from builder.errors import BuildError
from builder.events import Events, read_events
from builder.plan import Plan, make_plan
from builder.tables import ItemTable, UserTable, read_items, read_users
from builder.training import Numbered, number
from trunkshow import models
from trunkshow.models.ials import ImplicitALS
from trunkshow.models.protocol import Arrays, Settings
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.manifest import FILE_NAME, SCHEMA, Manifest
from trunkshow.snapshot.promotion import Publishing, serve_built
from trunkshow.snapshot.signature import SIGNATURE_NAME, sign
from trunkshow.snapshot.store import open_store, who

Progress = Callable[[str, int, int], None]
"""Told (stage or what within it, done, of how many)."""


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
    """

    partitions: int = 0
    factors: int = 64
    seed: int = 0
    threads: int = 1
    publishing: Publishing = field(default_factory=Publishing)
    sign_key: Path | None = None


@dataclass(frozen=True)
class BuildReport:
    """What a build did.

    Attributes:
        manifest: of the snapshot that was pushed.
        pointer: of the store, once it was.
        ingest: what was read, by reason.
        seconds: per stage.
        peak_rss_bytes: of the process, up to its end.
    """

    manifest: Manifest
    pointer: Pointer
    ingest: dict[str, Any]
    seconds: dict[str, float]
    peak_rss_bytes: int

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
        }


@dataclass
class _Stages:
    """Times the stages, and says which one runs."""

    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.progress(name, 0, 1)
        began = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - began, 3)
        self.progress(name, 1, 1)


def build(
    dataset_path: Path,
    store: str | Path,
    settings: BuildSettings | None = None,
    progress: Progress = lambda what, done, of: None,
) -> BuildReport:
    """Build a snapshot from a data set, push it to a store, and have it served as chosen.

    Args:
        dataset_path: the TOML file that maps the sources.
        store: folder of the snapshot store, made where it does not exist, or s3://BUCKET/PREFIX.
        settings: what a person chose.
        progress: told of every stage and step.

    Raises:
        BuildError: wrong input; nothing was pushed.
        StoreError: the store does not take it; nothing was pushed.
        PointerMoved: another version was promoted meanwhile; this one is pushed, and not served.
        SnapshotRefused: it differs too much from what is served; it is pushed, and not served.
        LifecycleError: what is served is pinned; this one is pushed, and not served.
        KeyUnusable: it cannot be signed; nothing was pushed.
    """
    settings = settings or BuildSettings()
    stages = _Stages(progress)
    dataset = load_dataset(dataset_path)
    if settings.sign_key:
        sign(settings.sign_key, b"")  # a key that cannot be used should not cost a training either
    opened = open_store(store)
    with opened.building() as folder:  # first of all: a store that cannot be written to should not cost a training
        base = opened.pointer().current
        with stages.stage("read"):
            events, ingest = read_events(dataset, progress)
            items, users = read_items(dataset), read_users(dataset)
        _check_partitions(settings.partitions, len(events.user_ids))
        chosen = Settings(
            factors=settings.factors,
            seed=settings.seed,
            popularity_half_life_days=dataset.serving.popularity_half_life_days,
            new_arrival_days=dataset.serving.new_arrival_days,
            threads=settings.threads,
        )
        with stages.stage("evaluate"):
            metrics = evaluate_models(dataset, events, users, chosen, progress)
        snapshot = folder / "snapshot"
        snapshot.mkdir()
        manifest = _make(snapshot, dataset, events, items, users, chosen, settings, metrics, stages)
        if settings.sign_key:
            signature = sign(settings.sign_key, (snapshot / FILE_NAME).read_bytes())
            (snapshot / SIGNATURE_NAME).write_bytes(signature)
        with stages.stage("publish"):
            opened.push(snapshot, manifest, who("built"))
            pointer = serve_built(opened, manifest.version, settings.publishing, who("built"), base)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return BuildReport(manifest, pointer, ingest.to_json(), stages.seconds, peak)


def _check_partitions(partitions: int, users: int) -> None:
    """Refuse a number that cannot be made, before anything is trained for it."""
    most = min(partition.PARTITIONS_MAX, users)
    if not 0 <= partitions <= most:
        raise PartitionsOutOfRange(f"{partitions} partitions cannot be made of {users} users; choose 1 to {most}")


def evaluate_models(
    dataset: Dataset, events: Events, users: UserTable | None, settings: Settings, progress: Progress
) -> dict[str, Any]:
    """Fit on what came before the cut, measure on what came after; the model beside popularity."""
    cut = evaluate.cut_time(events, dataset.evaluation)
    after = events.times >= cut
    if not after.any() or after.all():
        message = "the cut leaves no events on one side; move it with [evaluation] cut or test_share"
        raise evaluate.NothingToEvaluate(message)
    before = number(dataset, events, None, users, settings, up_to=~after, progress=progress)
    model = ImplicitALS.open(ImplicitALS.fit(before.training))
    weights = events.weights(dataset.interactions)
    test = evaluate.make_test(events, after, weights, before, repeat=dataset.serving.repeat, seed=settings.seed)
    return {
        "model": evaluate.measure(test, evaluate.als_scores(model, before)),
        "popularity": evaluate.measure(test, evaluate.popularity_scores(before)),
        "users": len(test.users),
        "cut": datetime.fromtimestamp(cut / 1000, UTC).isoformat(),
    }


def _make(
    folder: Path,
    dataset: Dataset,
    events: Events,
    items: ItemTable | None,
    users: UserTable | None,
    chosen: Settings,
    settings: BuildSettings,
    metrics: dict[str, Any],
    stages: _Stages,
) -> Manifest:
    """Fit on everything and write the snapshot."""
    with stages.stage("fit"):
        numbered = number(dataset, events, items, users, chosen, progress=stages.progress)
        fitted: dict[str, Arrays] = {}
        for done, (name, model) in enumerate(models.installed().items()):
            stages.progress(f"fit {name}", done, len(models.installed()))
            fitted[name] = model.fit(numbered.training)
        ials = ImplicitALS.open(fitted[ImplicitALS.name])
        user_vectors = ials.user_vectors(numbered.training.matrix)
    with stages.stage("partition"):
        plan = make_plan(
            numbered.training,
            user_vectors,
            ials.vectors,
            partitions=settings.partitions,
            seed=settings.seed,
            repeat=dataset.serving.repeat,
        )
    with stages.stage("write"):
        write.write_shared(folder, numbered, fitted, plan.placement)
        index = _write_partitions(folder, numbered, plan, user_vectors, ials, stages.progress)
        draft = Manifest(
            schema=SCHEMA,
            version="",
            created_at="",
            dataset=dataset.name,
            data_until=datetime.fromtimestamp(numbered.training.now / 1000, UTC).isoformat(),
            parameters={
                **asdict(chosen),
                "partitions": len(plan.lists),
                "taste_hash": plan.placement.codebook.kind,
                "repeat": dataset.serving.repeat,
                "interactions": dict(dataset.interactions),
            },
            counts=_counts(events, numbered, plan),
            segments=numbered.training.segment_names,
            models={name: model.carousel for name, model in models.installed().items()},
            metrics=metrics,
            partitioning=plan.measures,
            index=index,
            files={},
        )
        return write.seal(folder, draft)


def _counts(events: Events, numbered: Numbered, plan: Plan) -> dict[str, Any]:
    sizes = np.bincount(plan.placement.homes, minlength=len(plan.lists))
    return {
        "events": len(events),
        "users": len(numbered.user_ids),
        "items": len(numbered.columns.ids),
        "partitions": len(plan.lists),
        "users_per_partition": sizes.tolist(),
        "items_per_partition": [len(rows) for rows in plan.lists],
    }


def _write_partitions(
    folder: Path, numbered: Numbered, plan: Plan, user_vectors: Any, ials: ImplicitALS, progress: Progress
) -> dict[str, Any]:
    """Write the partitions; where a quantised index loses too much, write them again with an exact one."""
    recall, kinds = 0.0, ""
    for exact in (False, True):
        kinds = write.write_partitions(
            folder,
            numbered,
            plan.placement,
            user_vectors,
            ials.vectors,
            plan.lists,
            exact=exact,
            progress=lambda done, of: progress("write partitions", done, of),
        )
        recall = write.index_recall(folder, plan.held_out, plan.placement, user_vectors, ials.vectors, plan.hidden)
        if recall >= write.INDEX_RECALL_MIN:
            break
    return {"kind": kinds, "recall@20": recall}
