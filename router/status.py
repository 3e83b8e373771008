"""GetClusterStatus: the newest topology and the counters, as messages."""

from __future__ import annotations

from collections.abc import Callable

from router.admission.limiter import Limiter
from router.answering.counters import Counters
from router.asking.fanout import Fanout
from router.cluster.shard_channel import ShardChannels
from router.cluster.topology import ReplicaView, ShardFacts
from router.cluster.watch import Board
from router.recording.log_watch import LogState
from router.served.keeper import Keeper
from router.served.views import Candidate
from trunkshow.latencies import Kind
from trunkshow.online.trends import NO_TRENDS, Trends
from trunkshow.serving.call import CallView
from trunkshow.v1 import cluster_pb2, shard_pb2


class Status:
    """Answers GetClusterStatus.

    Args:
        keeper: of what is served.
        store_reachable: whether the snapshot store answers.
        fanout: to the shards.
        limiter: of slates that are made at a time.
        board: with the newest topology.
        shards: channels by address.
        counters: what was served.

    Attributes:
        candidate: what is known of the snapshot that is tried.
        log_state: of the event log, as it was last heard; None where there is none.
        forgotten: watermark of the tombstones that were read; empty before the first.
    """

    def __init__(
        self,
        keeper: Keeper,
        store_reachable: Callable[[], bool],
        fanout: Fanout,
        limiter: Limiter,
        board: Board,
        shards: ShardChannels,
        counters: Counters,
    ) -> None:
        self._keeper = keeper
        self._store_reachable = store_reachable
        self._fanout = fanout
        self._limiter = limiter
        self._board = board
        self._shards = shards
        self._counters = counters
        self.candidate: Callable[[], cluster_pb2.Candidate | None] = lambda: None
        self.log_state: Callable[[], LogState | None] = lambda: None
        self.forgotten: Callable[[], str] = lambda: ""

    async def get_cluster_status(self, data: bytes, call: CallView) -> bytes:
        """GetClusterStatus."""
        del call
        cluster_pb2.GetClusterStatusRequest.FromString(data)
        return self.now().SerializeToString()

    def now(self) -> cluster_pb2.GetClusterStatusResponse:
        """The cluster as this router sees it."""
        topology, views = self._board.topology, self._keeper.now
        return cluster_pb2.GetClusterStatusResponse(
            snapshot_version=views.current.version,
            partitions=views.current.partitions,
            partitions_covered=topology.covered(views.current.version),
            partitions_moved=views.moves.count,
            previous_version=views.previous.version if views.previous else "",
            candidate=self.candidate() or (self._candidate(views.candidate) if views.candidate else None),
            store_reachable=self._store_reachable(),
            hedges=self._fanout.tally.hedges,
            shed=self._limiter.shed + self._limiter.shed_of_batches,
            concurrency_limit=int(self._limiter.limit),
            in_flight=self._limiter.all_in_flight,
            shards=[self._replica(view, topology.trends) for view in topology.replicas.values()],
            rungs=[
                cluster_pb2.RungCount(rung=rung, carousels=count)
                for rung, count in sorted(self._counters.carousels.items())
            ],
            requests=self._counters.requests,
            event_log=_log_of(self.log_state(), self.forgotten()),
        )

    def _candidate(self, candidate: Candidate) -> cluster_pb2.Candidate:
        version = candidate.view.version
        return cluster_pb2.Candidate(
            snapshot_version=version,
            phase=str(candidate.phase),
            share=candidate.share,
            partitions_covered=self._board.topology.covered(version),
        )

    def _replica(self, view: ReplicaView, trends: Trends) -> cluster_pb2.ReplicaStatus:
        shard = self._shards.get(view.address)
        return cluster_pb2.ReplicaStatus(
            address=view.address,
            reachable=view.reachable,
            status=status_of(view.facts, trends) if view.facts else None,
            in_flight=shard.in_flight if shard else 0,
            last_error=view.last_error or _why_not_ready(view) or (shard.last_error if shard else ""),
            p95_ms=shard.latencies[Kind.ONE].tail_ms if shard else 0.0,
            ejected=self._fanout.infirmary.ejected(view.address),
        )


def _log_of(state: LogState | None, forgotten: str) -> cluster_pb2.EventLogStatus | None:
    if state is None:
        return None
    return cluster_pb2.EventLogStatus(
        url=state.url,
        reachable=state.reachable,
        position=str(state.position or ""),
        last_error=state.last_error,
        forgotten=forgotten,
    )


def _why_not_ready(view: ReplicaView) -> str:
    return view.facts.why_not_ready if view.facts is not None else ""


def status_of(facts: ShardFacts, trends: Trends = NO_TRENDS) -> shard_pb2.ShardStatus:
    """A shard's facts as it reported them; what its lists were found by only where they are these, which are used."""
    return shard_pb2.ShardStatus(
        name=facts.name,
        state=facts.state,
        generations=[
            shard_pb2.GenerationStatus(
                snapshot_version=one.version,
                warm=sorted(one.warm),
                loading=sorted(one.loading),
                refused=sorted(one.refused),
                stand_ins=sorted(one.stand_ins),
                surplus=sorted(one.surplus),
                why_refused=one.why_refused,
                refused_stand_ins=sorted(one.refused_stand_ins),
                loading_stand_ins=sorted(one.loading_stand_ins),
            )
            for one in facts.generations
        ],
        requests=facts.requests,
        rss_bytes=facts.rss_bytes,
        cancelled=facts.cancelled,
        refused_work=facts.refused_work,
        forgotten=facts.forgotten,
        trends=_told(facts.trends, windows=facts.trends is trends),
        why_not_ready=facts.why_not_ready,
        batch_users_max=facts.batch_users_max,
    )


def _told(trends: Trends, *, windows: bool) -> shard_pb2.Trends | None:
    return trends.to_message(windows=windows) if trends is not NO_TRENDS else None
