"""What users did since the snapshot, as the rest of a shard sees it.

`OnlineKeeping` is who keeps it, as `shard.keeper` tells them of what is held: `shard.online.upkeep`, or nobody.
`Online` is what they know for one snapshot, as predictions ask it: `shard.online.residents`, or nothing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Protocol

from shard.online.folding import Folded
from shard.online.lately import Lately
from shard.scene import Piece
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.trends import NO_TRENDS, Trends
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.records import UserRecord


class Online(Protocol):
    """What a prediction asks."""

    @property
    def watermark(self) -> str:
        """Up to which events are known; empty where no log is followed."""
        ...

    @property
    def trends(self) -> Trends:
        """What trends now."""
        ...

    def folded(self, user_id: str, record: UserRecord | None) -> Folded | None:
        """Somebody with their events; None where there are none that the snapshot has not seen."""
        ...

    def lately(self, user_id: str, record: UserRecord | None, folded: Folded | None) -> Lately | None:
        """What somebody is doing right now, and what it does to the order of candidates; None where there is nothing.

        Args:
            user_id: theirs.
            record: of them, with their events where there are any.
            folded: the same.
        """
        ...

    def is_hidden(self, user_id: str) -> bool:
        """Whether what the snapshot knows of somebody must not be used: they asked to be forgotten."""
        ...

    def is_quiet(self, user_id: str) -> bool:
        """Whether nothing was heard of somebody that changes what the snapshot alone would show them.

        Time alone does not end it; nor does it begin an intent, where there was none.
        """
        ...

    def is_whole(self, user_id: str, partition: int) -> bool:
        """Whether everything up to the watermark is known of somebody who lives in a partition."""
        ...

    def is_fresh(self) -> bool:
        """Whether the log is followed closely."""
        ...

    def lag_s(self) -> float:
        """Seconds since everything in the log was known; infinite where that never was so."""
        ...

    async def reached(self, watermark: Watermark, within_s: float) -> bool:
        """Whether everything up to a watermark is known, waiting for it so long at most."""
        ...


class Nothing:
    """Of a shard that follows no log."""

    watermark = ""
    trends = NO_TRENDS

    def folded(self, user_id: str, record: UserRecord | None) -> Folded | None:
        """Nobody has events."""
        del user_id, record
        return None

    def lately(self, user_id: str, record: UserRecord | None, folded: Folded | None) -> Lately | None:
        """Nobody does anything."""
        del user_id, record, folded
        return None

    def is_hidden(self, user_id: str) -> bool:
        """Nobody is heard of."""
        del user_id
        return False

    def is_quiet(self, user_id: str) -> bool:
        """Everybody."""
        del user_id
        return True

    def is_whole(self, user_id: str, partition: int) -> bool:
        """Of nobody."""
        del user_id, partition
        return False

    def is_fresh(self) -> bool:
        """Never."""
        return False

    def lag_s(self) -> float:
        """It never was."""
        return math.inf

    async def reached(self, watermark: Watermark, within_s: float) -> bool:
        """Never."""
        del watermark, within_s
        return False


NOTHING_ONLINE: Online = Nothing()


class OnlineKeeping(Protocol):
    """Told of what is held, and asked for what is known."""

    def prepare(self, snapshot: Snapshot) -> None:
        """Read what it takes to know where a snapshot's users live. Blocking."""
        ...

    def admit(self, snapshot: Snapshot) -> Online:
        """A snapshot, prepared, is served from now on."""
        ...

    def dismiss(self, version: str) -> None:
        """A snapshot is not served any more."""
        ...

    def point(self, version: str) -> None:
        """This version is the current one, whether it is open here or not."""
        ...

    def want(self, pieces: Iterable[Piece], sole: Collection[Piece] = (), missing: Collection[Piece] = ()) -> None:
        """These are held, or are to be; `sole` are in no other shard, and of `missing` nobody has any version."""
        ...

    async def whole(self, piece: Piece) -> None:
        """Return once a piece may be served: all that its users did is known, or cannot be, or takes too long."""
        ...


class NoLog:
    """Of a shard that follows no log."""

    def prepare(self, snapshot: Snapshot) -> None:
        """Nothing is needed."""

    def admit(self, snapshot: Snapshot) -> Online:
        """Nobody has events."""
        del snapshot
        return NOTHING_ONLINE

    def dismiss(self, version: str) -> None:
        """Nothing goes."""

    def point(self, version: str) -> None:
        """Nothing follows from it."""

    def want(self, pieces: Iterable[Piece], sole: Collection[Piece] = (), missing: Collection[Piece] = ()) -> None:
        """Nothing comes."""

    async def whole(self, piece: Piece) -> None:
        """There is nothing to know."""


NO_LOG: OnlineKeeping = NoLog()
