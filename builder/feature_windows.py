"""Feature windows over a table of events, at any moments: what a shard's counters would have said, for training.

The definition, and the proof that both agree, is `trunkshow.stream.windows`' (and the property test's that computes
both); here it is evaluated for many moments at once, by binary search in the sorted seconds of each key and
interaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from builder.events import Events
from trunkshow.models.protocol import Floats, Rows
from trunkshow.stream.windows import KINDS, PRICED, WINDOWS, begins
from trunkshow.v1 import events_pb2

Times = NDArray[np.int64]
Value = TypeVar("Value", bound=np.generic)


@dataclass(frozen=True)
class FeatureTable:
    """Features of q users or items, each at a moment.

    Attributes:
        counts: (q, windows, KINDS) int32.
        last_values: (q,) float32, NaN where there is none.
        last_categories: (q,) int32, -1 where there is none.
    """

    counts: NDArray[np.int32]
    last_values: Floats
    last_categories: Rows


def features(events: Events, keys: Rows, categories: Rows, asked: Rows, asked_ms: Times) -> FeatureTable:
    """The features of users or items.

    Args:
        events: the whole history.
        keys: (n,) of each event: its user, or its item.
        categories: (items,) code of each item's category, in the order of the categories' names; -1 for none.
        asked: (q,) users or items.
        asked_ms: (q,) moments, milliseconds since the epoch; what is not before a moment's second has no part.
    """
    kinds = interaction_codes(events.kind_names)[events.kinds]
    of_events = categories[events.items]
    priced = np.isin(kinds, sorted(PRICED)) & ~np.isnan(events.values)
    grouped = (of_events >= 0, keys, events.times, of_events)
    return FeatureTable(
        counts(keys, kinds, events.times, asked, asked_ms),
        _last(priced, keys, events.times, events.values, asked, asked_ms, np.float32(np.nan)),
        _last(*grouped, asked, asked_ms, np.int32(-1)),
    )


def interaction_codes(kind_names: tuple[str, ...]) -> NDArray[np.int64]:
    """The wire's number of each interaction, by its name in a data set file; 0 for what the wire does not name."""
    prefix = "INTERACTION_"
    codes = {name.removeprefix(prefix).lower(): code for name, code in events_pb2.Interaction.items()}
    return np.array([codes.get(name.lower().replace("-", "_"), 0) for name in kind_names], np.int64)


def counts(keys: Rows, kinds: NDArray[np.int64], times: Times, asked: Rows, asked_ms: Times) -> NDArray[np.int32]:
    """(q, windows, KINDS) events in each window.

    Args:
        keys: (n,) of each event.
        kinds: (n,) numbers below `KINDS`.
        times: (n,) milliseconds.
        asked: (q,) keys.
        asked_ms: (q,) moments.
    """
    found = np.zeros((len(asked), len(WINDOWS), KINDS), np.int32)
    if not len(times):
        return found
    line = _Line(times // 1000)
    ordered = np.sort(line.at(keys.astype(np.int64) * KINDS + kinds, times // 1000))
    seconds = asked_ms // 1000
    for kind in np.unique(kinds):
        groups = asked.astype(np.int64) * KINDS + kind
        until = np.searchsorted(ordered, line.at(groups, seconds))
        for number, window in enumerate(WINDOWS):
            since = np.searchsorted(ordered, line.at(groups, begins(seconds, window)))
            found[:, number, kind] = until - since
    return found


class _Line:
    """Groups one after the other on one line of integers, each with room for all the seconds that occur."""

    def __init__(self, seconds: Times) -> None:
        self._first, self._last = int(seconds.min()), int(seconds.max())

    def at(self, groups: NDArray[np.int64], seconds: Times) -> NDArray[np.int64]:
        """A second's place in its group; one outside stands at the group's nearest end."""
        places: NDArray[np.int64] = groups * (self._last - self._first + 2)
        return places + np.clip(seconds, self._first, self._last + 1) - self._first


def _last(
    has: NDArray[np.bool_],
    keys: Rows,
    times: Times,
    values: NDArray[Value],
    asked: Rows,
    asked_ms: Times,
    nothing: Value,
) -> NDArray[Value]:
    """(q,) the value of the newest event that has one, of each key asked for; the largest of the same moment."""
    keys, times, values = keys[has], times[has], values[has]
    if not len(times):
        return np.full(len(asked), nothing)
    order = np.lexsort((values, times, keys))
    line = _Line(times // 1000)
    ordered = line.at(keys[order].astype(np.int64), times[order] // 1000)
    seconds, groups = asked_ms // 1000, asked.astype(np.int64)
    newest = np.searchsorted(ordered, line.at(groups, seconds)) - 1
    first = np.searchsorted(ordered, line.at(groups, begins(seconds, WINDOWS[-1])))
    return np.where(newest >= first, values[order][np.maximum(newest, 0)], nothing)
