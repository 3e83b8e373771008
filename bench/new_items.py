"""New items from what is said of them: are they shown to those who want them, and as often as others?

A twentieth of the demo's items that at least ten shoppers had is taken out of the history; the model is fitted without
them, and each gets a vector from its category, attributes and title. Then, over the shoppers who had any of them:

    recall@20    among the new items alone, of those that the shopper had
    shown        new items that score higher than the 20th of all known ones, per shopper; a known item of this kind is
                 among a shopper's twenty as often as makes "fair" for as many
    precision    of those shown, the share that the shopper had

beside chance, the category's popularity, and nearest neighbours: the mean of the 20 items that most is shared with (by
inverse frequency), weighted by how often these were had.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench import tables
from builder.dataset import load_dataset
from builder.events import read_events
from builder.tables import read_items
from builder.training import Numbered, number
from cli import demo_data
from trunkshow.models.ials import ImplicitALS
from trunkshow.models.protocol import Floats, Rows, Settings
from trunkshow.snapshot.likeness import SAMPLE_MAX, STRETCH, Description, Likeness, weights_of

SHARE, HAD_MIN, TOP = 0.05, 10, 20
NEIGHBOURS = 20


class World(NamedTuple):
    """What is known, and what is asked.

    Attributes:
        said: of every item.
        model: fitted without the new ones.
        users: (u, factors) vectors.
        known: rows of the others that are available.
        new: rows of the new items.
        wanted: of each user, positions in `new`.
        fair: how many of as many known items are among a user's twenty.
    """

    said: Sequence[Description]
    model: ImplicitALS
    users: Floats
    known: Rows
    new: Rows
    wanted: Sequence[Rows]
    fair: float


def main() -> None:
    """Measure, and print or write."""
    parser = argparse.ArgumentParser(prog="python -m bench.new_items", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        world = world_of(demo_data.materialise(Path(folder)).dataset, arguments.seed)
    lines = [measured(name, scores, world) for name, scores in compared(world, arguments.seed)]
    if arguments.json:
        print(json.dumps({"new": len(world.new), "fair": world.fair, "lines": lines}, indent=1))
        return
    print(
        f"{len(world.new):,} new items, {len(world.users):,} shoppers; fair would be {world.fair:.2f} shown to each\n"
    )
    tables.show(list(lines[0]), [list(line.values()) for line in lines])


def world_of(dataset_file: Path, seed: int) -> World:
    """Take items out, and fit."""
    dataset = load_dataset(dataset_file)
    events, _ = read_events(dataset)
    numbered = number(dataset, events, read_items(dataset), None, Settings())
    training, columns = numbered.training, numbered.columns
    degrees = np.bincount(training.matrix.indices, minlength=len(columns.ids))
    fit_for = np.flatnonzero((degrees >= HAD_MIN) & columns.available)
    rng = np.random.default_rng(seed)
    new = np.sort(rng.choice(fit_for, int(len(fit_for) * SHARE), replace=False)).astype(np.int32)
    without = training.matrix.copy()
    without.data *= ~np.isin(without.indices, new)
    without.eliminate_zeros()
    model = ImplicitALS.open(ImplicitALS.fit(replace(training, matrix=without)))
    position = np.full(len(columns.ids), -1, np.int32)
    position[new] = np.arange(len(new))
    starts = training.matrix.indptr
    had = [position[training.matrix.indices[start:stop]] for start, stop in pairwise(starts)]
    wanted = [one[one >= 0] for one in had]
    asked = np.flatnonzero([len(one) > 0 for one in wanted])
    users = model.user_vectors(without[asked])
    known = np.setdiff1d(np.flatnonzero(columns.available), new).astype(np.int32)
    return World(
        described(numbered),
        model,
        users,
        known,
        new,
        [wanted[user] for user in asked],
        _fair(model, users, known, fit_for.astype(np.int32)),
    )


def described(numbered: Numbered) -> list[Description]:
    """What is said of every item."""
    columns = numbered.columns
    return [
        Description(
            title,
            columns.category_names[code] if code >= 0 else "",
            {
                name: columns.attribute_values[name][int(codes[row])]
                for name, codes in columns.attributes.items()
                if codes[row] >= 0
            },
        )
        for row, (title, code) in enumerate(zip(columns.titles, columns.categories.tolist(), strict=True))
    ]


def compared(world: World, seed: int) -> list[tuple[str, Floats]]:
    """(users, new) scores by each way."""
    rng = np.random.default_rng(seed + 1)
    chance = rng.random((len(world.users), len(world.new)), np.float32)
    bare = [replace(one, title="") for one in world.said]
    vectors = {
        "attributes": regressed(world, bare),
        "attributes, title": regressed(world, world.said),
        "the same, not stretched": regressed(world, world.said, stretch=0.0),
        "the same, stretched all the way": regressed(world, world.said, stretch=1.0),
        "the same, items weighted alike": regressed(world, world.said, alike=True),
        "nearest neighbours": neighbours(world),
    }
    rows = [("chance", chance), ("the category's popularity", popularity(world) + chance * 1e-6)]
    return rows + [(name, world.users @ found.T) for name, found in vectors.items()]


def regressed(world: World, said: Sequence[Description], *, stretch: float = STRETCH, alike: bool = False) -> Floats:
    """(new, factors) vectors as a snapshot makes them."""
    scales = world.model.equations.confidence.item_scale
    rows = world.known[np.argsort(scales[world.known], kind="stable")[:SAMPLE_MAX]]
    weights = np.ones(len(rows)) if alike else weights_of(scales[rows])
    likeness = Likeness(rows, [said[row] for row in rows], world.model.vectors[rows], weights, scales[rows], stretch)
    return np.array([likeness.vector(said[row]) for row in world.new])


def neighbours(world: World) -> Floats:
    """(new, factors) means of the items that most is shared with."""
    weights = weights_of(world.model.equations.confidence.item_scale)
    features = {int(row): list(world.said[row].features()) for row in world.known}
    counts = Counter(feature for one in features.values() for feature in one)
    of: dict[str, list[int]] = {}
    for row, said in features.items():
        for feature in said:
            of.setdefault(feature, []).append(row)
    found = np.zeros((len(world.new), world.model.factors), np.float32)
    for place, row in enumerate(world.new.tolist()):
        shared = np.zeros(len(world.said))
        for feature in world.said[row].features():
            if feature in of:
                shared[of[feature]] += np.log(len(features) / counts[feature])
        best = np.argsort(-shared, kind="stable")[:NEIGHBOURS]
        found[place] = np.average(world.model.vectors[best], axis=0, weights=shared[best] * weights[best] + 1e-12)
    return found


def popularity(world: World) -> Floats:
    """(1, new) how often items of the same category were had."""
    weights = weights_of(world.model.equations.confidence.item_scale)
    of: Counter[str] = Counter()
    for row in world.known.tolist():
        of[world.said[row].category] += weights[row]
    return np.array([[of[world.said[row].category] for row in world.new.tolist()]], np.float32)


def measured(name: str, scores: Floats, world: World) -> dict[str, Any]:
    """One line; scores of another kind than the model's cannot be held against known items'."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :TOP]
    recall = [
        np.isin(found, wanted).sum() / min(len(wanted), TOP) for found, wanted in zip(best, world.wanted, strict=True)
    ]
    line: dict[str, Any] = {"vector from": name, "recall@20": f"{np.mean(recall):.3f}", "shown": "", "precision": ""}
    if name not in {"chance", "the category's popularity"}:
        shown = scores > _twentieth(world.model, world.users, world.known)[:, None]
        hits = sum(int(one[wanted].sum()) for one, wanted in zip(shown, world.wanted, strict=True))
        line["shown"] = f"{shown.sum() / len(shown):.2f}"
        line["precision"] = f"{hits / max(shown.sum(), 1):.2f}"
    return line


def _twentieth(model: ImplicitALS, users: Floats, known: Rows) -> NDArray[np.float32]:
    scores = users @ model.vectors[known].T
    found: NDArray[np.float32] = -np.partition(-scores, TOP - 1, axis=1)[:, TOP - 1]
    return found


def _fair(model: ImplicitALS, users: Floats, known: Rows, alike: Rows) -> float:
    """Of the twenty best, how many are of as many items like the new ones as these are."""
    scores = users @ model.vectors[known].T
    best = known[np.argpartition(-scores, TOP - 1, axis=1)[:, :TOP]]
    return float(np.isin(best, alike).sum(axis=1).mean() * SHARE / (1 - SHARE))


if __name__ == "__main__":
    main()
