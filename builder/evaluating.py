"""The evaluation of a build: by a fit of its own on what came before the cut in time, or within the one fit.

How is measured is `builder.evaluate`'s business; what is held back within the one fit, `builder.held_back`'s; what a
warm start begins with, `builder.warm_start`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from builder import evaluate
from builder.crew.port import Crew
from builder.dataset import Dataset
from builder.events import Events
from builder.held_back import FINISHING_SWEEPS, hold_back
from builder.stages import Progress
from builder.sweeps import divided
from builder.tables import UserTable
from builder.training import Numbered, number
from builder.warm_start import Start, SweepTimes
from trunkshow.models.ials import ImplicitALS
from trunkshow.models.protocol import Floats, Settings, Training

HELD_BACK_FROM_EVENTS = 2_000_000
"""From so many on a second fit is worth saving, and users are so many that few events need be held back."""


class Protocol(Enum):
    """How a build is evaluated."""

    AUTO = "auto"
    """By a fit of its own where there are few events or the start is warm, within the one fit where there are many."""

    HOLDOUT_FIT = "holdout-fit"
    """A second fit, on what came before the cut: it knows nothing of what came after, of anybody."""

    HELD_BACK = "held-back"
    """What users who are asked did after the cut is held back from all but the last sweeps of the one fit."""


def protocol_of(asked: Protocol, events: int, *, warm: bool) -> Protocol:
    """The protocol of a build of so many events.

    Raises:
        EvaluationImpossible: what is held back would be known to a warm start.
    """
    if asked is Protocol.HELD_BACK and warm:
        raise evaluate.EvaluationImpossible("a warm start knows what is held back; leave out one of the two")
    if asked is not Protocol.AUTO:
        return asked
    return Protocol.HELD_BACK if events >= HELD_BACK_FROM_EVENTS and not warm else Protocol.HOLDOUT_FIT


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation found.

    Attributes:
        metrics: of the model and of popularity, by which protocol, of how many users, and the cut.
        item_ids: that the model knew.
        vectors: (items, factors) float32 of them.
        warm: whether it started from the last snapshot's.
        compared: what a cold start would have had; empty where that was not asked for.
        begun: the fit on everything goes on from these vectors.
    """

    metrics: dict[str, Any]
    item_ids: Sequence[str]
    vectors: Floats
    warm: bool = False
    compared: Mapping[str, Any] = field(default_factory=dict)
    begun: bool = False


def cut_of(dataset: Dataset, events: Events) -> int:
    """The moment, in milliseconds, from which on events are test events.

    Raises:
        NothingToEvaluate: there are none on one side of it.
    """
    cut = evaluate.cut_time(events, dataset.evaluation)
    if not events.times[0] < cut <= events.times[-1]:
        message = "the cut leaves no events on one side; move it with [evaluation] cut or test_share"
        raise evaluate.NothingToEvaluate(message)
    return cut


def evaluate_within(numbered: Numbered, cut: int, *, repeat: bool, progress: Progress, crew: Crew) -> Evaluated:
    """Make all but the last sweeps without what some users did after the cut, and measure on that.

    Args:
        numbered: everything.
        cut: as `cut_of` has it.
        repeat: whether an item that the user had before counts as a hit.
        progress: told of sweeps.
        crew: trains, where there is enough for it to do.
    """
    settings = numbered.training.settings
    held = hold_back(numbered, cut, repeat=repeat, seed=settings.seed)
    sweeps = max(settings.epochs - FINISHING_SWEEPS, 1)
    first = replace(held.numbered.training, settings=replace(settings, epochs=sweeps), progress=progress)
    model = ImplicitALS.open(ImplicitALS.fit(divided(first, crew)))
    metrics = evaluate.measure(held.test, evaluate.als_scores(model, held.numbered, held.test.users))
    found = _described(Protocol.HELD_BACK, metrics, held.numbered, held.test, cut)
    said = {"sweeps": sweeps, "events_held_back_share": held.events / len(numbered.training.users)}
    return Evaluated(found | said, numbered.columns.ids, model.vectors, begun=True)


def evaluate_apart(
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
    cut = cut_of(dataset, events)
    after = events.times >= cut
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
    found = _described(Protocol.HOLDOUT_FIT, metrics, before, test, cut)
    return Evaluated(found, item_ids, model.vectors, starting is not None, compared)


def _described(
    protocol: Protocol, metrics: dict[str, float], known: Numbered, test: evaluate.Test, cut: int
) -> dict[str, Any]:
    """The model's metrics beside those of popularity, and what they are of."""
    return {
        "model": metrics,
        "popularity": evaluate.measure_popularity(test, known),
        "protocol": protocol.value,
        "users": len(test.users),
        "cut": datetime.fromtimestamp(cut / 1000, UTC).isoformat(),
    }
