"""Takes a promoted version back that turns out to be spoilt, so that it is refused whole; by itself, in every router.

    current, with a partition that shards refused and nobody has   → watched
    watched for `PATIENCE_S`                                       → rolled back; the pointer's history says why

Rules:

1. A partition, or the compact copies of its users, is spoilt where some shard refused it, no reachable shard has it
   warm or is loading it, and every shard that stays has opened the version: who has not may yet bring a good copy. One
   bad disk is no bad snapshot.
2. It is rolled back to the pointer's previous version, or where there is none, to what routers still serve. Where there
   is neither, nothing is done: a poor version is better than none.
3. The move is made only if the pointer still has that version as current: of several routers the first one wins.
4. A pin keeps it waiting: whoever pinned the version wants no machine to change it. It is made after unpinning.
5. Users notice nothing: a version that is not whole serves nobody (`router.served.moving`). Nothing here fails a
   request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Never

import structlog

from router.cluster.topology import Generation, Topology
from router.cluster.watch import Board
from router.served.keeper import Keeper
from router.served.moving import opened_by_all, spoilt, spoilt_copies
from router.served.views import Views
from router.trials.course import NAMED_MAX, Overtaken
from router.trials.looking import LOOK_EVERY_S, MOVE_WITHIN_S, RETRY_S
from trunkshow.offload import Offload
from trunkshow.serving import metrics
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.serving.rounds import Sleep, rounds
from trunkshow.snapshot.lifecycle import LifecycleError, Pointer, Who
from trunkshow.snapshot.states import State

PATIENCE_S = 1.0
"""Longer than a shard takes to say that it is loading what another one has just refused."""

RECALLED = metrics.counter("trunkshow_recalls_total", "Spoilt versions that this router took back.")

log = structlog.get_logger()


@dataclass(frozen=True)
class Suspicion:
    """A current version of which something is spoilt.

    Attributes:
        version: current.
        since: in seconds of the monotonic clock.
        why: which partitions, and what a shard said of one of them.
    """

    version: str
    since: float
    why: str


def suspected(before: Suspicion | None, views: Views, topology: Topology, now: float) -> Suspicion | None:
    """What is held against the current version (rule 1); None where nothing is."""
    version = views.current.version
    why = held_against(topology, version)
    if not why:
        return None
    since = before.since if before is not None and before.version == version else now
    return Suspicion(version, since, why)


def held_against(topology: Topology, version: str) -> str:
    """Which partitions or copies of a version are spoilt, which shard refused one, and why; empty where none is."""
    if not opened_by_all(topology, version):
        return ""
    if lost := spoilt(topology, version):
        witness = _witness(topology, version, lambda one: lost[0] in one.refused)
        return f"shards refused partition {_named(lost)}, and nobody has it; {witness}"
    if lost := spoilt_copies(topology, version):
        witness = _witness(topology, version, lambda one: lost[0] in one.refused_stand_ins)
        return f"shards refused the copies of the users of partition {_named(lost)}, and nobody has them; {witness}"
    return ""


def _named(lost: Sequence[int]) -> str:
    return ", ".join(map(str, lost[:NAMED_MAX])) + (", …" if len(lost) > NAMED_MAX else "")


def _witness(topology: Topology, version: str, refused: Callable[[Generation], bool]) -> str:
    """A shard that refused something of a version, and what it said."""
    return next(
        f"{view.name}: {one.why_refused or 'its log says why'}"
        for view in topology.replicas.values()
        for one in view.held
        if one.version == version and refused(one)
    )


def taken_back(pointer: Pointer, *, version: str, serving: str, who: Who) -> Pointer:
    """The pointer after a spoilt version was taken back (rules 2 to 4).

    Raises:
        Overtaken: it is not the current version any more.
        LifecycleError: it is pinned, or there is nothing to return to.
    """
    if pointer.current != version:
        raise Overtaken(f"{version} is {pointer.states.get(version, 'gone')} by now")
    if pointer.pinned:
        raise LifecycleError(f"{version} is pinned, and spoilt; unpin it, or roll it back")
    retired = pointer.states.get(serving) is State.RETIRED
    return pointer.rolled_back(who, pointer.previous or (serving if retired else ""))


class Recall:
    """Takes spoilt versions back.

    Args:
        keeper: of the views that are served.
        board: with the newest topology.
        move: the store's; blocks, and may hang.
        who: this router as a mover of the pointer, now.
        clock: monotonic.
        sleep: on the same clock.
    """

    def __init__(
        self,
        keeper: Keeper,
        board: Board,
        move: Callable[[Callable[[Pointer], Pointer]], Pointer],
        who: Callable[[str], Who],
        *,
        clock: Clock = monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._keeper = keeper
        self._board = board
        self._move = move
        self._who = who
        self._clock = clock
        self._sleep = sleep
        self._moving = Offload[Pointer]("recall")
        self._suspicion: Suspicion | None = None
        self._retry_at = clock()
        self._told: tuple[str, str] = ("", "")

    async def run(self) -> Never:
        """Watch the current version until cancelled."""
        await rounds(self.look, LOOK_EVERY_S, failed="recall.failed", sleep=self._sleep)

    async def look(self) -> None:
        """Do what is to be done now."""
        views, now = self._keeper.now, self._clock()
        found = self._suspicion = suspected(self._suspicion, views, self._board.topology, now)
        if found is None or now - found.since < PATIENCE_S or now < self._retry_at:
            return
        self._retry_at = now + RETRY_S
        serving = views.before.version if views.before is not None else ""
        change = partial(taken_back, version=found.version, serving=serving, who=self._who(found.why))
        try:
            pointer = await self._moving.run(partial(self._move, change), MOVE_WITHIN_S)
        except Exception as error:  # forbidden, overtaken, or whatever a store raises: looked at again
            self._waits(found.version, str(error) or repr(error))
        else:
            RECALLED.inc()
            log.error("snapshot.recalled", snapshot=found.version, current=pointer.current, why=found.why)

    def _waits(self, version: str, error: str) -> None:
        if self._told != (version, error):
            log.warning("recall.waits", snapshot=version, error=error)
            self._told = (version, error)
