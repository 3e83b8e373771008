"""What becomes of a candidate that this router cannot open: refused, refused here alone, or given back.

    a file that shards open, too, was spoilt here
        and one of them has the version open   → refused here alone: this machine spoils what it fetches. It is not open
                                                 here by that, and other routers may try it
        and none has within `WITNESS_S`        → refused, for everybody
    any other check failed here                → refused, for everybody
    not open here for `rehearsal_warm_s`       → given back, unless it is a canary by then: others can open it

A shard has a version open once the files that all partitions share passed their checks on its own machine. The
directory is no such file: shards may never read it. A store that does not answer is told later.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial

import structlog

from router.cluster.watch import Board
from router.served.keeper import Keeper
from router.served.moving import opened_by_some
from router.trials.course import given_back, refused_candidate
from router.trials.looking import MOVE_WITHIN_S, RETRY_S
from trunkshow.offload import Offload
from trunkshow.serving import metrics
from trunkshow.serving.deadline import Clock
from trunkshow.snapshot.lifecycle import Pointer, Who

WITNESS_S = 30.0
"""Within which a shard opens what a router has fetched twice in vain; nobody is served from it meanwhile."""

ALONE = metrics.counter(
    "trunkshow_router_snapshots_refused_alone_total", "Snapshots of which a file was spoilt in this router alone."
)

Change = Callable[[Pointer], Pointer]

log = structlog.get_logger()


class Unopened:
    """Tells the store of candidates that cannot be opened here.

    Args:
        keeper: of the views that are served.
        board: with the newest topology.
        move: the store's; blocks, and may hang.
        who: this router as a mover of the pointer, now.
        named: the candidate that the store's pointer names, open here or not; empty where there is none.
        refused: versions that this router's own checks refused, and why.
        spoilt: of these, those of which a file was spoilt that shards open, too.
        warm_s: within which a candidate must be open.
        clock: monotonic.
    """

    def __init__(
        self,
        keeper: Keeper,
        board: Board,
        move: Callable[[Change], Pointer],
        who: Callable[[str], Who],
        *,
        named: Callable[[], str],
        refused: Callable[[], Mapping[str, str]],
        spoilt: Callable[[], Collection[str]],
        warm_s: float,
        clock: Clock,
    ) -> None:
        self._keeper = keeper
        self._board = board
        self._move = move
        self._who = who
        self._named = named
        self._refused = refused
        self._spoilt = spoilt
        self._warm_s = warm_s
        self._clock = clock
        self._moving = Offload[Pointer]("unopened")
        self._since: dict[str, float] = {}
        self._done_with: set[str] = set()
        self._retry_at = clock()
        self._awaited = ("", 0.0)

    async def look(self) -> None:
        """Do what is to be done now."""
        refused, overdue = self._refused_for_all(), self._overdue()
        for version, error in refused.items():
            who = self._who(f"a router's checks failed: {error}")
            if await self._told(version, partial(refused_candidate, version=version, who=who)):
                self._done_with.add(version)
        if overdue and overdue not in refused:
            who = self._who(f"a router could not open it within {self._warm_s:g} s")
            if await self._told(overdue, partial(given_back, version=overdue, who=who)):
                self._awaited = ("", self._clock())  # it may be a candidate again

    def _refused_for_all(self) -> dict[str, str]:
        """Versions that nobody is to be served from, and why; not yet those that a shard may still open."""
        new = {version: why for version, why in self._refused().items() if version not in self._done_with}
        spoilt = self._spoilt()
        for version in [one for one in new if one in spoilt and opened_by_some(self._board.topology, one)]:
            self._refuse_alone(version, new.pop(version))
        return {version: why for version, why in new.items() if version not in spoilt or self._has_waited(version)}

    def _refuse_alone(self, version: str, why: str) -> None:
        self._done_with.add(version)
        ALONE.inc()
        log.error("snapshot.refused_alone", snapshot=version, error=why)

    def _has_waited(self, version: str) -> bool:
        """Whether shards had long enough to open it, too."""
        now = self._clock()
        return now - self._since.setdefault(version, now) >= WITNESS_S

    def _overdue(self) -> str:
        """The candidate, where it was to be opened here for so long in vain; empty where none is."""
        version, now = self._named(), self._clock()
        if not version or version in self._keeper.opened:
            self._awaited = ("", now)
            return ""
        awaited, since = self._awaited
        if awaited != version:
            self._awaited = (version, now)
            return ""
        return version if now - since > self._warm_s else ""

    async def _told(self, version: str, change: Change) -> bool:
        """Whether the store took a move; one that just failed is not asked."""
        if self._clock() < self._retry_at:
            return False
        try:
            await self._moving.run(partial(self._move, change), MOVE_WITHIN_S)
        except Exception as error:  # whatever a store raises, it is told again
            self._retry_at = self._clock() + RETRY_S
            log.warning("conductor.unheard", snapshot=version, error=str(error) or repr(error))
            return False
        return True
