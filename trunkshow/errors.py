"""What can go wrong between a caller and the cluster: one class per outcome, its gRPC status on the class.

Servers raise these; one wrapper (`trunkshow.serving.methods`) turns them into a status. The client turns a status
back into the same class. Errors of a build are `builder.errors`; they never cross the wire.
"""

from __future__ import annotations

from typing import ClassVar

import grpc

DOMAIN = "trunkshow.v1"
REASON_KEY = "trunkshow-reason"
FIELD_KEY = "trunkshow-field"
PUSHBACK_KEY = "grpc-retry-pushback-ms"
"""gRPC's own: when a client asks again by itself, in milliseconds; it does not where that is negative."""

NOT_AGAIN = -1
"""As a time to ask again: the same call would end alike."""


class TrunkshowError(Exception):
    """An outcome that is not an answer.

    Args:
        message: one line for a person, naming what to do.
        field: the request's field at fault, as written in the contract; empty where none is.
        reason: a stable name for machines; the class's own where not given.
        retry_after_ms: when to ask again; `NOT_AGAIN` for never, None where nothing is known.
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL
    default_reason: ClassVar[str] = "INTERNAL"
    default_retry_after_ms: ClassVar[int | None] = None

    def __init__(self, message: str, *, field: str = "", reason: str = "", retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.reason = reason or self.default_reason
        self.retry_after_ms = self.default_retry_after_ms if retry_after_ms is None else retry_after_ms


class InvalidArgument(TrunkshowError):
    """The request breaks its contract; asking again will not help."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    default_reason = "INVALID_ARGUMENT"


class NotFound(TrunkshowError):
    """What was named does not exist."""

    code = grpc.StatusCode.NOT_FOUND
    default_reason = "NOT_FOUND"


class Unauthenticated(TrunkshowError):
    """The server does not know who asks; the same credentials will not help."""

    code = grpc.StatusCode.UNAUTHENTICATED
    default_reason = "UNAUTHENTICATED"


class PermissionDenied(TrunkshowError):
    """The server knows who asks, and they may not."""

    code = grpc.StatusCode.PERMISSION_DENIED
    default_reason = "PERMISSION_DENIED"


class Unavailable(TrunkshowError):
    """Nobody answered; asking again may help."""

    code = grpc.StatusCode.UNAVAILABLE
    default_reason = "UNAVAILABLE"


class PartialAborted(Unavailable):
    """The caller would rather have no answer than one from a lower rung, and there was no better one."""

    default_reason = "PARTIAL_ABORTED"
    # A caller who asked for an error instead of a poor answer is not helped by gRPC asking again.
    default_retry_after_ms = NOT_AGAIN


class Overloaded(TrunkshowError):
    """The server has more to do than it can in time; another one may not."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    default_reason = "OVERLOADED"


class DeadlineExceeded(TrunkshowError):
    """The caller's own deadline passed before an answer arrived."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    default_reason = "DEADLINE_EXCEEDED"


class SnapshotMismatch(TrunkshowError):
    """The shard does not hold that snapshot's partition; another replica may."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    default_reason = "SNAPSHOT_MISMATCH"


_CLASSES = (
    InvalidArgument,
    NotFound,
    Unavailable,
    Overloaded,
    DeadlineExceeded,
    SnapshotMismatch,
    Unauthenticated,
    PermissionDenied,
)
_BY_CODE: dict[grpc.StatusCode, type[TrunkshowError]] = {error.code: error for error in _CLASSES}


def from_rpc_error(error: grpc.RpcError | grpc.aio.AioRpcError) -> TrunkshowError:
    """The exception that a server raised, rebuilt from the status that arrived."""
    code = error.code() if hasattr(error, "code") else grpc.StatusCode.UNKNOWN
    details = (error.details() if hasattr(error, "details") else "") or code.name
    trailing = error.trailing_metadata() if hasattr(error, "trailing_metadata") else None
    metadata = {str(key): str(value) for key, value in tuple(trailing or ())}  # type: ignore[misc, unused-ignore]
    reason = metadata.get(REASON_KEY, "") or code.name
    aborted = reason == PartialAborted.default_reason
    kind = PartialAborted if aborted else _BY_CODE.get(code, TrunkshowError)
    return kind(
        details, field=metadata.get(FIELD_KEY, ""), reason=reason, retry_after_ms=_whole(metadata.get(PUSHBACK_KEY, ""))
    )


def _whole(text: str) -> int | None:
    """A whole number as it came over the wire."""
    return int(text) if text.removeprefix("-").isascii() and text.removeprefix("-").isdigit() else None
