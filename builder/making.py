"""One snapshot from what was read: fit every model on everything, hash users into partitions, write, seal.

Measuring the model on a part of the history, and what becomes of the snapshot, are `builder.pipeline`'s business; the
files are `builder.write`'s.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from builder import write
from builder.dataset import Dataset
from builder.events import Events
from builder.plan import Plan, make_plan
from builder.stages import Progress, Stages
from builder.tables import ItemTable, UserTable
from builder.training import Numbered, number
from trunkshow import models
from trunkshow.models.ials import ImplicitALS
from trunkshow.models.protocol import Arrays, Settings
from trunkshow.snapshot.manifest import SCHEMA, Manifest


class Sources(NamedTuple):
    """What was read of a data set; a table that it does not have is None, a log's watermark empty without one."""

    dataset: Dataset
    events: Events
    items: ItemTable | None
    users: UserTable | None
    log_watermark: str = ""
    forgotten_watermark: str = ""


def make_snapshot(
    folder: Path, sources: Sources, chosen: Settings, partitions: int, metrics: dict[str, Any], stages: Stages
) -> Manifest:
    """Fit on everything, and write and seal the snapshot.

    Args:
        folder: empty.
        sources: what was read.
        chosen: what the models are fitted with.
        partitions: how many; 0 chooses by the number of users.
        metrics: of the evaluation, for the manifest.
        stages: told of every step.
    """
    dataset, events, items, users, *_ = sources
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
            user_vectors,
            ials.vectors,
            None if dataset.serving.repeat else numbered.had(),
            partitions=partitions,
            seed=chosen.seed,
        )
    with stages.stage("write"):
        write.write_shared(folder, numbered, fitted, plan.placement, ials.vectors)
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
            log_watermark=sources.log_watermark,
            forgotten_watermark=sources.forgotten_watermark,
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
