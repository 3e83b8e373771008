"""An event says the same of an item before and after a build: what a user had, and what they do not want to see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.dataset import Dataset, Evaluation, Ingest, Serving
from builder.events import Events
from builder.partition_files import columns_of, histories
from builder.training import number
from shard.online.folding import NOBODY, Terms, fold
from shard.online.state import Event
from trunkshow.marks import marks_by_type
from trunkshow.models.fold_in import Confidence, NormalEquations
from trunkshow.models.protocol import Settings
from trunkshow.online.positions import Position, Since
from trunkshow.online.weights import SHARES, weights_of
from trunkshow.snapshot.records import decode
from trunkshow.v1 import events_pb2 as pb

ITEMS = tuple(f"i{number}" for number in range(6))
TYPES = {pb.Interaction.Name(kind).removeprefix("INTERACTION_").lower(): kind for kind in SHARES}
VECTORS = np.eye(len(ITEMS), dtype=np.float32)
EQUATIONS = NormalEquations(VECTORS, np.eye(len(ITEMS)), Confidence(np.ones(len(ITEMS), np.float32), 1.0), 0.1, 0.1)

did = st.lists(st.tuples(st.sampled_from(ITEMS), st.sampled_from(sorted(TYPES))), min_size=1, max_size=12)


@settings(deadline=None)
@given(did=did, also=st.sets(st.sampled_from(sorted(TYPES))))
def test_the_builder_marks_what_a_shard_marks(did: list[tuple[str, str]], also: set[str]) -> None:
    """Of any events, whichever types the data set names beside those that occur."""
    named = dict.fromkeys(sorted(also | {kind for _, kind in did}), 1.0)
    assert _built(did, named) == _online(did, named)


def _built(did: list[tuple[str, str]], named: dict[str, float]) -> tuple[set[str], set[str]]:
    """Items had and hidden, as the record of a snapshot has them."""
    known = sorted({item for item, _ in did})
    events = Events(
        users=np.zeros(len(did), np.int32),
        items=np.array([known.index(item) for item, _ in did], np.int32),
        kinds=np.array([list(named).index(kind) for _, kind in did], np.uint8),
        times=np.arange(len(did), dtype=np.int64),
        values=np.full(len(did), np.nan, np.float32),
        user_ids=pl.Series(["u"]),
        item_ids=pl.Series(known),
        kind_names=tuple(named),
    )
    dataset = Dataset("d", Path(), (), named, Serving(), Evaluation(), Ingest(), None, None)
    numbered = number(dataset, events, None, None, Settings())
    named = {**histories(numbered), "user_vectors": np.zeros((1, 2), np.float32)}
    record = decode(next(columns_of(named, np.zeros(1, np.int64)).encoded()), 2)
    ids = numbered.columns.ids
    assert {ids[row] for row in numbered.had().indices} == {ids[row] for row in record.had}
    return {ids[row] for row in record.had}, {ids[row] for row in record.hidden}


def _online(did: list[tuple[str, str]], named: dict[str, float]) -> tuple[set[str], set[str]]:
    """The same, as a shard folds them in."""
    parameters = {"interactions": named}
    terms = Terms(ITEMS.index, EQUATIONS, weights_of(parameters), marks_by_type(named), Since(None, -1))
    events = tuple(Event(at, item, TYPES[kind], at, Position("log", 0, at + 1)) for at, (item, kind) in enumerate(did))
    folded = fold(NOBODY, events, terms)
    assert folded is not None
    return {ITEMS[row] for row in folded.had}, {ITEMS[row] for row in folded.hidden}
