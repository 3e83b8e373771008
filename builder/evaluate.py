"""Is the model any good? A cut in time, and what the model that knows only what came before says of what came after.

Recall@k is hits ÷ the user's test items; NDCG@k has binary gains and its ideal stops at k (Järvelin and Kekäläinen,
ACM TOIS 20(4), 2002). Both are means over the users who have events on both sides of the cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from builder.dataset import Evaluation
from builder.errors import BuildError
from builder.events import Events
from builder.folding import fold_in
from builder.largest import largest, rows_at_once
from builder.training import Numbered
from trunkshow import largest as line
from trunkshow.models.ials import ImplicitALS
from trunkshow.models.popularity import decayed_counts
from trunkshow.models.protocol import Floats, Rows

K = 20
USERS_MAX = 10_000
"""Users evaluated, drawn at random where there are more: 10,000 put the mean's standard error below 0.004."""

_BLOCK = 256
Scores = Callable[[Rows], Floats]
"""(b,) user rows to their (b, items) scores."""


class NothingToEvaluate(BuildError):
    """The cut leaves no history, or nobody who has events on both sides of it."""


class EvaluationImpossible(BuildError):
    """The evaluation that was asked for would tell the model what it is asked."""


def cut_time(events: Events, evaluation: Evaluation) -> int:
    """The moment, in milliseconds, from which on events are test events."""
    if evaluation.cut is not None:
        return int(evaluation.cut.astimezone(UTC).timestamp() * 1000)
    position = min(int(len(events) * (1 - evaluation.test_share)), len(events) - 1)
    return int(events.times[position])


@dataclass(frozen=True)
class Test:
    """What came after the cut, in the rows of what was trained before it.

    Attributes:
        users: (u,) int32 rows of the users to ask about.
        wanted: (u, items) bool matrix, what they went for.
        hidden: (u, items) matrix of what must not be recommended again; empty where repeats are allowed.
    """

    users: Rows
    wanted: csr_matrix
    hidden: csr_matrix


def make_test(
    events: Events, after: NDArray[np.bool_], weights: Floats, trained: Numbered, *, repeat: bool, seed: int
) -> Test:
    """Gather the test: positive events after the cut with users and items that the model knows.

    Args:
        events: the whole history.
        after: (n,) bool, which of them are test events.
        weights: (n,) of the interaction types.
        trained: the numbering of what came before.
        repeat: whether an item that the user had before counts as a hit; else it is neither asked for nor shown.
        seed: of the sample where there are many users.
    """
    chosen = after & (weights > 0)
    user_row = _lookup(events.user_ids.to_list(), trained.user_ids)[events.users[chosen]]
    item_row = _lookup(events.item_ids.to_list(), trained.columns.ids)[events.items[chosen]]
    known = (user_row >= 0) & (item_row >= 0)
    return test_of(user_row[known], item_row[known], trained.had(), repeat=repeat, seed=seed)


def test_of(users: Rows, items: Rows, had: csr_matrix, *, repeat: bool, seed: int) -> Test:
    """A test of (n,) users' wishes for (n,) items, in rows of (users, items) of what each had; the rest as above."""
    pairs = csr_matrix((np.ones(len(users), np.float32), (users, items)), shape=had.shape)
    pairs.data[:] = 1
    if not repeat:
        pairs = pairs - pairs.multiply(had > 0)
        pairs.eliminate_zeros()
    asked = drawn(np.flatnonzero(np.diff(pairs.indptr)), seed)
    hidden = csr_matrix((len(asked), had.shape[1])) if repeat else had[asked]
    return Test(asked, pairs[asked], hidden)


def drawn(users: NDArray[np.integer], seed: int) -> Rows:
    """Rows of users, ascending: these, or as many of them as are evaluated."""
    if len(users) > USERS_MAX:
        users = np.sort(np.random.default_rng(seed).choice(users, USERS_MAX, replace=False))
    return users.astype(np.int32)


def _lookup(values: list[str], known: Sequence[str]) -> Rows:
    position = {value: row for row, value in enumerate(known)}
    return np.fromiter((position.get(value, -1) for value in values), np.int32, len(values))


def als_scores(model: ImplicitALS, trained: Numbered, asked: Rows) -> Scores:
    """The factor model's scores of (u,) users, ascending, folded in from what came before the cut; as it has them."""
    matrix = trained.training.matrix
    folded = fold_in(model, matrix[asked])

    return lambda users: model.scores(folded[np.searchsorted(asked, users)], matrix[users])


def measure(test: Test, scores: Scores, k: int = K) -> dict[str, float]:
    """Recall@k and NDCG@k over all items.

    Returns:
        `{"recall@20": …, "ndcg@20": …}`, means over the users.

    Raises:
        NothingToEvaluate: there are none.
    """
    return _judged(test, _best(test, scores, k), k)


def measure_popularity(test: Test, trained: Numbered, k: int = K) -> dict[str, float]:
    """The same of the baseline: everyone gets what is popular, with time decay, but for what is hidden from them."""
    return _judged(test, _most_popular(test, decayed_counts(trained.training), k), k)


def _best(test: Test, scores: Scores, k: int) -> Iterator[Rows]:
    """(b, k) best items of some users at a time."""
    step = rows_at_once(test.wanted.shape[1])
    for at in range(0, len(test.users), step):
        block = np.array(scores(test.users[at : at + step]), np.float32)
        hidden = test.hidden[at : at + step].tocoo()
        block[hidden.row, hidden.col] = -np.inf
        yield largest(block, k)


def _most_popular(test: Test, counts: NDArray[np.floating], k: int) -> Iterator[Rows]:
    """As `_best`, of scores that are the same for everyone: they are put in order once."""
    most_hidden = int(np.diff(test.hidden.indptr).max(initial=0))
    order = line.largest(counts, k + most_hidden).astype(np.int32)
    is_hidden = np.zeros(len(counts), np.bool_)
    for at in range(0, len(test.users), _BLOCK):
        rows = []
        for row in range(at, min(at + _BLOCK, len(test.users))):
            mine = test.hidden.indices[test.hidden.indptr[row] : test.hidden.indptr[row + 1]]
            is_hidden[mine] = True
            shown = order[~is_hidden[order]]
            rows.append(np.concatenate([shown, order[is_hidden[order]]])[:k])
            is_hidden[mine] = False
        yield np.array(rows, np.int32)


def _judged(test: Test, best: Iterable[Rows], k: int) -> dict[str, float]:
    """Recall and NDCG of the best items of every user of a test, in its order."""
    if not len(test.users):
        raise NothingToEvaluate(
            "no user has events on both sides of the cut; move it with [evaluation] cut or test_share"
        )
    shown = np.concatenate(list(best))
    asked, items = test.wanted.shape
    wanted = np.diff(test.wanted.indptr)
    users = np.arange(asked, dtype=np.int64)
    hits = np.isin(users[:, None] * items + shown, np.repeat(users, wanted) * items + test.wanted.indices)
    discounts = 1 / np.log2(np.arange(2, k + 2))
    gains = hits @ discounts[: shown.shape[1]] / np.cumsum(discounts)[np.minimum(wanted, k) - 1]
    return {f"recall@{k}": float((hits.sum(axis=1) / wanted).mean()), f"ndcg@{k}": float(gains.mean())}
