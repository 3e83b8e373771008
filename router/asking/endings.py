"""What the end of an asking means: for the answer, and for what is thought of the replica.

    a shard …                        outcome      reason         sign of its health
    answered                         ANSWERED                    good
    let the time run out             LATE         SHARD_LATE     failed, where it was waited for patiently
    does not hold what was asked     NOT_HELD     the caller's   none
    has too much to do               OVERLOADED   OVERLOADED     none
    was cancelled                    CANCELLED                   outrun, where a rival won and patience had ended,
                                                                 and the request did not wait by its own wish
    failed otherwise, or talks       FAILED       SHARD_FAILED   failed
    what nobody can read

Functions over values. What follows from a sign is `router.asking.health`'s to say; from a reason,
`router.slates.ladder`'s.
"""

from __future__ import annotations

from collections.abc import Callable

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from router.asking.health import Sign
from trunkshow.v1 import recommendation_pb2 as pb


def of(
    error: grpc.aio.AioRpcError | DecodeError, why_unheld: Callable[[], pb.Reason]
) -> tuple[pb.Outcome, pb.Reason, str]:
    """What an error of a shard is called, what it means for the answer, and what was said."""
    if isinstance(error, DecodeError):
        return pb.OUTCOME_FAILED, pb.REASON_SHARD_FAILED, "its answer cannot be read"
    code = error.code()
    said = f"{code.name}: {error.details()}"
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return pb.OUTCOME_LATE, pb.REASON_SHARD_LATE, said
    if code == grpc.StatusCode.FAILED_PRECONDITION:
        return pb.OUTCOME_NOT_HELD, why_unheld(), said
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
        return pb.OUTCOME_OVERLOADED, pb.REASON_OVERLOADED, said
    return pb.OUTCOME_FAILED, pb.REASON_SHARD_FAILED, said


def sign(outcome: pb.Outcome, *, patient: bool, outrun: bool) -> Sign:
    """What an end says of the replica.

    Args:
        outcome: of the asking.
        patient: it was waited for as long as one usually waits before asking a rival.
        outrun: somebody else's answer was there first, which says that this one is slow.
    """
    if outcome == pb.OUTCOME_ANSWERED:
        return Sign.GOOD
    if outcome == pb.OUTCOME_FAILED:
        return Sign.FAILED
    if not patient:  # it had too little time to be blamed
        return Sign.NONE
    if outcome == pb.OUTCOME_LATE:
        return Sign.FAILED
    return Sign.OUTRUN if outcome == pb.OUTCOME_CANCELLED and outrun else Sign.NONE
