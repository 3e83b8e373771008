"""The evaluation of a build: fit on what came before the cut in time, measure on what came after.

How is measured is `builder.evaluate`'s business; what a warm start begins with, `builder.warm_start`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from builder import evaluate
from builder.crew.port import Crew
from builder.dataset import Dataset
from builder.events import Events
from builder.stages import Progress
from builder.sweeps import divided
from builder.tables import UserTable
from builder.training import number
from builder.warm_start import Start, SweepTimes
from trunkshow.models.ials import ImplicitALS
from trunkshow.models.protocol import Floats, Settings, Training


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation found.

    Attributes:
        metrics: of the model and of popularity, of how many users, and the cut.
        item_ids: that the model knew.
        vectors: (items, factors) float32 of them.
        warm: whether it started from the last snapshot's.
        compared: what a cold start would have had; empty where that was not asked for.
    """

    metrics: dict[str, Any]
    item_ids: Sequence[str]
    vectors: Floats
    warm: bool = False
    compared: Mapping[str, Any] = field(default_factory=dict)


def evaluate_models(
    dataset: Dataset,
    events: Events,
    users: UserTable | None,
    settings: Settings,
    progress: Progress,
    *,
    crew: Crew,
    start: Start | None = None,
    compare: bool = False,
    clock: Callable[[], float] = time.perf_counter,
) -> Evaluated:
    """Fit on what came before the cut, measure on what came after; the model beside popularity.

    Args:
        dataset: weights, and the cut.
        events: of the whole history.
        users: the users table, where there is one.
        settings: of the models.
        progress: told by long fits.
        crew: trains, where there is enough for it to do.
        start: of a warm one; it is used where what it was measured with is no later than this cut.
        compare: a warm start with a cold one, by fitting both.
        clock: a port: seconds.
    """
    cut = evaluate.cut_time(events, dataset.evaluation)
    after = events.times >= cut
    if not after.any() or after.all():
        message = "the cut leaves no events on one side; move it with [evaluation] cut or test_share"
        raise evaluate.NothingToEvaluate(message)
    before = number(dataset, events, None, users, settings, up_to=~after, progress=progress)
    weights = events.weights(dataset.interactions)
    test = evaluate.make_test(events, after, weights, before, repeat=dataset.serving.repeat, seed=settings.seed)

    def measured(training: Training) -> tuple[ImplicitALS, dict[str, float], float]:
        sweeps = SweepTimes(training.progress, clock)
        model = ImplicitALS.open(ImplicitALS.fit(divided(replace(training, progress=sweeps), crew)))
        metrics = evaluate.measure(test, evaluate.als_scores(model, before, test.users))
        return model, metrics, sweeps.seconds * len(sweeps.ends)  # what a first fit takes to import is no sweep's

    item_ids = before.columns.ids
    starting = None if start is None else start.for_evaluation(item_ids, cut)
    model, metrics, seconds = measured(replace(before.training, start=starting))
    compared: dict[str, Any] = {}
    if compare and starting is not None:
        _, cold, cold_seconds = measured(before.training)
        compared = {
            "model_cold": cold,
            "sweeps_seconds": round(seconds, 3),
            "sweeps_seconds_cold": round(cold_seconds, 3),
        }
    found = {
        "model": metrics,
        "popularity": evaluate.measure(test, evaluate.popularity_scores(before)),
        "users": len(test.users),
        "cut": datetime.fromtimestamp(cut / 1000, UTC).isoformat(),
    }
    return Evaluated(found, item_ids, model.vectors, starting is not None, compared)
