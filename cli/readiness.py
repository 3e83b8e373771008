"""What a cluster that is coming up waits for, and what there is no use in waiting for: decided from its status.

1. A partition that a shard refused stays refused until its process is started again on other files: the cluster is
   given up at once, though other replicas may cover it.
2. A cluster is whole once every shard is ready, not only every partition covered: what a late shard will report
   is not known before.
3. Anything else may still come. Every `TELL_EVERY_S` it is said what is missing.

Asking for the status, and ending what was started, is `cli.cluster`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cli.pictures import ranges
from cli.processes import Say
from trunkshow.cluster import ClusterStatus, ShardState, ShardView

TELL_EVERY_S = 5.0


class Hopeless(Exception):
    """The cluster will not become what was asked for; the message is one line for a person."""

    def __init__(self, child: str, message: str) -> None:
        super().__init__(message)
        self.child = child


class Waiting:
    """Looks at one status after another, and tells now and then what is missing.

    Args:
        names: of the shards, by address.
        say: told `cluster.waiting`.
        clock: a port: monotonic seconds.
        with_log: whether the event log is the cluster's own, and waited for like its shards.
    """

    def __init__(
        self, names: Mapping[str, str], say: Say, clock: Callable[[], float], *, with_log: bool = False
    ) -> None:
        self._names = names
        self._say = say
        self._clock = clock
        self._with_log = with_log
        self._began = self._told = clock()

    def look(self, status: ClusterStatus | None) -> bool:
        """Take the router's status, None where it did not answer; whether nothing is missing.

        Raises:
            Hopeless: a shard refused partitions.
        """
        for shard in status.shards if status else ():
            refused = sorted({number for generation in shard.generations for number in generation.refused})
            if refused:
                name = self._names.get(shard.address, shard.address)
                raise Hopeless(name, f"{name} ({shard.address}) refused partitions {ranges(refused)}")
        if status is not None and status.covered and all(map(_up, status.shards)) and self._logs(status):
            return True
        now = self._clock()
        if now - self._told >= TELL_EVERY_S:
            self._told = now
            self._say("cluster.waiting", seconds=round(now - self._began), missing=missing(status, self._names))
        return False

    def _logs(self, status: ClusterStatus) -> bool:
        return not self._with_log or (status.event_log is not None and status.event_log.reachable)


def missing(status: ClusterStatus | None, names: Mapping[str, str]) -> str:
    """What a cluster still lacks, in a few words for a person."""
    if status is None:
        return "the router, which does not answer yet"
    late = ", ".join(_late(names.get(shard.address, shard.address), shard) for shard in status.shards if not _up(shard))
    if not late and status.covered and status.event_log and not status.event_log.reachable:
        return "the event log, which does not answer yet"
    covered = f"{status.partitions_covered} of {status.partitions} partitions covered"
    return f"{late or 'the router'}; {covered}"


def _up(shard: ShardView) -> bool:
    return shard.reachable and shard.state is ShardState.READY


def _late(name: str, shard: ShardView) -> str:
    if not shard.reachable:
        return f"{name} (not reached yet)"
    loading = sum(len(generation.loading) for generation in shard.generations)
    return f"{name} ({loading} partitions to load)" if loading else f"{name} ({shard.state.name.lower()})"
