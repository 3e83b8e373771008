"""Follows the store's pointer for a shard: looks at it again and again, and hands on what was seen.

A store that hangs or does not answer is told once, and once more when it is back; one that says what nobody foresaw,
every now and then, with its traceback. Meanwhile what is open is served, and the pointer is looked at again. What
follows from a pointer is `shard.keeper`'s to say.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Never

import structlog

from shard.opening import STORE_ERRORS
from shard.work import is_lasting
from trunkshow.offload import Offload, Stuck
from trunkshow.serving.rounds import rounds
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.store import Store, StoreError

POINTER_WITHIN_S = 5.0

log = structlog.get_logger()


class Pointing:
    """Looks at the pointer.

    Args:
        store: whose pointer it is.
        seen: given every pointer.
        failed: told where the store answers that it has none.
        serving: versions that are open, for the log.
    """

    def __init__(
        self,
        store: Store,
        seen: Callable[[Pointer], None],
        failed: Callable[[Exception], None],
        serving: Collection[str],
    ) -> None:
        self._store = store
        self._seen = seen
        self._failed = failed
        self._serving = serving
        self._reading: Offload[Pointer] = Offload("pointer")
        self._unreachable = False

    async def follow(self, period_s: float) -> Never:
        """Look again and again, until cancelled."""
        await rounds(self.look, period_s, failed="pointer.failed")

    async def look(self) -> None:
        """Look once."""
        try:
            self._seen(await self._reading.run(self._store.pointer, POINTER_WITHIN_S))
        except (StoreError, Stuck, OSError) as error:
            self._lost(str(error))
            if is_lasting(error):
                self._failed(error)
            return
        self._found()
        if not self._store.reachable:  # its copy here was read instead, which tells the log
            STORE_ERRORS.inc()

    def _lost(self, why: str) -> None:
        STORE_ERRORS.inc()
        if not self._unreachable:
            log.error("pointer.unknown", store=self._store.url, error=why, serving=sorted(self._serving))
        self._unreachable = True

    def _found(self) -> None:
        if self._unreachable:
            log.info("pointer.known", store=self._store.url)
        self._unreachable = False
