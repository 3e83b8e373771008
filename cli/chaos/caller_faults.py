"""A router that callers cannot reach, or do not hear, while shards, store and log can.

It is well, as far as it and its cluster can tell, and may answer into the void; to its callers it is one that stands
still. They can be cut off from it only where they go by a link, which is carried by this process. So their drivers
begin anew by such a link for this fault alone, and anew without it after the heal: nobody else's latencies have it in
them. Who records events goes straight to it all the time.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import partial

from cli.chaos.faults import Promise
from cli.chaos.ground import Ground
from cli.chaos.proxy import CLEAR, Link, Weather

SETTLE_S = 3.0
"""Before the link is harmed: drivers that begin anew have no connection yet, and no times of answers to go by."""

FOUND_S = 3.0
"""After the heal, in which the same callers find the router again."""


@dataclass(frozen=True)
class CallersCutOff:
    """Nothing that is asked of a router gets there, or nothing comes back, as the weather is.

    Attributes:
        router: its name.
        weather: of the link to it.
    """

    name: str
    router: str
    weather: Weather
    promise: Promise

    async def inject(self, ground: Ground) -> None:
        """Have callers go by a link, and harm it."""
        link = Link(ground.routers[self.router], ground.terrain.seed)
        await link.open()
        ground.fronts[self.router] = link
        await _begin_anew(ground)
        await asyncio.sleep(SETTLE_S)
        link.change(self.weather)

    async def heal(self, ground: Ground) -> None:
        """Clear weather; a while later callers go straight to it again."""
        link = ground.fronts.get(self.router)
        if link is not None:
            link.change(CLEAR)
            await asyncio.sleep(FOUND_S)
            del ground.fronts[self.router]
        try:
            await _begin_anew(ground)
        finally:
            if link is not None:
                await link.close()


async def _begin_anew(ground: Ground) -> None:
    """The usual traffic, by the addresses that callers are to use now; also where the last one did not end well.

    That is this fault's trouble. With nobody asking, all faults after it would be judged by no request.
    """
    start = partial(ground.traffic.start, [replace(ground.traffic.orders[0], target=ground.target)], ground.logs)
    try:
        await ground.traffic.stop()
    except Exception:
        await start()
        raise
    await start()
