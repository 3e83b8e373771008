"""Sessions of a data set as questions: given what a user did so far, which item comes next? For `bench.intent`.

A session ends with half an hour without an event. Of each that begins in a part one next item is drawn: an item that
the model knows and that the session has not had. What precedes it in the session is context; everything of that user
before the session is history. Where events share a moment, as the items of a receipt do, their order is drawn: the data
do not have it, and a file's own order may tell what comes next.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from builder.dataset import Dataset, load_dataset
from builder.events import Events, read_events
from builder.tables import read_items
from builder.training import Numbered, number
from trunkshow.models.protocol import Floats, Rows, Settings
from trunkshow.stream.intent import DAY_MS

GAP_MS = 30 * 60_000

TAOBAO = """\
name = "taobao"
[[events]]
path = "{file}"
user = "user_id"
item = "item_id"
interaction = "event_type"
timestamp = "timestamp"
[interactions]
buy = 1.0
fav = 0.8
cart = 0.6
[serving]
repeat = true
"""
"""Of Tianchi's Taobao behaviour data, as Parquet: what was put into carts, favoured and bought; no categories."""


@dataclass(frozen=True)
class Question:
    """Which item comes next?

    Attributes:
        history: item rows, each once, of what the user did before the session.
        weights: of the history, summed.
        session: item rows of the session so far, each once.
        session_weights: of the session, summed; none below 0.
        lately: (time in milliseconds, item row) of the day before, the session included, in order.
        now_ms: when the next item was taken.
        wanted: the next item's row.
    """

    history: Rows
    weights: Floats
    session: Rows
    session_weights: Floats
    lately: tuple[tuple[int, int], ...]
    now_ms: int
    wanted: int


@dataclass(frozen=True)
class Parts:
    """What is learned from, and the questions of the two parts that come after it.

    Attributes:
        trained: the first 80 % of the events.
        choosing: questions of the next 10 %, for choosing parameters.
        reporting: questions of the last 10 %.
    """

    trained: Numbered
    choosing: list[Question]
    reporting: list[Question]


def read_parts(path: Path, settings: Settings, users_share: float, questions_max: int) -> Parts:
    """Read a data set, and divide it in time.

    Args:
        path: of the data set file.
        settings: of the models.
        users_share: of the users, drawn; for a first look.
        questions_max: per part, drawn.
    """
    dataset = load_dataset(path)
    events = _some(read_events(dataset)[0], users_share, settings.seed)
    cuts = [int(events.times[int(len(events) * share)]) for share in (0.8, 0.9)]
    items = read_items(dataset) if dataset.items is not None else None
    trained = number(dataset, events, items, None, settings, up_to=events.times < cuts[0])
    lines = _Lines(dataset, events, trained, np.random.default_rng(settings.seed))
    return Parts(
        trained, lines.questions(cuts[0], cuts[1], questions_max), lines.questions(cuts[1], None, questions_max)
    )


def _some(events: Events, share: float, seed: int) -> Events:
    chosen = np.random.default_rng(seed).random(len(events.user_ids)) < share
    kept = chosen[events.users]
    columns = {name: getattr(events, name)[kept] for name in ("users", "items", "kinds", "times", "values")}
    return replace(events, **columns)


class _Lines:
    """Each user's events in order, one user after the other, in the rows of what was trained."""

    def __init__(self, dataset: Dataset, events: Events, trained: Numbered, rng: np.random.Generator) -> None:
        order = np.lexsort((rng.permutation(len(events)), events.times, events.users))
        known = {item: row for row, item in enumerate(trained.columns.ids)}
        rows = np.array([known.get(item, -1) for item in events.item_ids.to_list()], np.int32)
        self._rng = rng
        self._users = events.users[order]
        self._times = events.times[order]
        self._items = rows[events.items[order]]
        self._weights = events.weights(dataset.interactions)[order]

    def questions(self, since_ms: int, until_ms: int | None, most: int) -> list[Question]:
        """Questions of the sessions that begin in a stretch of time."""
        begins = np.flatnonzero(
            np.diff(self._users, prepend=-1).astype(bool) | (np.diff(self._times, prepend=0) > GAP_MS)
        )
        ends = np.append(begins[1:], len(self._users))
        within = self._times[begins] >= since_ms
        if until_ms is not None:
            within &= self._times[begins] < until_ms
        spans = list(zip(begins[within].tolist(), ends[within].tolist(), strict=True))
        self._rng.shuffle(spans)
        return list(self._asked(spans, most))

    def _asked(self, spans: list[tuple[int, int]], most: int) -> Iterator[Question]:
        for begin, end in spans:
            items = self._items[begin:end]
            first = np.sort(np.unique(items, return_index=True)[1])  # where each item appears first
            able = [at for at in first.tolist() if at > 0 and items[at] >= 0 and (items[:at] >= 0).any()]
            if able:
                yield self._question(begin, begin + int(self._rng.choice(able)))
                most -= 1
            if not most:
                return

    def _question(self, begin: int, at: int) -> Question:
        user = int(np.searchsorted(self._users, self._users[at]))
        now_ms = int(self._times[at])
        day = int(np.searchsorted(self._times[user:at], now_ms - DAY_MS)) + user
        history, weights = _summed(self._items[user:begin], self._weights[user:begin])
        session, session_weights = _summed(self._items[begin:at], np.maximum(self._weights[begin:at], 0))
        return Question(
            history=history,
            weights=weights,
            session=session,
            session_weights=session_weights,
            lately=tuple(zip(self._times[day:at].tolist(), self._items[day:at].tolist(), strict=True)),
            now_ms=now_ms,
            wanted=int(self._items[at]),
        )


def _summed(items: Rows, weights: Floats) -> tuple[Rows, Floats]:
    rows, where = np.unique(items, return_inverse=True)
    summed = np.bincount(where, weights, len(rows)).astype(np.float32)
    return rows[rows >= 0], summed[rows >= 0]
