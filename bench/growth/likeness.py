"""How like real shoppers the made-up ones are: a few numbers of both, side by side.

    python -m bench.growth.likeness --gowalla PATH [--fit]

Of the Gowalla check-ins (both parts of the usual split) and of as many made-up users and items: how long histories
are, how popularity falls with rank, what share the head of the catalogue has; with `--fit`, iALS is fitted to both,
and it is told how unequal 64 buckets by taste are where nothing bounds them, and how many of their nearest neighbours
users share a bucket with once the builder's bound holds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from bench import gowalla, tables
from bench.growth import people

FACTORS = 64
PARTITIONS = 64
_PERCENTILES = (10, 50, 90, 99)
_RANKS = (10, 10_000)
"""Between which the exponent of popularity is fitted."""


def told(matrix: csr_matrix) -> dict[str, float]:
    """Histories and popularity of a (users, items) matrix."""
    lengths = np.diff(matrix.indptr)
    popular = np.sort(np.bincount(matrix.indices, minlength=matrix.shape[1]))[::-1]
    return {
        "users": matrix.shape[0],
        "items": matrix.shape[1],
        "interactions": int(matrix.nnz),
        "history mean": float(lengths.mean()),
        **{f"history p{at}": float(np.percentile(lengths, at)) for at in _PERCENTILES},
        "history log spread": float(np.log(lengths[lengths > 0]).std()),
        "popularity exponent": exponent(popular),
        "share of the first 1 %": float(popular[: len(popular) // 100].sum() / popular.sum()),
        "share of the first 10 %": float(popular[: len(popular) // 10].sum() / popular.sum()),
    }


def exponent(popular: NDArray[np.int64]) -> float:
    """By which popularity falls with rank, of counts in falling order: least squares of the logarithms."""
    first, last = _RANKS[0] - 1, min(_RANKS[1], int((popular > 0).sum()))
    ranks = np.arange(first + 1, last + 1)
    return float(-np.polyfit(np.log(ranks), np.log(popular[first:last]), 1)[0])


def buckets(vectors: NDArray[np.float32]) -> dict[str, float]:
    """Of users' vectors (n, factors): how unequal buckets by taste are, and what they are worth."""
    from builder import partition
    from trunkshow.taste import largest_size, spherical_codebook

    unbounded = spherical_codebook(vectors, PARTITIONS, 0, float(PARTITIONS)).assign(vectors, len(vectors))
    sizes = np.bincount(unbounded, minlength=PARTITIONS)
    bounded = spherical_codebook(vectors, PARTITIONS, 0, partition.SIZE_RATIO_MAX)
    homes = bounded.assign(vectors, largest_size(len(vectors), PARTITIONS, partition.SIZE_RATIO_MAX))
    neighbours = partition.near_users(vectors, 0)
    return {
        "largest bucket ÷ mean": float(sizes.max() / sizes.mean()),
        "spread of buckets ÷ mean": float(sizes.std() / sizes.mean()),
        "neighbours in the bucket": partition.locality(neighbours, unbounded),
        "the same, sizes bounded": partition.locality(neighbours, homes),
    }


def taste(matrix: csr_matrix, given: NDArray[np.float32] | None = None) -> dict[str, float]:
    """What the builder would make of a (users, items) matrix: buckets, and what partitions list.

    Args:
        matrix: of who had what.
        given: (items, factors) factors instead of fitted ones.
    """
    from builder import folding, plan
    from builder.crew.port import Alone
    from trunkshow.models.ials import ImplicitALS
    from trunkshow.models.protocol import Settings

    settings = Settings(factors=FACTORS, epochs=Settings().epochs if given is None else 0)
    model = ImplicitALS.open(ImplicitALS.fit(replace(gowalla.training(matrix, settings), start=given)))
    vectors = folding.fold_in(model, matrix)
    made = plan.make_plan(vectors, model.vectors, matrix, partitions=PARTITIONS, seed=0, crew=Alone(Path("nowhere")))
    return {
        **buckets(vectors),
        "items per partition": float(np.mean([len(rows) for rows in made.lists])),
        "best items listed of a user": float(made.measures["items_per_user"]),
        "coverage of the held out": float(made.measures["coverage"]),
    }


def real(path: Path) -> csr_matrix:
    """Both parts of the split."""
    read = pl.read_parquet(path, columns=["user_id", "item_id"])
    return _matrix(read["user_id"].to_numpy(), read["item_id"].to_numpy())


def made_up(shop: people.Shop) -> csr_matrix:
    """Who had what."""
    parts = list(people.interactions(shop))
    users, items = (np.concatenate([part[at] for part in parts]) for at in (0, 1))
    return _matrix(users, items, (shop.users, shop.items))


def _matrix(users: NDArray[Any], items: NDArray[Any], shape: tuple[int, int] | None = None) -> csr_matrix:
    matrix = csr_matrix((np.ones(len(users), np.float32), (users, items)), shape=shape)
    matrix.data[:] = 1
    return matrix


def measure(path: Path, *, fit: bool) -> dict[str, dict[str, float]]:
    """Both, side by side."""
    theirs = real(path)
    shop = people.Shop(*theirs.shape)
    ours = made_up(shop)
    found = {"gowalla": told(theirs), "made up": told(ours)}
    if fit:
        found["gowalla"] |= taste(theirs)
        found["made up"] |= taste(ours)
        found["made up, given factors"] = taste(ours, shop.item_vectors(FACTORS))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gowalla", type=Path, default=os.environ.get("GOWALLA"), help="the split as Parquet")
    parser.add_argument("--fit", action="store_true", help="fit models to both; about a minute")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    if chosen.gowalla is None:
        parser.error("say where the Gowalla split is, by --gowalla or in GOWALLA")
    found = measure(Path(chosen.gowalla), fit=chosen.fit)
    if chosen.json:
        json.dump({"machine": tables.machine(), **found}, sys.stdout, indent=2, ensure_ascii=False)
        print()
        return
    names = list(dict.fromkeys(name for column in found.values() for name in column))
    tables.show(("", *found), [(name, *(column.get(name, "") for column in found.values())) for name in names])


if __name__ == "__main__":
    main()
