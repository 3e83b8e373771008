"""Slates of resident lists for whoever cannot be waited for: made once, sent many times.

At five times the load that a cluster sustains, four of five requests end here, so this must cost next to nothing: what
is sent are bytes that were serialised before, with the request's own part of the receipt laid behind. One slate
serves everybody of a segment who asks for the same page. Who must not see an item of it, since it is in hand or
excluded, gets the same page with the next items in their place: longer lists are kept beside it, made once somebody
needs them. Only where these do not reach does a request get a slate of its own.

When this is done is `router.admission.door`'s to say; what a resident slate is made of, `router.slates.resident`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from router.answering.counters import Counters
from router.slates import receipt
from router.slates.receipt import NOWHERE, Asking
from trunkshow import carousels
from trunkshow.serving.deadline import Clock
from trunkshow.v1 import recommendation_pb2 as pb

ENTRIES_MAX = 512
"""Slates that are kept: surfaces by segments by lengths, and filters that many ask with."""

BYTES_MAX = 32 << 20
"""That they take in memory, about: twenty carousels of a hundred items, and longer lists beside them, take 1 MiB."""

UNPACKED = 4
"""Times as much as on the wire a message takes, once parsed, with a set of its items."""

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


SPARE_ITEMS = 50
"""Items beyond those shown that are kept of each carousel, for requests that must not see some."""

Make = Callable[[pb.RecommendRequest], bytes]
"""Makes one request's slate from resident lists alone, for the reasons in question, and counts nothing."""

_Key = tuple[str, bool, int, str, tuple[str, ...], int, bytes, tuple[pb.Reason, ...]]


@dataclass(slots=True)
class _Entry:
    """A slate for everybody with one key.

    Attributes:
        slate: that is shown.
        data: the same, serialised.
        shown: its items.
        rungs: its carousels by rung.
        until: when it is made anew.
        bytes: that it takes, about.
        longer: the same with longer lists; None until somebody needed it.
    """

    slate: pb.RecommendResponse
    data: bytes
    shown: frozenset[str]
    rungs: Counter[pb.Rung]
    until: float
    bytes: int
    longer: pb.RecommendResponse | None = None


class ResidentSlates:
    """Keeps them.

    Args:
        counters: told of every slate.
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
            request: valid; one that would rather have an error is not for here.
            asking: who asks.
            view: of the snapshot that the slate is to be made from.
            reasons: why it is a resident one.
            make: makes one, where none is kept.
        """
        now = self._clock()
        key = _key(request, view, reasons)
        entry = self._entries.get(key)
        if entry is None or entry.until < now:
            entry = self._made(request, make, now)
            self._keep(key, entry)
        self._counters.resident(entry.rungs)
        hidden = (*request.exclude_item_ids, *request.context_item_ids)
        data = entry.data
        if hidden and not entry.shown.isdisjoint(hidden):
            if entry.longer is None:
                entry.longer = self._longer(request, make)
                entry.bytes += UNPACKED * entry.longer.ByteSize()
                self._keep(key, entry)
            narrowed = without(entry.slate, entry.longer, frozenset(hidden))
            if narrowed is None:
                return make(request)
            data = narrowed.SerializeToString()
        not_as_fresh = (pb.REASON_NOT_AS_FRESH,) if request.at_least_as_fresh else ()
        return data + receipt.routers_part(asking, NOWHERE, not_as_fresh, (), now)

    def _made(self, request: pb.RecommendRequest, make: Make, now: float) -> _Entry:
        """What everybody with this key can be sent: nothing of this request is left in it."""
        slate = pb.RecommendResponse.FromString(make(_anybodys(request)))
        said = slate.receipt
        kept = pb.Receipt(rung=said.rung, reasons=said.reasons, snapshot_version=said.snapshot_version)
        slate.receipt.CopyFrom(kept)
        shown = frozenset(item.item_id for carousel in slate.carousels for item in carousel.items)
        rungs = Counter(carousel.rung for carousel in slate.carousels)
        data = slate.SerializeToString()
        return _Entry(slate, data, shown, rungs, now + KEPT_S, (1 + UNPACKED) * len(data))

    def _longer(self, request: pb.RecommendRequest, make: Make) -> pb.RecommendResponse:
        anybodys = _anybodys(request)
        # Beyond what callers may ask for: that limit is for what is sent.
        anybodys.items_per_carousel = (request.items_per_carousel or carousels.ITEMS_DEFAULT) + SPARE_ITEMS
        return pb.RecommendResponse.FromString(make(anybodys))

    def _keep(self, key: _Key, entry: _Entry) -> None:
        """As the newest; the oldest make room."""
        self._entries.pop(key, None)
        self._entries[key] = entry
        taken = sum(one.bytes for one in self._entries.values())
        while len(self._entries) > ENTRIES_MAX or taken > BYTES_MAX:
            taken -= self._entries.pop(next(iter(self._entries))).bytes


def without(
    slate: pb.RecommendResponse, longer: pb.RecommendResponse, hidden: Collection[str]
) -> pb.RecommendResponse | None:
    """A slate of which some items must not be shown: what comes next takes their place.

    Args:
        slate: for everybody.
        longer: the same carousels with more items, none of them twice.
        hidden: what must not be shown.

    Returns:
        As many items in each carousel as before; None where there are not enough.
    """
    spare = {carousel.id: carousel.items for carousel in longer.carousels}
    narrowed = pb.RecommendResponse(receipt=slate.receipt)
    for carousel in slate.carousels:
        kept = [item for item in spare.get(carousel.id, ()) if item.item_id not in hidden]
        if len(kept) < len(carousel.items):
            return None
        made = narrowed.carousels.add()
        made.CopyFrom(carousel)
        del made.items[:]
        made.items.extend(kept[: len(carousel.items)])
    return narrowed


def _anybodys(request: pb.RecommendRequest) -> pb.RecommendRequest:
    """A request with nothing left in it of what only this one must not see."""
    anybodys = pb.RecommendRequest()
    anybodys.CopyFrom(request)
    del anybodys.exclude_item_ids[:]
    del anybodys.context_item_ids[:]
    anybodys.at_least_as_fresh = ""
    return anybodys


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
