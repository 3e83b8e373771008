"""A keeper on a store that fails when told to; time, the membership and routers' words are the test's. Not a test."""

from __future__ import annotations

from pathlib import Path

from shard.heard import Word
from shard.keeper import Keeper
from shard.placement import share
from shard.scene import Limits
from trunkshow.snapshot.folder_store import FolderStore
from trunkshow.snapshot.lifecycle import Pointer, Who
from trunkshow.v1 import shard_pb2 as pb

OWN = "own:1"
PARTITIONS = 4
WHO = Who("2026-01-01T00:00:00Z")


class Store(FolderStore):
    """A folder that fails when it is told to."""

    fault: Exception | None = None

    def ensure(self, version: str, files: object) -> Path:
        """Its files, or the fault."""
        if Store.fault is not None:
            raise Store.fault
        return super().ensure(version, files)  # type: ignore[arg-type]


class Stage:
    """A keeper on a store of its own; time, the membership and routers' words are the test's."""

    def __init__(self, store: Path) -> None:
        self.now = 1000.0
        self.said = 0
        self.store = Store(store)
        self.keeper = Keeper(
            self.store,
            OWN,
            replicas=1,
            limits=Limits(1 << 30, 60.0),
            warm_requests=2,
            changed=self._changed,
            clock=lambda: self.now,
        )
        self.pointer = self.store.pointer()

    def _changed(self) -> None:
        self.said += 1

    async def settle(self, pointer: Pointer | None = None, members: tuple[str, ...] = (OWN,)) -> None:
        """Until there is nothing left to open, or everything left has to rest."""
        self.keeper.joined(members)
        self.keeper.pointed(pointer or self.pointer)
        for _ in range(6 * PARTITIONS):
            self.keeper.tend()
            await self.keeper.lanes.bring_next()
            await self.keeper.opening.forgetting.look()
        self.keeper.tend()

    def folder(self, version: str) -> Path:
        """Where a version's files are."""
        return self.store.folder(version)

    def warm(self) -> dict[str, list[int]]:
        """Partitions, by version."""
        return {version: sorted(one.warm) for version, one in self.keeper.generations.items()}

    @property
    def state(self) -> pb.ShardState:
        """As it is reported."""
        return self.keeper.state()


EVERYTHING = list(range(PARTITIONS))
NEIGHBOUR = next(
    name for name in map("other-{}:1".format, range(1000)) if share(OWN, (OWN, name), PARTITIONS, 1) == (0, 2)
)


def everywhere(version: str, at: float, others: int = 1) -> Word:
    """A router that sees so many others hold everything."""
    return Word(at, {(version, number): others for number in EVERYTHING})
