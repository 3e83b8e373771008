"""Faults of the membership: a shard that hangs is struck off, as is done with a machine that is silent.

When it stirs again it believes what it did when it fell silent: that it is a member, and that the snapshot of then is
served. It must find out, and give everything up, although routers listen to it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from cli.chaos.faults import Promise
from cli.chaos.ground import Ground
from trunkshow.cluster import ClusterStatus

GIVEN_UP_WITHIN_S = 30.0


@dataclass(frozen=True)
class MemberRemoved:
    """A shard stands still, is struck off, and misses a new snapshot; thawed it gives everything up."""

    name: str
    victim: str
    promise: Promise = field(default=Promise())

    async def inject(self, ground: Ground) -> None:
        """Freeze it, strike it off, and promote a snapshot that it hears nothing of."""
        ground.bodies[self.victim].freeze()
        others = [name for name in ground.shards if name != self.victim]
        ground.enrol(others, others)
        await ground.depot.promote(await ground.depot.push())

    async def heal(self, ground: Ground) -> None:
        """Thaw it where routers hear it and shards do not count it, wait until it holds nothing, and take it back.

        Raises:
            UsageError: it went on holding something: it counted itself in, or what it knew of was served on.
        """
        ground.enrol([name for name in ground.shards if name != self.victim], ground.shards)
        ground.bodies[self.victim].thaw()
        lines = {link.address for link in ground.links_to(self.victim)}
        try:
            await ground.until(lambda status: gave_all_up(status, lines), GIVEN_UP_WITHIN_S)
        finally:
            ground.enrol(ground.shards, ground.shards)


def gave_all_up(status: ClusterStatus | None, lines: Collection[str]) -> bool:
    """Whether a router hears the shard that is behind one of these addresses, and that it holds nothing."""
    heard = [shard for shard in status.shards if shard.address in lines and shard.reachable] if status else []
    return bool(heard) and not any(one.warm or one.stand_ins for shard in heard for one in shard.generations)
