"""The taste hash keeps its promises for whatever vectors it is given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from trunkshow.taste import Codebook, Kind, largest_size, sign_codebook, spherical_codebook, unit

FACTORS = 6
RATIO = 1.25
KINDS: tuple[Kind, ...] = ("sign", "spherical")
quick = settings(max_examples=40, deadline=None)

Floats = NDArray[np.float32]


@st.composite
def tastes(draw: Any) -> Floats:
    """Vectors of some users: any numbers, some of them zeros, and some of the users the same as others."""
    numbers = st.floats(-1e3, 1e3, width=32)
    distinct = draw(arrays.arrays(np.float32, st.tuples(st.integers(1, 40), st.just(FACTORS)), elements=numbers))
    copies = draw(st.lists(st.integers(0, len(distinct) - 1), max_size=40))
    zeros = np.zeros((draw(st.integers(0, 10)), FACTORS), np.float32)
    return np.concatenate([distinct, distinct[copies], zeros])


def codebook(kind: Kind, vectors: Floats, partitions: int, seed: int = 0) -> Codebook:
    """A hash of either kind."""
    if kind == "sign":
        return sign_codebook(vectors.shape[1], partitions, seed)
    return spherical_codebook(vectors, partitions, seed, RATIO)


def clustered(users: int = 200) -> Floats:
    """Users around a few directions."""
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((5, FACTORS))
    return (centres[np.arange(users) % 5] + 0.3 * rng.standard_normal((users, FACTORS))).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
@quick
@given(vectors=tastes(), partitions=st.integers(1, 16))
def test_no_partition_is_larger_than_the_bound(kind: Kind, vectors: Floats, partitions: int) -> None:
    """The largest partition has at most 1.25 times the mean, but for rounding up to whole users."""
    homes = codebook(kind, vectors, partitions).assign(vectors, largest_size(len(vectors), partitions, RATIO))
    largest = np.bincount(homes, minlength=partitions).max()
    assert largest <= max(RATIO * len(vectors) / partitions, -(-len(vectors) // partitions))


@pytest.mark.parametrize("kind", KINDS)
@quick
@given(vectors=tastes(), partitions=st.integers(1, 16))
def test_every_user_gets_one_of_the_partitions(kind: Kind, vectors: Floats, partitions: int) -> None:
    """Nobody is left out, and no partition is made up."""
    homes = codebook(kind, vectors, partitions).assign(vectors, largest_size(len(vectors), partitions, RATIO))
    assert len(homes) == len(vectors)
    assert set(homes.tolist()) <= set(range(partitions))


@pytest.mark.parametrize("kind", KINDS)
@quick
@given(vectors=tastes(), partitions=st.integers(2, 9))
def test_nobody_is_kept_out_by_somebody_farther(kind: Kind, vectors: Floats, partitions: int) -> None:
    """A partition that a user would rather be in is full, and holds nobody who is farther from it than that user."""
    book, size_max = codebook(kind, vectors, partitions), largest_size(len(vectors), partitions, RATIO)
    homes = book.assign(vectors, size_max)
    near = unit(vectors) @ book.directions.T
    rounding = 1e-6  # what was a product of a few rows there is one of all rows here
    for user, home in enumerate(homes):
        for nearer in np.flatnonzero(near[user] > near[user, home] + rounding):
            held = np.flatnonzero(homes == nearer)
            assert len(held) == size_max
            assert near[held, nearer].min() >= near[user, nearer] - rounding


def test_too_many_users_for_the_partitions_are_refused() -> None:
    """A bound that cannot hold everyone is an error, not an endless search."""
    with pytest.raises(ValueError, match="do not fit"):
        sign_codebook(FACTORS, 4, 0).assign(clustered(21), 5)


@pytest.mark.parametrize("kind", KINDS)
@quick
@given(vectors=tastes(), partitions=st.integers(1, 16), count=st.integers(1, 20))
def test_probing_goes_from_the_best_direction_to_the_worst(
    kind: Kind, vectors: Floats, partitions: int, count: int
) -> None:
    """The first partition probed has the largest product with the vector, and each next one a smaller."""
    book = codebook(kind, vectors, partitions)
    probed = book.probe(vectors[0], count)
    products = book.directions @ vectors[0]
    assert len(set(probed)) == min(count, partitions)
    assert products[probed].tolist() == sorted(products.tolist(), reverse=True)[:count]


@pytest.mark.parametrize("kind", KINDS)
def test_a_user_with_room_at_home_lives_where_probing_starts(kind: Kind) -> None:
    """Assignment and probing agree on which partition is nearest."""
    vectors = clustered()
    book = codebook(kind, vectors, 5)
    homes = book.assign(vectors, len(vectors))
    assert homes.tolist() == [book.probe(vector, 1)[0] for vector in unit(vectors)]


@quick
@given(bits=st.integers(1, FACTORS), seed=st.integers(0, 2**32 - 1))
def test_the_planes_of_sign_hashes_are_orthogonal(bits: int, seed: int) -> None:
    """As many planes as there are factors, or fewer, are at right angles (super-bit hashing)."""
    directions = sign_codebook(FACTORS, 2**bits, seed).directions
    # Two codes that differ in one bit differ by twice that bit's plane.
    planes = unit(directions[[1 << bit for bit in range(bits)]] - directions[0])
    assert np.abs(planes @ planes.T - np.eye(bits)).max() < 1e-5


def test_a_sign_hash_puts_a_vector_where_its_signs_are() -> None:
    """The nearest direction is the one on the vector's own side of every plane."""
    book, vector = sign_codebook(FACTORS, 2**4, 0), clustered()[0]
    planes = book.directions[[1 << bit for bit in range(4)]] - book.directions[0]
    own_code = sum(1 << bit for bit in range(4) if planes[bit] @ vector > 0)
    assert book.probe(vector, 1) == [own_code]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_hash(kind: Kind) -> None:
    """A hash is a function of its data and its seed."""
    vectors = clustered()
    assert codebook(kind, vectors, 7, 5).directions.tobytes() == codebook(kind, vectors, 7, 5).directions.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_another_seed_gives_another_hash(kind: Kind) -> None:
    """The seed is used."""
    vectors = clustered()
    assert codebook(kind, vectors, 7, 5).directions.tobytes() != codebook(kind, vectors, 7, 6).directions.tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("partitions", [*range(1, 18), 33, 64, 100, 200])
def test_every_number_of_partitions_works(kind: Kind, partitions: int) -> None:
    """Powers of two are nothing special."""
    vectors = clustered()
    homes = codebook(kind, vectors, partitions).assign(vectors, largest_size(len(vectors), partitions, RATIO))
    assert set(homes.tolist()) <= set(range(partitions))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("factors", [1, 2, 3])
def test_more_bits_than_factors_work(kind: Kind, factors: int) -> None:
    """A hash of many partitions over few factors has planes that repeat, and still spreads the users."""
    vectors = clustered()[:, :factors]
    homes = codebook(kind, vectors, 32).assign(vectors, largest_size(len(vectors), 32, RATIO))
    assert np.bincount(homes).max() <= largest_size(len(vectors), 32, RATIO)


def test_users_of_one_taste_share_a_spherical_partition() -> None:
    """Five tastes in five partitions come out as five tastes."""
    vectors = clustered()
    homes = spherical_codebook(vectors, 5, 0, RATIO).assign(vectors, largest_size(len(vectors), 5, RATIO))
    agreement = [np.bincount(homes[taste::5]).max() / len(homes[taste::5]) for taste in range(5)]
    assert min(agreement) > 0.8


@quick
@given(vectors=tastes())
def test_unit_vectors_have_length_one_or_zero(vectors: Floats) -> None:
    """Zeros stay zeros; everything that has a length gets length one."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    scaled = np.linalg.norm(unit(vectors), axis=1)
    assert (scaled[lengths == 0] == 0).all()
    # Below this the squares vanish in float32.
    assert np.abs(scaled[lengths > 1e-15] - 1).max(initial=0) < 1e-3
