"""Training by blocks: what irspack does in its own sweeps, wherever the blocks begin."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from builder import sweeps
from builder.crew.port import Alone
from builder.sweeps import blocks, divided
from trunkshow.models.ials import ImplicitALS
from trunkshow.models.protocol import Settings, Training

FACTORS = 6


def training(sweeps_made: int = 3) -> Training:
    """Three hundred users, a hundred and twenty items; a few users have nothing."""
    rng = np.random.default_rng(5)
    matrix = csr_matrix((rng.integers(1, 4, (300, 120)) * (rng.random((300, 120)) < 0.1)).astype(np.float32))
    nothing = np.empty(0, np.int32)
    return Training(
        matrix=matrix,
        users=nothing,
        items=nothing,
        times=np.empty(0, np.int64),
        weights=np.empty(0, np.float32),
        segments=np.full(300, -1, np.int32),
        segment_names=(),
        categories=np.full(120, -1, np.int32),
        category_names=(),
        created=np.full(120, -1),
        available=np.ones(120, np.bool_),
        occasions={},
        settings=Settings(factors=FACTORS, epochs=sweeps_made),
        start=rng.standard_normal((120, FACTORS)).astype(np.float32) * np.float32(0.04),
    )


def crew(trains_from: int | None) -> Alone:
    """This process."""
    return Alone(Path(), trains_from=trains_from)


def test_blocks_give_what_the_librarys_own_sweeps_give(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the same beginning, after three sweeps, to five digits."""
    monkeypatch.setattr(sweeps, "BLOCK_CELLS", 200)
    given = training()
    theirs, ours = (ImplicitALS.fit(divided(given, crew(start)))["vectors"] for start in (None, 0))
    assert np.abs(theirs).max() > 0.1
    assert np.abs(theirs - ours).max() < 1e-5


def test_where_blocks_begin_changes_nothing_that_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    """One block, or fifty."""
    given = divided(training(), crew(0))
    whole = ImplicitALS.fit(given)["vectors"]
    monkeypatch.setattr(sweeps, "BLOCK_CELLS", 50)
    assert np.abs(ImplicitALS.fit(given)["vectors"] - whole).max() < 1e-6


def test_without_a_beginning_one_is_drawn_from_the_seed() -> None:
    """The same every time."""
    given = divided(replace(training(), start=None), crew(0))
    one, other = (ImplicitALS.fit(given)["vectors"] for _ in range(2))
    assert one.any(axis=1).all()
    assert np.array_equal(one, other)


def test_small_data_is_the_librarys() -> None:
    """A crew that trains from more cells on than there are leaves the training as it is."""
    given = training()
    assert divided(given, crew(given.matrix.nnz + 1)) is given
    assert divided(given, crew(None)) is given
    assert divided(given, crew(given.matrix.nnz)).divided is not None


def test_blocks_cover_all_rows_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole rows; one that is larger than a block is a block."""
    monkeypatch.setattr(sweeps, "BLOCK_CELLS", 10)
    monkeypatch.setattr(sweeps, "BLOCK_ROWS", 4)
    cells = [3, 3, 3, 3, 25, 0, 0, 0, 0, 0, 10, 1]
    assert blocks(np.cumsum([0, *cells])) == [(0, 3), (3, 4), (4, 5), (5, 9), (9, 11), (11, 12)]
    assert blocks(np.array([0])) == []
