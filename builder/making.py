"""One snapshot from what was read: fit every model on everything, hash users into partitions, write, seal.

Measuring the model on a part of the history, and what becomes of the snapshot, are `builder.pipeline`'s business; the
files are `builder.write`'s and `builder.partition_files`', and who does the tasks `builder.crew`'s.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from builder import blocks, partition_files, warm_start, write
from builder.crew.port import Crew, Shared
from builder.dataset import Dataset
from builder.evaluating import Evaluated
from builder.held_back import FINISHING_SWEEPS
from builder.partition_files import PartitionTask
from builder.plan import Plan, make_plan
from builder.stages import Stages
from builder.sweeps import divided
from builder.training import Numbered
from builder.warm_start import Start, SweepTimes
from trunkshow import models
from trunkshow.models.ials import ImplicitALS
from trunkshow.models.protocol import Arrays, Settings, Training
from trunkshow.snapshot.manifest import SCHEMA, Manifest

INDEX_RECALL_MIN = 0.99
"""Of partitions' indexes against exact search over the whole catalogue; below, they are written again, exact."""


NO_LINEAGE: Mapping[str, Sequence[int | str]] = MappingProxyType({})


class Sources(NamedTuple):
    """What was read of a data set, in rows, and how many events; a log's watermark is empty without one."""

    dataset: Dataset
    numbered: Numbered
    events: int
    log_watermark: str = ""
    forgotten_watermark: str = ""
    log_lineage: Mapping[str, Sequence[int | str]] = NO_LINEAGE


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
    dataset = sources.dataset
    with stages.stage("fit"):
        sweeps = SweepTimes(stages.progress)
        numbered = _prepared(sources.numbered, sweeps, _started(sources.numbered, start, evaluated), crew)
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
        if not evaluated.begun:  # vectors that know what came after the cut are nothing for an evaluation to begin with
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
            counts=_counts(sources.events, numbered, plan),
            segments=numbered.training.segment_names,
            models={name: model.carousel for name, model in models.installed().items()},
            metrics={**evaluated.metrics, **(warm_start.told(start, sweeps, evaluated) if start else {})},
            partitioning=plan.measures,
            index=index,
            files={},
            log_watermark=sources.log_watermark,
            forgotten_watermark=sources.forgotten_watermark,
            log_lineage={lane: list(last) for lane, last in sources.log_lineage.items()},
        )
        return write.seal(folder, draft)


def _started(numbered: Numbered, start: Start | None, evaluated: Evaluated) -> Training:
    """What is trained on, and what with: from the evaluation's vectors, the last snapshot's, or from nothing."""
    training = numbered.training
    if evaluated.begun:
        finishing = replace(training.settings, epochs=min(training.settings.epochs, FINISHING_SWEEPS))
        return replace(training, settings=finishing, start=evaluated.vectors)
    return training if start is None else replace(training, start=start.for_everything(numbered.columns.ids))


def _prepared(numbered: Numbered, sweeps: SweepTimes, training: Training, crew: Crew) -> Numbered:
    """The same, to be trained so, by the crew where there is enough for it to do."""
    return replace(numbered, training=replace(divided(training, crew), progress=sweeps))


def _counts(events: int, numbered: Numbered, plan: Plan) -> dict[str, Any]:
    sizes = np.bincount(plan.placement.homes, minlength=len(plan.lists))
    return {
        "events": events,
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
