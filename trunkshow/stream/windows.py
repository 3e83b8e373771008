"""Feature windows of a user or an item: counts by interaction, the last price, the last category; one definition.

Asked at a moment, with T the whole second that it lies in, a window of length W and bucket width b counts the events
of

    ceil((T - W) / b) · b  ≤  time  <  T

Its end is sharp to a second, so that what a shopper does shows at once; its beginning moves in steps of b, so that
counters need not know single events: at worst it misses b ÷ W of its length (5 minutes: none; 1 h: 1/60; 1 d: 1/48;
7 d: 1/28; 30 d: 1/30). Events of the second T itself and later do not count yet, wherever they were read from: that,
and `begins` being used by both, is why the builder's table (`builder.feature_windows`) and what shards count
(`trunkshow.stream.counters`) agree to the last event that both have heard of. What happened before T and was recorded
after it is in the table, and was not in the counters at T.

The last price is the value of the newest event of an interaction in `PRICED` that has one, the last category that of
the newest event with one; both before T and within the longest window, of two at the same millisecond the larger, or
the one that comes later in the order of code points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from trunkshow.v1 import events_pb2

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KINDS = 12
"""Interactions are numbered below this, as on the wire; 0 is one that the wire does not name."""

FUTURE_S_MAX = 300
"""An event later than this after the moment of its recording is left out; the log refuses it as well."""

PRICED = frozenset(
    (
        events_pb2.INTERACTION_VIEW,
        events_pb2.INTERACTION_CLICK,
        events_pb2.INTERACTION_CART,
        events_pb2.INTERACTION_ORDER,
        events_pb2.INTERACTION_RENTAL,
    )
)
"""Interactions whose value is a price; a like's may be a rating."""


class Window(NamedTuple):
    """A stretch of time up to now.

    Attributes:
        name: for people.
        length_s: at most this long.
        bucket_s: the step of its beginning.
    """

    name: str
    length_s: int
    bucket_s: int


WINDOWS = (
    Window("5m", 300, 1),
    Window("1h", 3600, 60),
    Window("1d", 86_400, 1800),
    Window("7d", 7 * 86_400, 21_600),
    Window("30d", 30 * 86_400, 86_400),
)
"""Shortest first; each bucket width divides the next."""


class Event(NamedTuple):
    """What the windows take of an event.

    Attributes:
        time_ms: since the epoch.
        kind: its interaction's number, below `KINDS`.
        value: None where it has none.
        category: the item's; empty for none.
    """

    time_ms: int
    kind: int
    value: float | None = None
    category: str = ""


@dataclass(frozen=True)
class Features:
    """Of one user or item, at one moment.

    Attributes:
        counts: one row per window of `WINDOWS`, each with `KINDS` counts by interaction.
        last_value: None where there is none.
        last_category: empty where there is none.
    """

    counts: tuple[tuple[int, ...], ...]
    last_value: float | None
    last_category: str

    @property
    def known(self) -> bool:
        """Whether anything counts; where nothing does, nobody has heard of the user or item for a month."""
        return any(self.counts[-1])


@overload
def begins(second: int, window: Window) -> int: ...
@overload
def begins(second: NDArray[np.int64], window: Window) -> NDArray[np.int64]: ...
def begins(second: Any, window: Window) -> Any:
    """The first second that a window counts when it is asked in `second`: of one moment, or of an array of them."""
    return -((window.length_s - second) // window.bucket_s) * window.bucket_s
