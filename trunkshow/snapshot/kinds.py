"""Kinds of items, in which a user's present intent is told: the catalogue's categories, or groups of like items.

kinds/mix.npy     (kinds,) float32, each kind's share in what the shop's users do, above 0, summing to 1
kinds/codes.npy   (items,) int32, -1 for none; only where the data set has no categories: items of one taste

A snapshot from before there were kinds has neither: its categories are its kinds, and their shares in the catalogue
stand for those in what users do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from trunkshow.models.protocol import NO_FLOATS, NO_ROWS, Floats, Rows
from trunkshow.snapshot import arrays
from trunkshow.snapshot.catalogue import Catalogue

FOLDER = "kinds"

SHARE_MIN = 1e-6
"""Of a kind that nobody ever did anything with."""


def of_none(row: int) -> int:
    """The kind of an item that came since the build, where nothing says what kinds are."""
    del row
    return -1


class Kinds(NamedTuple):
    """The kinds of one snapshot.

    Attributes:
        codes: (items,) of each item that was built, -1 for none.
        mix: (kinds,) shares; empty where there are no kinds.
        names: in the order of the codes; empty where kinds have none.
        since: of an item that came since the build, by its row.
    """

    codes: Rows
    mix: Floats
    names: tuple[str, ...] = ()
    since: Callable[[int], int] = of_none


NO_KINDS = Kinds(NO_ROWS, NO_FLOATS)


def shares(worth: NDArray[np.float64]) -> Floats:
    """(kinds,) shares of what each kind is worth, none of them 0."""
    floored = np.maximum(worth / max(float(worth.sum()), SHARE_MIN), SHARE_MIN)
    mixed: Floats = (floored / floored.sum()).astype(np.float32)
    return mixed


def write(folder: Path, mix: Floats, codes: Rows | None) -> None:
    """Write the mix, and where the catalogue has no categories the codes."""
    arrays.save(folder, {"mix": mix} if codes is None else {"mix": mix, "codes": codes})


def read(folder: Path, catalogue: Catalogue) -> Kinds:
    """The kinds that a folder has, which need not be there, and otherwise the catalogue's categories."""
    columns = arrays.load(folder)
    if "codes" in columns:
        return Kinds(columns["codes"], columns["mix"])
    codes, names = catalogue.categories, catalogue.category_names
    mix = columns.get("mix")
    if mix is None or len(mix) != len(names):
        mix = shares(np.bincount(codes[codes >= 0], minlength=len(names)).astype(np.float64))
    return Kinds(codes, mix, names, catalogue.category_code)


def codes_of(rows: Sequence[int], codes: Rows, since: Callable[[int], int]) -> list[int]:
    """Kinds of some items, which may have come since the build."""
    try:
        return cast("list[int]", codes[list(rows)].tolist())
    except IndexError:
        return [int(codes[row]) if row < len(codes) else since(row) for row in rows]
