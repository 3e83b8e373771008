"""What a model is: one class that the builder fits and the shards ask.

`fit` sees the whole history once and returns arrays; the snapshot keeps them; `open` gets the same arrays, mapped
into memory, in every process that serves. What depends on a partition (its users, its items' index) a model reads
from the shelf that it is handed. Filtering, the seen rule and an item's one appearance per slate are not a model's
business: `trunkshow.proposals` and `trunkshow.slate` do that for all of them.

A model that is not one of ours is asked on a thread of its own, for a limited time (docs/adr/0013-isolated-models.md),
and what it proposes is checked before it is shown (`trunkshow.candidates`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from trunkshow.models.sweeps import Divided
from trunkshow.snapshot.records import Neighbours, UserRecord

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Arrays = Mapping[str, NDArray[Any]]
Rows = NDArray[np.int32]
Floats = NDArray[np.float32]

NO_ROWS: Rows = np.empty(0, np.int32)
NO_FLOATS: Floats = np.empty(0, np.float32)


@dataclass(frozen=True)
class Settings:
    """What a person chooses of the models.

    Attributes:
        factors: dimensions of a taste vector.
        seed: of everything that is drawn.
        epochs: ALS sweeps over users and items.
        unobserved_ratio: weight of all unobserved cells together ÷ that of all observed ones.
        regularization: strength r of `trunkshow.models.fold_in`.
        neighbour_share: of item neighbours in the score of the factor model's candidates
            (`trunkshow.models.neighbour_blend`); 0 leaves them out.
        popularity_half_life_days: after this time an event counts half.
        new_arrival_days: how long an item is new.
        threads: for training; with more than one, factors differ in their last bits from run to run.
    """

    factors: int = 64
    seed: int = 0
    epochs: int = 10
    unobserved_ratio: float = 30.0
    regularization: float = 0.005
    neighbour_share: float = 0.0
    popularity_half_life_days: float = 30.0
    new_arrival_days: float = 30.0
    threads: int = 1


@dataclass(frozen=True)
class Training:
    """Everything a model may learn from, in rows: a user's row in the build, an item's row in the catalogue.

    Attributes:
        matrix: (users, items) float32, the summed positive weight of a user's events with an item.
        users: (n,) int32 row of each event, in order of time.
        items: (n,) int32.
        times: (n,) int64 milliseconds since the epoch.
        weights: (n,) float32, of the interaction type; negative for a return.
        segments: (users,) int32 code of the user's segment, -1 for none.
        segment_names: in the order of the codes.
        categories: (items,) int32 code, -1 for none.
        category_names: in the order of the codes.
        created: (items,) int64 milliseconds: from the items table, else the first event; -1 unknown.
        available: (items,) bool.
        occasions: each occasion's name and its (k,) int32 item rows.
        settings: what a person chose.
        progress: told (what, done, of how many) by long fits.
        start: (items, factors) float32 item factors of the factor model to start from, zeros for an item that has none;
            None to start from nothing.
        divided: makes who solves the sweeps of the factor model in blocks; None leaves them to the library.
    """

    matrix: csr_matrix
    users: Rows
    items: Rows
    times: NDArray[np.int64]
    weights: Floats
    segments: Rows
    segment_names: tuple[str, ...]
    categories: Rows
    category_names: tuple[str, ...]
    created: NDArray[np.int64]
    available: NDArray[np.bool_]
    occasions: Mapping[str, Rows]
    settings: Settings
    progress: Callable[[str, int, int], None] = field(default=lambda what, done, of: None)
    start: Floats | None = None
    divided: Divided | None = None

    @property
    def now(self) -> int:
        """The last event's time, milliseconds: the moment that the data ends."""
        return int(self.times[-1]) if len(self.times) else 0


@dataclass(slots=True)
class Query:
    """One user's question to the models.

    Attributes:
        vector: (factors,) float32 taste; empty where nothing is known.
        history: (h,) int32 item rows that the user had, newest first.
        weights: (h,) float32 of the history; negative for what was returned.
        context: item rows in hand, newest first.
        segment: code of the user's segment, -1 for none.
        topic: what a family of carousels is asked about, such as the occasion's name.
        categories: codes of the categories that the request is limited to; empty where it is not.
        filtered: the request limits what may be shown; availability alone is no such limit.
        mask: which of some rows may be shown, (k,) int32 → (k,) bool; None where all may.
    """

    vector: Floats = field(default_factory=lambda: NO_FLOATS)
    history: Rows = field(default_factory=lambda: NO_ROWS)
    weights: Floats = field(default_factory=lambda: NO_FLOATS)
    context: Sequence[int] = ()
    segment: int = -1
    topic: str = ""
    categories: Sequence[int] = ()
    filtered: bool = False
    mask: Callable[[Rows], NDArray[np.bool_]] | None = None


class Candidates(NamedTuple):
    """What a model proposes, best first.

    Attributes:
        rows: item rows.
        scores: as many; larger is better.
        about: row of the item that the title and the reasons name, -1 for none.
        reasons: one per row, or a single one for all of them.
    """

    rows: Sequence[int]
    scores: Sequence[float]
    about: int = -1
    reasons: Sequence[str] = ("",)


NOTHING = Candidates((), ())


@dataclass(frozen=True, eq=False)
class NewItems:
    """Items that came since the snapshot was built; no array of a model has their rows.

    Attributes:
        rows: (k,) int32, beyond those of the catalogue.
        vectors: (k, factors) float32, guessed from what is said of them; zeros where that says nothing.
        created: (k,) int64 milliseconds since the epoch.
    """

    rows: Rows
    vectors: Floats
    created: NDArray[np.int64]

    def where(self, mask: Callable[[Rows], NDArray[np.bool_]] | None) -> NewItems:
        """Those that a mask allows."""
        if mask is None or not len(self.rows):
            return self
        allowed = mask(self.rows)
        return NewItems(self.rows[allowed], self.vectors[allowed], self.created[allowed])


NO_NEW_ITEMS = NewItems(NO_ROWS, NO_FLOATS.reshape(0, 0), np.empty(0, np.int64))


class Shelf(Protocol):
    """What one partition offers to the models."""

    def nearest_items(self, vector: Floats, count: int) -> tuple[Rows, Floats]:
        """Up to `count` item rows of this partition by inner product with a (factors,) vector, best first."""
        ...

    def best_items_where(
        self, vector: Floats, mask: Callable[[Rows], NDArray[np.bool_]], count: int
    ) -> tuple[Rows, Floats]:
        """As `nearest_items`, exactly, among those that the mask allows."""
        ...

    def scores(self, vector: Floats, rows: Rows) -> Floats:
        """Inner products of a (factors,) vector with the items of `rows`, which may lie in any partition."""
        ...

    def vectors_of(self, rows: Rows) -> Floats:
        """(k, factors) copies of the vectors of the items of (k,) `rows`, which may lie in any partition."""
        ...

    def nearest_users(self, vector: Floats, count: int) -> list[tuple[UserRecord, float]]:
        """Up to `count` users of this partition by cosine with a (factors,) vector, nearest first."""
        ...

    def neighbours(self, vector: Floats, count: int, most: int, but: Rows) -> Neighbours:
        """What the users that `nearest_users` finds had last, in less than half of the time that their records take.

        The newest items, up to `most`, of each; who has just the history `but` is left out.
        """
        ...


class Source(Protocol):
    """Whatever proposes candidates.

    Attributes:
        name: the entry point's name, and a carousel's `source`.
        carousel: the carousel that it makes.
        title: of that carousel; `{item}` stands for the item it is about, `{topic}` for the query's topic.

    A class may also have these, all of them False where it has not:

        inline: it promises to answer in well under a millisecond, always, and never to wait for anything: no file, no
            lock, no other machine. It is then asked on the event loop, without a thread; a shard whose inline model
            waits answers nobody meanwhile.
        costly: it takes so long that a shard which is short of time leaves it out.
        may_be_short: it has few candidates for good reasons, as a list of what is new has. The carousel of any other
            model is replaced where the model proposes fewer than half of what was asked for; but it may propose
            nothing at all for a user without a vector.
        recommend_new(query, items, count): candidates among items that came since the build (`NewItems`), whose scores
            can be compared with those of `recommend`; they are merged. A model without it proposes none of them.

    What a model is asked with is of the snapshot: a history and items in hand have no rows of items that came since.
    """

    name: ClassVar[str]
    carousel: ClassVar[str]
    title: ClassVar[str]

    def recommend(self, query: Query, shelf: Shelf, count: int) -> Candidates:
        """Up to `count` candidates, best first; fewer than `count` means that there are no more."""
        ...


class Model(Source, Protocol):
    """A source that is fitted. Plugged in through the entry point group `trunkshow.models`."""

    @classmethod
    def fit(cls, training: Training) -> Arrays:
        """Learn from the history; return what `open` will want back, of any shapes and dtypes but object."""
        ...

    @classmethod
    def open(cls, arrays: Arrays) -> Self:
        """The model over its fitted arrays, which are read-only and may lie on disk."""
        ...


class Family(Model, Protocol):
    """A model that makes one carousel per topic; a request names one as PREFIX:TOPIC, or asks for the group."""

    def topics(self, query: Query, count: int) -> list[str]:
        """Up to `count` topics, those nearest to the user first."""
        ...
