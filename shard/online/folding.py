"""A user's record and their online events as one record: the history that a rebuild would make, and a vector for it.

Weights are a rebuild's too, but for the present session, which counts several times (`trunkshow.online.weights`): what
somebody does right now shows at once, and is worth what it is worth once the session or a build has passed. The vector
is always solved anew from the whole history, with the item factors as they are, by the equations that training solves
(`trunkshow.models.fold_in`): so nothing drifts, however many events come one by one. An event with an item that the
catalogue does not know is left out.

An event may come again after a snapshot that has it. It is the same moment's then, and the record has its item at that
moment or a later one: so what is no later than what the record has of its item counts nothing more, however long after
the first it comes. What it says of having and hiding is said: twice is as much as once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shard.online.lately import session_of
from shard.online.state import Event, Events
from trunkshow import marks
from trunkshow.models.fold_in import Solver
from trunkshow.models.protocol import NO_FLOATS, NO_ROWS, Rows
from trunkshow.online.positions import Since
from trunkshow.online.weights import SESSION_FACTOR, Weights, session_begins_ms
from trunkshow.snapshot.kinds import NO_KINDS, Kinds
from trunkshow.snapshot.records import UserRecord
from trunkshow.stream.intent import Session

NOBODY = UserRecord(-1, NO_FLOATS, NO_ROWS, NO_FLOATS, np.empty(0, np.uint32))
"""What a snapshot knows of somebody whom it does not know."""


@dataclass(frozen=True)
class Terms:
    """What folding in takes of a snapshot.

    Attributes:
        row_of: an item's row by its id; None for one that is not in the catalogue.
        equations: that its vectors solve, for every row that `row_of` knows.
        weights: of interaction types.
        marks: of interaction types.
        since: up to where it has seen the log.
        kinds: of items, in which an intent is told.
    """

    row_of: Callable[[str], int | None]
    equations: Solver
    weights: Weights
    marks: Mapping[int, int]
    since: Since
    kinds: Kinds = NO_KINDS


@dataclass(frozen=True, eq=False)
class Folded:
    """A user with their online events.

    Attributes:
        record: as if the snapshot had been built with the events, those of the present session many times.
        had: (n,) item rows that the user had, by the snapshot or since.
        hidden: (m,) item rows that the user does not want to see, by the snapshot or since.
        events: how many were folded in, of which the record may have none.
        session: what the user is doing, to be aged; None where that is not known.
    """

    record: UserRecord
    had: Rows
    hidden: Rows
    events: int
    session: Session | None = None


def fold(record: UserRecord, events: Events, terms: Terms) -> Folded | None:
    """A user's record with what is new of their events; None where nothing is.

    Args:
        record: `NOBODY` for somebody whom the snapshot does not know. Its arrays are not kept.
        events: of the user.
        terms: of the snapshot that the record is of.
    """
    new = _new(events, terms)
    if not new:
        return None
    sure = _surely_new(record, new)
    weighed = [(row, event) for row, event in sure if terms.weights[event.interaction]]
    items, weights, times = _merged(record, weighed, _worth(weighed, terms.weights))
    solved = bool(weighed) or not len(record.vector)
    vector = terms.equations.solve(items, weights) if solved else record.vector.copy()
    return Folded(
        UserRecord(record.segment, vector, items, weights, times),
        np.append(record.had, _marked(new, terms, marks.HAD)),
        np.append(record.hidden, _marked(new, terms, marks.HIDDEN)),
        len(sure),
        session_of(record, events, terms.row_of, terms.kinds),
    )


def _new(events: Events, terms: Terms) -> list[tuple[int, Event]]:
    """The events that the snapshot has not seen, with items that it knows, and these items' rows."""
    chosen = (event for event in events if event.interaction in terms.weights)
    found = ((terms.row_of(event.item), event) for event in chosen if terms.since.is_new(event.at, event.time_ms))
    return [(row, event) for row, event in found if row is not None]


def _surely_new(record: UserRecord, new: Sequence[tuple[int, Event]]) -> list[tuple[int, Event]]:
    """Those of which the record has nothing: it has of each item the last time."""
    last_s = dict(zip(record.items.tolist(), record.times.tolist(), strict=True))
    return [(row, event) for row, event in new if event.time_ms // 1000 > last_s.get(row, -1)]


def _worth(weighed: Sequence[tuple[int, Event]], weights: Weights) -> list[float]:
    """What each event counts; more with items of which the present session, all in all, says something good.

    So a return takes an order of the same session back whole, and of one from before no more than it was worth.
    """
    begins_ms = session_begins_ms([event.time_ms for _, event in weighed]) if weighed else 0
    net: dict[int, float] = {}
    for row, event in weighed:
        if event.time_ms >= begins_ms:
            net[row] = net.get(row, 0.0) + weights[event.interaction]
    return [
        weights[event.interaction] * (SESSION_FACTOR if event.time_ms >= begins_ms and net[row] > 0 else 1.0)
        for row, event in weighed
    ]


def _merged(
    record: UserRecord, weighed: Sequence[tuple[int, Event]], counted: Sequence[float]
) -> tuple[Rows, NDArray[np.float32], NDArray[np.uint32]]:
    """A history with events: newest first, each item once, at its last time, with its summed weight."""
    rows = np.concatenate([record.items, _rows(row for row, _ in weighed)])
    worth = np.concatenate([record.weights, counted])
    seconds = np.concatenate([record.times, [event.time_ms // 1000 for _, event in weighed]])
    items, where = np.unique(rows, return_inverse=True)
    last = np.zeros(len(items))
    np.maximum.at(last, where, seconds)
    order = np.lexsort((items, -last))
    summed = np.bincount(where, worth, minlength=len(items))
    times = last[order].clip(0, 2**32 - 1).astype(np.uint32)
    return items[order].astype(np.int32), summed[order].astype(np.float32), times


def _marked(new: Sequence[tuple[int, Event]], terms: Terms, mark: int) -> Rows:
    return _rows(row for row, event in new if terms.marks[event.interaction] & mark)


def _rows(rows: Iterable[int]) -> Rows:
    return np.fromiter(rows, np.int32)
