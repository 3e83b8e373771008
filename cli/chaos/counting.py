"""What becomes of one call, as counts: an answer in time or late, an error that its caller wished for, or a failure.

A call fails if it ends with another status than OK, but for two kinds:

1. UNAVAILABLE with the reason PARTIAL_ABORTED, to whoever wanted that rather than a poor slate: aborted. Where a whole
   cluster would have had their slate, it counts as one that stepped down. It may be late as an answer may.
2. DEADLINE_EXCEEDED at the caller's own deadline, where that is shorter than what is promised: missed. Where the
   caller's own process stood still meanwhile, that is told apart. Before that deadline nobody but the cluster can have
   said so, and it is a failure.

Pure; `cli.chaos.driver` measures.
"""

from __future__ import annotations

import time

import grpc
import grpc.aio

from cli.chaos.latecomers import Latecomer
from cli.chaos.tally import BECAUSE, Tally, bin_of
from cli.chaos.visitors import Ask
from trunkshow.errors import PartialAborted, from_rpc_error
from trunkshow.v1 import recommendation_pb2 as pb

LATE_MS = 200.0
LATE_BATCH_MS = 2_000.0

EARLY_MS = 5.0
"""Clocks of gRPC's are so much off at most: a deadline that ends a call sooner was not the caller's."""


def count(tally: Tally, receipt: pb.Receipt, took_ms: float, late_ms: float, *, stood_ms: float) -> None:
    """An answer that came after so long, for some of which its caller's own process stood still."""
    tally.counts["requests"] += 1
    tally.rungs[pb.Rung.Name(receipt.rung).removeprefix("RUNG_")] += 1
    tally.versions[receipt.snapshot_version] += 1
    late_in_router = receipt.elapsed_ms > late_ms  # whatever this process did meanwhile
    if late_in_router or took_ms - stood_ms > late_ms:
        tally.counts["late"] += 1
        tally.counts["late_in_router"] += late_in_router
        tally.note(Latecomer.of(receipt, time.time() - took_ms / 1000, took_ms, stood_ms))
        return
    tally.counts["held_up"] += took_ms > late_ms
    tally.counts["good"] += pb.RUNG_UNSPECIFIED < receipt.rung <= pb.RUNG_SNAPSHOT


def count_rung(tally: Tally, receipt: pb.Receipt) -> None:
    """The answer to a personal request: whether it stepped down, and why."""
    tally.counts["personal"] += 1
    if receipt.rung > pb.RUNG_SNAPSHOT:
        tally.counts["stepped_down"] += 1
        for reason in receipt.reasons:
            tally.counts[f"{BECAUSE}{pb.Reason.Name(reason).removeprefix('REASON_').lower()}"] += 1


def count_manner(tally: Tally, ask: Ask, receipt: pb.Receipt | None = None) -> None:
    """A single call that was ended in its own manner, with an answer or without."""
    manner = ask.manner
    tally.counts["hurried"] += manner.deadline_ms > 0
    tally.counts["choosy"] += manner.worst_rung != pb.RUNG_UNSPECIFIED
    if isinstance(ask.request, pb.RecommendRequest) and ask.request.at_least_as_fresh:
        tally.counts["up_to_date"] += 1
        tally.counts["not_as_fresh"] += receipt is not None and pb.REASON_NOT_AS_FRESH in receipt.reasons


def count_error(tally: Tally, ask: Ask, error: grpc.RpcError, took_ms: float, *, stood_ms: float) -> None:
    """A single call that ended with an error after so long."""
    count_manner(tally, ask)
    if ask.manner.worst_rung and isinstance(from_rpc_error(error), PartialAborted):
        _aborted(tally, ask, took_ms, stood_ms)
    elif ask.manner.deadline_ms and _is_own(error, took_ms, ask.manner.deadline_ms):
        tally.counts["requests"] += 1
        tally.counts["stood_still" if stood_ms else "missed"] += 1
    else:
        fail(tally, 1, error)


def fail(tally: Tally, requests: int, error: grpc.RpcError | None) -> None:
    """So many that got no answer."""
    code = error.code().name if isinstance(error, grpc.aio.AioRpcError) else "NO_ANSWER"
    tally.counts.update(requests=requests, failed=requests)
    tally.statuses[code] += requests
    said = error.details() if isinstance(error, grpc.aio.AioRpcError) else "the stream ended"
    tally.complain(f"failed: {code}: {' '.join(str(said).split())[:200]}")


def _aborted(tally: Tally, ask: Ask, took_ms: float, stood_ms: float) -> None:
    """Rule 1."""
    tally.counts.update(requests=1, aborted=1)
    tally.latencies[bin_of(took_ms)] += 1
    is_late = took_ms - stood_ms > LATE_MS
    tally.counts["late"] += is_late
    tally.counts["held_up"] += took_ms > LATE_MS and not is_late
    if ask.personal:
        tally.counts.update({"personal": 1, "stepped_down": 1, f"{BECAUSE}aborted": 1})


def _is_own(error: grpc.RpcError, took_ms: float, deadline_ms: float) -> bool:
    """Rule 2."""
    exceeded = isinstance(error, grpc.aio.AioRpcError) and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    return exceeded and took_ms >= deadline_ms - EARLY_MS
