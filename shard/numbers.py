"""What a shard says of itself, as metrics: read from its status when Prometheus asks, and counted nowhere twice."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from trunkshow.v1 import shard_pb2

STATES = ("warm", "loading", "refused", "surplus", "stand_ins", "refused_stand_ins")


def of(status: shard_pb2.ShardStatus) -> Iterable[Metric]:
    """A shard's status as metrics."""
    yield CounterMetricFamily("trunkshow_shard_predictions", "Predictions answered.", value=status.requests)
    yield CounterMetricFamily("trunkshow_shard_cancelled", "Predictions that were given up.", value=status.cancelled)
    yield CounterMetricFamily("trunkshow_shard_refused_work", "Predictions without time.", value=status.refused_work)
    partitions = GaugeMetricFamily(
        "trunkshow_shard_partitions", "Partitions, by snapshot and state.", labels=("snapshot", "state")
    )
    for generation in status.generations:
        for state in STATES:
            partitions.add_metric((generation.snapshot_version, state), len(getattr(generation, state)))
    yield partitions
    draining = status.state == shard_pb2.SHARD_STATE_DRAINING
    yield GaugeMetricFamily("trunkshow_shard_draining", "1 while it hands over.", value=float(draining))
    unknown = bool(status.why_not_ready)
    explained = "1 while the membership does not name it, and never did."
    yield GaugeMetricFamily("trunkshow_shard_unknown_to_members", explained, value=float(unknown))
