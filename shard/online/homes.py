"""Where the users of one snapshot live, and of which of its partitions everything is kept that they did since.

A user lives where the snapshot's directory says, a newcomer where their first event leads to, and who is unsettled
lives with every shard (`trunkshow.online.newcomers`). Of a partition everything is known once the log was replayed for
it, from where the snapshot ends; `shard.online.replaying` has that done.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from trunkshow.online.forgotten import BuiltWith, Forgotten
from trunkshow.online.newcomers import Newcomers, home_of
from trunkshow.online.positions import Position, Since
from trunkshow.snapshot.directory import Home
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import events_pb2 as pb


class Homes:
    """Of one snapshot.

    Attributes:
        since: up to where the snapshot has seen the log.
        held: partitions whose users' events are kept.
        whole: of these, those for which the log was replayed.

    Args:
        snapshot: opened, its directory too.
        forgotten: who is to be forgotten.
    """

    def __init__(self, snapshot: Snapshot, forgotten: Forgotten) -> None:
        self.since = Since.of(snapshot.manifest)
        self.held: frozenset[int] = frozenset()
        self.whole: frozenset[int] = frozenset()
        self._left: frozenset[int] = frozenset()  # partitions that were let go since a replay began
        self._directory = snapshot.directory
        self._catalogue = snapshot.catalogue
        self._newcomers = Newcomers(partial(home_of, snapshot.ials.equations, snapshot.codebook))
        self._forgotten = forgotten
        self._built_with = BuiltWith.of(snapshot.manifest)

    # --- which partitions ----------------------------------------------------------------------------------------

    @property
    def lacking(self) -> frozenset[int]:
        """Partitions for which the log is to be replayed."""
        return self.held - self.whole

    def hold(self, partitions: frozenset[int]) -> None:
        """These are held, and no others."""
        self._left |= self.held - partitions
        self.held, self.whole = partitions, self.whole & partitions

    def replaying(self) -> frozenset[int]:
        """The log is replayed from now on: the partitions for which."""
        self._left = frozenset()
        return self.lacking

    def replayed(self, partitions: frozenset[int]) -> None:
        """The log was replayed for these; one that was let go meanwhile, and is held again, lacks events."""
        self.whole |= (partitions & self.held) - self._left

    def replay_anew(self) -> None:
        """The log is not what it was: it is to be replayed for all of them, also where that is under way."""
        self._left |= self.held
        self.whole = frozenset()

    # --- who lives there -----------------------------------------------------------------------------------------

    def takes(self, event: pb.Event, at: Position, time_ms: int, among: Collection[int]) -> bool:
        """Whether an event, which happened then, is of somebody who lives in one of these partitions.

        As long as the log is being replayed every newcomer may turn out to: an earlier event may come yet.
        """
        home = self.of(event.user_id)
        if home is not None:
            return home.partition in among
        if not self.since.is_new(at, time_ms):
            return False
        partition = self._newcomers.take(event, at, self._catalogue.built_row)
        if partition is None:
            return self._newcomers.lead(event.user_id) is not None
        return partition in among or bool(self.lacking)

    def has(self, user_id: str) -> bool:
        """Whether somebody lives in what is held, or may turn out to."""
        return self.partition_of(user_id) in self.held or self._newcomers.lead(user_id) is not None

    def has_all(self, user_id: str, at: Position, time_ms: int) -> bool:
        """Whether what stands there, and happened then, was heard here of somebody whom the snapshot knows.

        That is so of what the snapshot lacks, once the log was replayed for it. Of what it was built with a replay
        hears no more than the end, and that may have been freed again.
        """
        if not self.whole or not self.since.lacks(at, time_ms):
            return False
        home = self.of(user_id)
        return home is not None and home.partition in self.whole

    def partition_of(self, user_id: str) -> int | None:
        """Where somebody lives; None for a stranger."""
        home = self.of(user_id)
        return home.partition if home is not None else self._newcomers.find(user_id)

    def has_lost(self, user_id: str, partition: int) -> bool:
        """Whether events of somebody who is asked for in a partition may not be there.

        There were more newcomers than can be known, or they live elsewhere by what is known here.
        """
        home = self._newcomers.find(user_id)
        if home is not None:
            return home != partition or self._newcomers.has_lost(user_id)
        return self._newcomers.has_lost(user_id) and self.of(user_id) is None

    def of(self, user_id: str) -> Home | None:
        """A user's place in the snapshot; None for newcomers, and who is to be forgotten."""
        return None if self.is_hidden(user_id) else self._directory.find(user_id)

    def is_hidden(self, user_id: str) -> bool:
        """Whether what the snapshot knows of somebody must not be used: they asked to be forgotten."""
        return self._forgotten.hides(user_id, self._built_with)

    def forget(self, user_id: str) -> None:
        """Somebody asked to be forgotten: where they came as a newcomer, they did not."""
        self._newcomers.forget(user_id)
