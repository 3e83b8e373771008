"""Which categories go together in a session: how much likelier one is beside another than the user's own mix says.

Over pairs of events of one user, of different items, at most half an hour and `APART_MAX` events apart:

    kinship(a, b) = (N(a, b) + k) / (E(a, b) + k)
    E(a, b) = sum over users u of  N_u · n_u(a) (n_u(b) - [a = b]) / (n_u (n_u - 1))

N(a, b) counts pairs that have a before b or b before a, N_u is the number of u's pairs, and n_u(a) of n_u events are
in a: E is what there would be if each user's events had been shuffled among the user's sessions. That parents buy
nappies and baby food is no kinship, since their taste vectors know it; that both are bought on the same errand is. k
expected pairs draw what is seldom towards 1.

What is wanted next need not be of the category just looked at: flour goes with eggs. So the events of the present
intent, n(c') of them in c', can be taken for independent evidence, as by naive Bayes: log lift(c) = sum of n(c') log
kinship(c', c). `bench.intent` holds that against a category that lifts itself alone, which is what is served.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags

from trunkshow.models.protocol import Floats, Rows
from trunkshow.stream.intent import Session

GAP_MS = 30 * 60_000
APART_MAX = 16
PRIOR_PAIRS = 5.0


def kinship(users: Rows, items: Rows, times: NDArray[np.int64], categories: Rows) -> Floats:
    """(categories, categories) float32, symmetric, above 0.

    Args:
        users: (n,) of each event, from 0.
        items: (n,) rows.
        times: (n,) milliseconds.
        categories: (items,) code of each item, -1 for none.
    """
    known = categories[items] >= 0
    users, items, times = users[known], items[known], times[known]
    order = np.lexsort((times, users))
    users, items, times = users[order], items[order], times[order]
    first, second = _pairs(users, items, times)
    kinds, count = categories[items], int(categories.max(initial=-1)) + 1
    observed = csr_matrix((np.ones(len(first)), (kinds[first], kinds[second])), shape=(count, count)).toarray()
    observed += observed.T
    expected = _expected(users, kinds, count, np.bincount(users[first], minlength=int(users.max(initial=0)) + 1))
    related: Floats = ((observed + PRIOR_PAIRS) / (expected + PRIOR_PAIRS)).astype(np.float32)
    return related


def related_lift(related: Floats, session: Session, now_ms: int) -> Callable[[int], float]:
    """How much likelier than usually a category is now, by what goes with the categories of the present intent.

    Args:
        related: (categories, categories) kinship.
        session: of a user; an event of it is of the present run if that began there or before.
        now_ms: milliseconds since the epoch.
    """
    counts = np.zeros(len(related))
    np.add.at(counts, [event.category for event in session.events], np.cumsum(session.weights))
    logs = (session.at(now_ms).strength * counts) @ np.log(related)
    return lambda category: float(np.exp(logs[category])) if category >= 0 else 1.0


def _pairs(users: Rows, items: Rows, times: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(p,) first and (p,) second event of each pair, as positions."""
    found = [np.empty(0, np.int64)]
    apart_by = [np.empty(0, np.int64)]
    for apart in range(1, min(APART_MAX, len(users) - 1) + 1):
        together = (users[apart:] == users[:-apart]) & (items[apart:] != items[:-apart])
        together &= times[apart:] - times[:-apart] <= GAP_MS
        found.append(np.flatnonzero(together))
        apart_by.append(np.full(len(found[-1]), apart))
    first = np.concatenate(found)
    return first, first + np.concatenate(apart_by)


def _expected(users: Rows, kinds: Rows, count: int, pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """(categories, categories) E, each pair in both of its orders."""
    mixes = csr_matrix((np.ones(len(users)), (users, kinds)), shape=(len(pairs), count))
    events = np.asarray(mixes.sum(axis=1)).ravel()
    each = 2 * pairs / np.maximum(events * (events - 1), 1)
    expected: NDArray[np.float64] = (mixes.T @ diags(each) @ mixes).toarray()
    expected[np.diag_indices(count)] -= mixes.T @ each
    return expected
