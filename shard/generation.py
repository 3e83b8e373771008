"""A generation: one snapshot as this shard holds it, partition by partition: verified, opened, warmed, reported.

A partition's life, in this order; each step is logged, and reported through `Watch`:

    loading  → warm      it was verified, opened and answered the warm-up requests
    loading  → refused   it failed a check; the log says which, and what else is warm goes on serving
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from shard.predict import Predictor
from trunkshow.snapshot.manifest import SnapshotRefused
from trunkshow.snapshot.partition import Partition
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import StoreError
from trunkshow.v1 import shard_pb2 as pb

log = structlog.get_logger()


class Generation:
    """The partitions of one snapshot that this shard holds.

    Args:
        snapshot: opened.
        numbers: of the partitions to hold.
        warm_requests: replayed per partition before it is reported warm.
        changed: called after every step of a partition's life.
    """

    def __init__(
        self, snapshot: Snapshot, numbers: Sequence[int], warm_requests: int, changed: Callable[[], None]
    ) -> None:
        self.snapshot = snapshot
        self.warm: dict[int, Partition] = {}
        self._loading = list(numbers)
        self._refused: list[int] = []
        self._warm_requests = warm_requests
        self._changed = changed
        self.predictor = Predictor(snapshot, self.warm)

    def load_next(self) -> bool:
        """Bring the next partition up; False when there is none left. Blocking: call it off the event loop."""
        if not self._loading:
            return False
        number = self._loading[0]
        try:
            opened = self.snapshot.open_partition(number)
            self.predictor.warm_up(opened, self._warm_requests)
        except (SnapshotRefused, StoreError, OSError, ValueError, RuntimeError) as error:
            log.error("partition.refused", snapshot=self.snapshot.version, partition=number, error=str(error))
            self._refused.append(number)
        else:
            self.warm[number] = opened
            log.info("partition.warm", snapshot=self.snapshot.version, partition=number, users=opened.users)
        self._loading.pop(0)
        self._changed()
        return True

    @property
    def state(self) -> pb.ShardState:
        """How far this generation is: everything warm, something refused, or still on the way."""
        if self._loading:
            return pb.SHARD_STATE_LOADING
        return pb.SHARD_STATE_DEGRADED if self._refused else pb.SHARD_STATE_READY

    def status(self) -> pb.GenerationStatus:
        """What `Watch` reports."""
        return pb.GenerationStatus(
            snapshot_version=self.snapshot.version,
            warm=sorted(self.warm),
            loading=self._loading,
            refused=self._refused,
        )

    def close(self) -> None:
        """Give every file back."""
        for opened in self.warm.values():
            opened.close()
        self.warm.clear()
        self.snapshot.close()
