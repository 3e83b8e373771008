"""Takes a promoted version back that turns out to be spoilt, so that it is refused whole; by itself, in every router.

    current, and something of it counts as spoilt (`router.trials.suspicion`)   → watched
    that was so for long enough                                                → rolled back; the history says why

Rules:

1. It is rolled back to the pointer's previous version, or where there is none, to what routers still serve. Where there
   is neither, nothing is done: a poor version is better than none.
2. The move is made only if the pointer still has that version as current: of several routers the first one wins.
3. A pin keeps it waiting: whoever pinned the version wants no machine to change it. It is made after unpinning.
4. Users notice nothing: a version that is not whole serves nobody (`router.served.moving`). Nothing here fails a
   request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Never

import structlog

from router.cluster.watch import Board
from router.served.keeper import Keeper
from router.trials.course import Overtaken
from router.trials.looking import LOOK_EVERY_S, MOVE_WITHIN_S, RETRY_S
from router.trials.suspicion import Suspicion, suspected
from trunkshow.offload import Offload
from trunkshow.serving import metrics
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.serving.rounds import Sleep, rounds
from trunkshow.snapshot.lifecycle import LifecycleError, Pointer, Who
from trunkshow.snapshot.states import State

RECALLED = metrics.counter("trunkshow_recalls_total", "Spoilt versions that this router took back.")

log = structlog.get_logger()


def taken_back(pointer: Pointer, *, version: str, serving: str, who: Who) -> Pointer:
    """The pointer after a spoilt version was taken back (rules 1 to 3).

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
        found = self._suspicion = suspected(self._suspicion, views.current.version, self._board.topology, now)
        if found is None or not found.is_certain(now) or now < self._retry_at:
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
