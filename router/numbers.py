"""What a router knows anyway, as metrics: read from its status when Prometheus asks, and counted nowhere twice."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from router.asking.tally import Tally
from trunkshow.v1 import cluster_pb2
from trunkshow.v1 import recommendation_pb2 as pb

OUTCOMES: tuple[pb.Outcome, ...] = (
    pb.OUTCOME_ANSWERED,
    pb.OUTCOME_FAILED,
    pb.OUTCOME_LATE,
    pb.OUTCOME_CANCELLED,
    pb.OUTCOME_NOT_HELD,
    pb.OUTCOME_OVERLOADED,
)


def of(status: cluster_pb2.GetClusterStatusResponse) -> Iterable[Metric]:
    """A router's status as metrics."""
    yield CounterMetricFamily("trunkshow_router_answers", "Slates answered.", value=status.requests)
    yield _rungs(status)
    yield CounterMetricFamily("trunkshow_router_hedges", "Second replicas asked.", value=status.hedges)
    yield CounterMetricFamily("trunkshow_router_shed", "Requests answered from resident lists.", value=status.shed)
    yield _gauge("concurrency_limit", "Slates that are made with shards at a time, at most.", status.concurrency_limit)
    yield _gauge("in_flight", "Slates that are being made with shards.", status.in_flight)
    yield _gauge("store_reachable", "1 while the snapshot store answers.", status.store_reachable)
    if status.HasField("event_log"):
        yield _gauge("log_reachable", "1 while the event log answers.", status.event_log.reachable)
    yield _gauge("partitions", "Partitions of the current snapshot.", status.partitions)
    yield _gauge("partitions_covered", "Of those, held warm by at least one shard.", status.partitions_covered)
    yield _gauge("partitions_moved", "Of those, served from it already.", status.partitions_moved)
    yield _shards(status, "reachable", "1 while its watch stream is open.")
    yield _shards(status, "in_flight", "Requests of this router to it.")
    yield _shards(status, "ejected", "1 while others are asked first.")
    yield _shards(status, "p95_ms", "Milliseconds within which 95 % of its recent answers came.")


def of_asking(tally: Tally, ejections: int, failovers_refused: int) -> Iterable[Metric]:
    """How askings of shards ended as metrics; every series is there from the start, so that a rate of it is one."""
    ended = CounterMetricFamily(
        "trunkshow_router_attempts",
        "Askings of shards, but for batches, by how they ended.",
        labels=("outcome", "hedge"),
    )
    for outcome in OUTCOMES:
        for hedge in (False, True):
            name = pb.Outcome.Name(outcome).removeprefix("OUTCOME_")
            ended.add_metric((name, "yes" if hedge else "no"), tally.ended[outcome, hedge])
    yield ended
    yield CounterMetricFamily("trunkshow_router_ejections", "Times that a replica was ejected.", value=ejections)
    yield CounterMetricFamily(
        "trunkshow_router_failovers_refused",
        "Failures after which no other replica was asked.",
        value=failovers_refused,
    )


def _gauge(name: str, explained: str, value: float) -> Metric:
    return GaugeMetricFamily(f"trunkshow_router_{name}", explained, value=float(value))


def _rungs(status: cluster_pb2.GetClusterStatusResponse) -> Metric:
    made = CounterMetricFamily("trunkshow_router_carousels", "Carousels served, by rung.", labels=("rung",))
    known = pb.Rung.values()
    for one in status.rungs:
        name = pb.Rung.Name(one.rung).removeprefix("RUNG_") if one.rung in known else str(one.rung)
        made.add_metric((name,), one.carousels)
    return made


def _shards(status: cluster_pb2.GetClusterStatusResponse, name: str, explained: str) -> Metric:
    made = GaugeMetricFamily(f"trunkshow_router_shard_{name}", explained, labels=("shard",))
    for shard in status.shards:
        made.add_metric((shard.address,), float(getattr(shard, name)))
    return made
