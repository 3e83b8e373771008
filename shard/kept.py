"""Slates that may be sent again, by the bytes of the request that they answer; so many bytes of them at most.

What a slate rests on, and whether that still is so, is `shard.again`'s to say. Here they are held, and let go: the one
that nobody asked for longest goes first, and what is too old to be sent again as others come. Nothing is held but bytes
and numbers: no slate keeps a snapshot open.
"""

from __future__ import annotations

from typing import NamedTuple

from trunkshow.serving import metrics
from trunkshow.v1 import recommendation_pb2 as pb

AGE_S_MAX = 300.0
"""What a slate rests on is compared anyway; this bounds what nobody thought of."""

KEPT_BYTES_MAX = 64 << 10
"""Of one slate and its request; a larger one is not kept."""

OVERHEAD_BYTES = 600
"""What Python takes for one, beside the bytes of request and carousels."""

SENT = metrics.counter("trunkshow_shard_kept_slates_sent_total", "Predictions answered with a slate that was kept.")
STALE = metrics.counter(
    "trunkshow_shard_kept_slates_stale_total", "Kept slates that were asked for, and made anew: something had changed."
)
EVICTED = metrics.counter("trunkshow_shard_kept_slates_evicted_total", "Kept slates that went, for want of room.")
BYTES = metrics.gauge("trunkshow_shard_kept_slates_bytes", "What kept slates take.")


class Kept(NamedTuple):
    """A slate, and what it rests on.

    Attributes:
        version: of the snapshot.
        user_id: who asked.
        home: the partition that was looked in.
        meant: the rung that was asked for.
        rung: of the carousels.
        carousels: serialised, as a RecommendResponse of nothing else.
        made_at: seconds on the monotonic clock.
        items: number of the state of the catalogue's new items.
        trends: number of the state of what trends; 0 where nothing of that is shown.
    """

    version: str
    user_id: str
    home: int
    meant: pb.Rung
    rung: pb.Rung
    carousels: bytes
    made_at: float
    items: int
    trends: int


class KeptSlates:
    """Of one shard, over all snapshots.

    Attributes:
        bytes: that they take.

    Args:
        bytes_max: that they may take; 0 for none.
    """

    def __init__(self, bytes_max: int) -> None:
        self.bytes = 0
        self._most = bytes_max
        self._of: dict[bytes, Kept] = {}  # in the order in which they were last asked for
        BYTES.set_function(lambda: self.bytes)

    def __len__(self) -> int:
        return len(self._of)

    def find(self, request: bytes) -> Kept | None:
        """The slate that answered a request."""
        kept = self._of.pop(request, None)
        if kept is not None:
            self._of[request] = kept
        return kept

    def look(self, request: bytes) -> Kept | None:
        """The same, which is let go of no later for it."""
        return self._of.get(request)

    def keep(self, request: bytes, kept: Kept) -> None:
        """Keep a slate, and let go of those for which there is no room any more."""
        self.drop(request)
        size = _size(request, kept)
        if size > min(KEPT_BYTES_MAX, self._most):
            return
        self._of[request] = kept
        self.bytes += size
        while self.bytes > self._most:
            self.drop(next(iter(self._of)))
            EVICTED.inc()
        while (first := next(iter(self._of))) != request and self._of[first].made_at < kept.made_at - AGE_S_MAX:
            self.drop(first)

    def drop(self, request: bytes) -> None:
        """Let go of the slate that answered a request."""
        kept = self._of.pop(request, None)
        if kept is not None:
            self.bytes -= _size(request, kept)

    def forget(self, user_id: str) -> None:
        """Nothing is kept of somebody; looked for in all of them, since it seldom happens."""
        for request in [request for request, kept in self._of.items() if kept.user_id == user_id]:
            self.drop(request)


def _size(request: bytes, kept: Kept) -> int:
    return len(request) + len(kept.carousels) + OVERHEAD_BYTES
