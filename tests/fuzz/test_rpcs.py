"""Anything may be sent to any method: each is answered or refused with a status of the contract, and nothing breaks."""

from __future__ import annotations

import os
from collections.abc import Iterator

import grpc
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from messages import any_bytes
from processes import Cluster

from trunkshow.client import Client, Rung
from trunkshow.v1 import cluster_pb2, direct_pb2, events_pb2, features_pb2, recommendation_pb2, shard_pb2

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "40"))
"""Of each method; `make fuzz` tries thousands."""

WITHIN_S = 60.0
ENDLESS = {"Watch", "WatchPlacement"}
WATCHED_S = 0.05
"""A stream without end is listened to for so long."""

GROWTH_MAX = 0.05
"""Of a process's memory, over all that is sent: what caches and allocators keep, not what leaks with every call."""

WARM_ROUNDS = 20

REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAVAILABLE,  # PARTIAL_ABORT; and this router has no event log
}

OF_ROUTER = [
    *recommendation_pb2.DESCRIPTOR.services_by_name["RecommendationService"].methods,
    *cluster_pb2.DESCRIPTOR.services_by_name["ClusterService"].methods,
    *direct_pb2.DESCRIPTOR.services_by_name["DirectService"].methods,
    *features_pb2.DESCRIPTOR.services_by_name["FeatureService"].methods,
    *events_pb2.DESCRIPTOR.services_by_name["EventService"].methods,
]
OF_SHARD = list(shard_pb2.DESCRIPTOR.services_by_name["ShardService"].methods)
METHODS = {method.full_name: method for method in [*OF_ROUTER, *OF_SHARD]}


@pytest.fixture(scope="module")
def channels(cluster: Cluster) -> Iterator[dict[str, grpc.Channel]]:
    """To the router, and to its shard."""
    with grpc.insecure_channel(cluster.target) as router, grpc.insecure_channel(next(iter(cluster.shards))) as shard:
        yield {
            **{method.full_name: router for method in OF_ROUTER},
            **{method.full_name: shard for method in OF_SHARD},
        }


def outcome(channel: grpc.Channel, method: str, request: bytes) -> grpc.StatusCode:
    """What becomes of a call over bytes; of a stream of answers, after the last of them, or after a while."""
    service, _, name = method.rpartition(".")
    path, endless = f"/{service}/{name}", name in ENDLESS
    call = channel.unary_stream if METHODS[method].server_streaming else channel.unary_unary
    try:
        if METHODS[method].client_streaming:
            channel.stream_unary(path)(iter([request, request]), timeout=WITHIN_S)
            return grpc.StatusCode.OK
        answer = call(path)(request, timeout=WATCHED_S if endless else WITHIN_S)
        if METHODS[method].server_streaming:
            list(answer)
    except grpc.RpcError as error:
        if endless and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return grpc.StatusCode.OK
        return error.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize("method", METHODS)
def test_whatever_is_sent_is_answered_or_refused(
    cluster: Cluster, channels: dict[str, grpc.Channel], method: str
) -> None:
    """Never an internal error, never silence; afterwards the processes live, and answer."""

    @settings(
        max_examples=EXAMPLES if METHODS[method].name not in ENDLESS else 5,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(any_bytes(METHODS[method].input_type))
    def send(request: bytes) -> None:
        assert outcome(channels[method], method, request) in REFUSALS | {grpc.StatusCode.OK}

    assert outcome(channels[method], method, b"") is not grpc.StatusCode.UNIMPLEMENTED
    send()
    assert cluster.router.lives
    assert all(shard.lives for shard in cluster.shards.values())
    with Client(cluster.target, deadline_ms=8000) as client:
        assert client.recommend("user-0003").receipt.rung is Rung.SNAPSHOT


@given(st.data())
@settings(max_examples=1, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_memory_does_not_grow_with_what_is_refused(
    cluster: Cluster, channels: dict[str, grpc.Channel], data: st.DataObject
) -> None:
    """The same bytes some thousand times more leave router and shard as large as they were."""
    sent = [
        (method, data.draw(any_bytes(METHODS[method].input_type)))
        for method in METHODS
        if METHODS[method].name not in ENDLESS
        for _ in range(5)
    ]
    watched = [psutil.Process(pid) for pid in (cluster.router.pid, *(shard.pid for shard in cluster.shards.values()))]

    def rounds(count: int) -> list[int]:
        for _ in range(count):
            for method, request in sent:
                outcome(channels[method], method, request)
        return [process.memory_info().rss for process in watched]

    before, after = rounds(WARM_ROUNDS), rounds(max(3 * WARM_ROUNDS, EXAMPLES // 2))
    assert all(late <= (1 + GROWTH_MAX) * early for early, late in zip(before, after, strict=True))
