"""The largest of each row, in falling order; of equal ones the first."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from builder.largest import largest, rows_at_once


@given(
    arrays(
        np.float32, st.tuples(st.integers(0, 4), st.integers(0, 12)), elements=st.sampled_from([-np.inf, -1, 0, 2, 3])
    ),
    st.integers(0, 15),
)
def test_as_sorting_everything_would_have_it(scores: np.ndarray, count: int) -> None:
    """Many equal scores, some of nothing at all, and more asked for than there are."""
    assert largest(scores, count).tolist() == np.argsort(-scores, axis=1, kind="stable")[:, :count].tolist()


@pytest.mark.parametrize("count", [1, 20, 1000])
def test_of_many(count: int) -> None:
    """As a catalogue's scores are: hardly any equal."""
    scores = np.random.default_rng(0).standard_normal((3, 1000)).astype(np.float32)
    assert largest(scores, count).tolist() == np.argsort(-scores, axis=1, kind="stable")[:, :count].tolist()


@pytest.mark.parametrize(("columns", "rows"), [(0, 256), (1000, 256), (20_000, 128), (100_000, 32), (10**7, 16)])
def test_rows_at_once_take_a_bounded_room(columns: int, rows: int) -> None:
    """A power of two, so that blocks of users begin where blocks of rows do."""
    assert rows_at_once(columns) == rows
