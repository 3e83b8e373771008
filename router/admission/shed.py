"""Slates of resident lists for whoever cannot be waited for: made once, sent many times.

At five times the load that a cluster sustains, four of five requests end here, so this must cost next to nothing: what
is sent are bytes that were serialised before, with the request's own part of the receipt laid behind. One slate
serves everybody of a segment who asks for the same page. Only a request that must not see an item of it gets one of its
own, and so does one that would rather have an error.

When this is done is `router.admission.door`'s to say; what a resident slate is made of, `router.slates.resident`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, Protocol

from router.answering.counters import Counters
from router.slates import receipt
from router.slates.receipt import NOWHERE, Asking
from trunkshow import carousels
from trunkshow.serving.deadline import Clock
from trunkshow.v1 import recommendation_pb2 as pb

ENTRIES_MAX = 512
"""Slates that are kept: surfaces by segments by lengths, and filters that many ask with."""

KEPT_S = 5.0
"""After this long a slate is made anew: its reasons may have changed."""


class Home(Protocol):
    """As much of a user's home as matters here."""

    @property
    def segment(self) -> int:
        """Of the user; -1 for none."""
        ...


class View(Protocol):
    """As much of a snapshot as matters here."""

    @property
    def version(self) -> str:
        """Of the snapshot."""
        ...

    def find(self, user_id: str) -> Home | None:
        """Where a user lives; None for a stranger."""
        ...


Make = Callable[[pb.RecommendRequest], bytes]
"""Makes one request's slate from resident lists alone, for the reasons in question."""

_Key = tuple[str, bool, int, str, tuple[str, ...], int, bytes, tuple[pb.Reason, ...]]


class _Entry(NamedTuple):
    data: bytes
    shown: frozenset[str]
    rungs: Counter[pb.Rung]
    until: float


class ResidentSlates:
    """Keeps them.

    Args:
        counters: told of slates that were made before; those that are made here are counted in their making.
        clock: monotonic.
    """

    def __init__(self, counters: Counters, clock: Clock) -> None:
        self._counters = counters
        self._clock = clock
        self._entries: dict[_Key, _Entry] = {}

    def slate(
        self,
        request: pb.RecommendRequest,
        asking: Asking,
        view: View,
        reasons: tuple[pb.Reason, ...],
        make: Make,
    ) -> bytes:
        """A serialised RecommendResponse.

        Args:
            request: valid.
            asking: who asks.
            view: of the snapshot that the slate is to be made from.
            reasons: why it is a resident one.
            make: makes one, where none is kept.

        Raises:
            PartialAborted: the request would rather have this.
        """
        if request.partial == pb.PARTIAL_ABORT:
            return make(request)
        now = self._clock()
        key = _key(request, view, reasons)
        entry = self._entries.get(key)
        if entry is None or entry.until < now:
            entry = self._made(request, make, now)
            self._keep(key, entry)
        else:
            self._counters.resident(entry.rungs)
        hidden = (*request.exclude_item_ids, *request.context_item_ids)
        if hidden and not entry.shown.isdisjoint(hidden):
            return make(request)
        not_as_fresh = (pb.REASON_NOT_AS_FRESH,) if request.at_least_as_fresh else ()
        return entry.data + receipt.routers_part(asking, NOWHERE, not_as_fresh, (), now)

    def _made(self, request: pb.RecommendRequest, make: Make, now: float) -> _Entry:
        """What everybody with this key can be sent: nothing of this request is left in it."""
        anybodys = pb.RecommendRequest()
        anybodys.CopyFrom(request)
        del anybodys.exclude_item_ids[:]
        del anybodys.context_item_ids[:]
        anybodys.at_least_as_fresh = ""
        slate = pb.RecommendResponse.FromString(make(anybodys))
        said = slate.receipt
        kept = pb.Receipt(rung=said.rung, reasons=said.reasons, snapshot_version=said.snapshot_version)
        slate.receipt.CopyFrom(kept)
        shown = frozenset(item.item_id for carousel in slate.carousels for item in carousel.items)
        rungs = Counter(carousel.rung for carousel in slate.carousels)
        return _Entry(slate.SerializeToString(), shown, rungs, now + KEPT_S)

    def _keep(self, key: _Key, entry: _Entry) -> None:
        if key not in self._entries and len(self._entries) >= ENTRIES_MAX:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = entry


def _key(request: pb.RecommendRequest, view: View, reasons: tuple[pb.Reason, ...]) -> _Key:
    """What a resident slate depends on, but for the items that it must not show."""
    home = view.find(request.user_id)
    return (
        view.version,
        home is None,
        home.segment if home is not None else -1,
        request.surface,
        tuple(request.carousels),
        request.items_per_carousel or carousels.ITEMS_DEFAULT,
        request.filters.SerializeToString(deterministic=True) if request.HasField("filters") else b"",
        reasons,
    )
