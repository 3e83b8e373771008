"""One snapshot from what was read: fit every model on everything, hash users into partitions, write, seal.

Measuring the model on a part of the history, and what becomes of the snapshot, are `builder.pipeline`'s business; the
files are `builder.write`'s and `builder.partition_files`', and who does the tasks `builder.crew`'s.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from builder import blocks, partition_files, warm_start, write
from builder.crew.port import Crew, Shared
from builder.dataset import Dataset
from builder.evaluating import Evaluated
from builder.events import Events
from builder.partition_files import PartitionTask
from builder.plan import Plan, make_plan
from builder.stages import Stages
from builder.sweeps import divided
from builder.tables import ItemTable, UserTable
from builder.training import Numbered, number
from builder.warm_start import Start, SweepTimes
from trunkshow import models
from trunkshow.models.ials import ImplicitALS
from trunkshow.models.protocol import Arrays, Settings
from trunkshow.snapshot.manifest import SCHEMA, Manifest

INDEX_RECALL_MIN = 0.99
"""Of partitions' indexes against exact search over the whole catalogue; below, they are written again, exact."""


class Sources(NamedTuple):
    """What was read of a data set; a table that it does not have is None, a log's watermark empty without one."""

    dataset: Dataset
    events: Events
    items: ItemTable | None
    users: UserTable | None
    log_watermark: str = ""
    forgotten_watermark: str = ""


def make_snapshot(
    folder: Path,
    sources: Sources,
    chosen: Settings,
    partitions: int,
    evaluated: Evaluated,
    stages: Stages,
    crew: Crew,
    start: Start | None = None,
) -> Manifest:
    """Fit on everything, and write and seal the snapshot.

    Args:
        folder: empty.
        sources: what was read.
        chosen: what the models are fitted with.
        partitions: how many; 0 chooses by the number of users.
        evaluated: what the evaluation found, for the manifest and for the next build.
        stages: told of every step.
        crew: does what can be done apart.
        start: of a warm one.
    """
    dataset, events, items, users, *_ = sources
    with stages.stage("fit"):
        sweeps = SweepTimes(stages.progress)
        numbered = _prepared(number(dataset, events, items, users, chosen, progress=sweeps), start, crew)
        fitted: dict[str, Arrays] = {}
        for done, (name, model) in enumerate(models.installed().items()):
            stages.progress(f"fit {name}", done, len(models.installed()))
            fitted[name] = model.fit(numbered.training)
        ials = ImplicitALS.open(fitted[ImplicitALS.name])
        user_vectors = blocks.user_vectors(crew, fitted[ImplicitALS.name], numbered.training.matrix)
    with stages.stage("partition"):
        plan = make_plan(
            user_vectors,
            ials.vectors,
            None if dataset.serving.repeat else numbered.had(),
            partitions=partitions,
            seed=chosen.seed,
            crew=crew,
        )
    with stages.stage("write"):
        write.write_shared(folder, numbered, fitted, plan.placement, ials.vectors)
        warm_start.keep(folder, numbered.columns.ids, evaluated.item_ids, evaluated.vectors)
        with crew.share(partition_files.inputs(numbered, plan, user_vectors, ials.vectors)) as shared:
            index = _write_partitions(folder, shared, len(plan.lists), crew)
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
            metrics={**evaluated.metrics, **(warm_start.told(start, sweeps, evaluated) if start else {})},
            partitioning=plan.measures,
            index=index,
            files={},
            log_watermark=sources.log_watermark,
            forgotten_watermark=sources.forgotten_watermark,
        )
        return write.seal(folder, draft)


def _prepared(numbered: Numbered, start: Start | None, crew: Crew) -> Numbered:
    """The same, told what to start from and who trains."""
    vectors = None if start is None else start.for_everything(numbered.columns.ids)
    return replace(numbered, training=replace(divided(numbered.training, crew), start=vectors))


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


def _write_partitions(folder: Path, shared: Shared, partitions: int, crew: Crew) -> dict[str, Any]:
    """Write the partitions; where a quantised index loses too much, write them again with an exact one.

    They become the snapshot's once all are there: a worker that was taken for dead, and is late, writes elsewhere.
    """
    for exact in (False, True):
        written = crew.folder / ("exact" if exact else "quantised")
        tasks = [PartitionTask(shared, written, number, exact) for number in range(partitions)]
        kinds = crew.each("write partitions", partition_files.write_partition, tasks)
        shares = np.concatenate(crew.each("measure partitions", partition_files.index_recall, tasks))
        recall = float(shares.mean()) if len(shares) else 1.0
        if recall >= INDEX_RECALL_MIN:
            break
    shutil.move(written, folder / "partitions")
    return {"kind": ", ".join(sorted(set(kinds))), "recall@20": recall}
