"""The data sets that accuracy is measured on: what models are fitted to, and what came after it.

gowalla  check-ins in the LightGCN split (`bench.gowalla`)
demo     the demo's groceries, cut in time as a build's evaluation cuts them; what was bought may come back
dense    made up: as many users, items and ratings as MovieLens-1M, which was not to be had; items by a long tail, users
         by a log-normal number of items (20 at least), tastes of 16 factors; a fifth of each user's items is the test.
         It says how models do on dense data, and nothing of how they would do on MovieLens itself.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from bench import gowalla
from builder import evaluate
from builder.dataset import load_dataset
from builder.evaluate import Test
from builder.events import read_events
from builder.tables import read_users
from builder.training import number
from cli import demo_data
from trunkshow.models.protocol import Settings, Training

USERS, ITEMS, RATINGS = 6_040, 3_706, 1_000_209
ITEMS_PER_USER_MIN = 20
USER_SPREAD = 1.0
"""Of the logarithm of how many items a user has."""

TAIL = 0.9
"""Exponent of items' popularity by rank."""

TASTES, TASTE_STRENGTH = 16, 1.2
TEST_SHARE = 0.2


@dataclass(frozen=True)
class Data:
    """A data set.

    Attributes:
        training: what came before.
        test: what came after.
    """

    training: Training
    test: Test


def of_gowalla(path: Path) -> Data:
    """The LightGCN split."""
    matrix, test = gowalla.read(path)
    return Data(gowalla.training(matrix, Settings()), test)


def of_demo() -> Data:
    """The demo's events, with the cut of its evaluation."""
    with tempfile.TemporaryDirectory() as work:
        dataset = load_dataset(demo_data.materialise(Path(work)).dataset)
        events, _ = read_events(dataset, lambda what, done, of: None)
        users = read_users(dataset)
    after = events.times >= evaluate.cut_time(events, dataset.evaluation)
    before = number(dataset, events, None, users, Settings(), up_to=~after)
    weights = events.weights(dataset.interactions)
    return Data(
        before.training, evaluate.make_test(events, after, weights, before, repeat=dataset.serving.repeat, seed=0)
    )


def made_up(seed: int = 0) -> Data:
    """Dense, and of MovieLens-1M's size."""
    rng = np.random.default_rng(seed)
    drawn = np.exp(rng.normal(0, USER_SPREAD, USERS))
    degrees = np.clip(drawn / drawn.sum() * RATINGS, ITEMS_PER_USER_MIN, ITEMS // 2).astype(int)
    degrees = np.clip((degrees * (RATINGS / degrees.sum())).astype(int), ITEMS_PER_USER_MIN, ITEMS // 2)
    tastes, kinds = (rng.normal(0, TASTES**-0.25, (count, TASTES)).astype(np.float32) for count in (USERS, ITEMS))
    tail = -TAIL * np.log(rng.permutation(ITEMS) + 10.0)
    # The largest of logits with Gumbel noise are a sample without replacement by their softmax.
    keys = TASTE_STRENGTH * tastes @ kinds.T + tail + rng.gumbel(size=(USERS, ITEMS))
    order = np.argsort(-keys, axis=1)
    later = rng.random((USERS, ITEMS)) < TEST_SHARE
    had = np.arange(ITEMS) < degrees[:, None]
    train, wanted = (_matrix(order, had & chosen) for chosen in (~later, later))
    users = np.flatnonzero(np.diff(wanted.indptr)).astype(np.int32)
    return Data(gowalla.training(train, Settings()), Test(users, wanted[users], train[users]))


def with_settings(data: Data, settings: Settings) -> Training:
    """What a model is fitted to, with other settings."""
    return replace(data.training, settings=settings)


def _matrix(order: np.ndarray, chosen: np.ndarray) -> csr_matrix:
    users, places = np.nonzero(chosen)
    return csr_matrix((np.ones(len(users), np.float32), (users, order[users, places])), shape=order.shape)
