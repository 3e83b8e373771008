"""From an exception to a gRPC status: the one place where the two meet.

An error carries google.rpc.ErrorInfo (reason, domain, the field in its metadata) for callers with a library
for it, and the same reason and field as plain trailing metadata for those without.
"""

from __future__ import annotations

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError, Message

# googleapis-common-protos comes with grpcio-status and ships no types; this module is its only user.
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from trunkshow.errors import DOMAIN, FIELD_KEY, PUSHBACK_KEY, REASON_KEY, InvalidArgument, TrunkshowError, Unavailable

DETAILS_KEY = "grpc-status-details-bin"

Metadata = tuple[tuple[str, str | bytes], ...]


def as_outcome(error: Exception) -> TrunkshowError | None:
    """The outcome that an exception stands for; None for a bug of ours."""
    if isinstance(error, TrunkshowError):
        return error
    if isinstance(error, DecodeError):
        return malformed()
    return None


def malformed() -> InvalidArgument:
    """Bytes that are not the message of this method."""
    message = "the request's bytes are not a message of this method"
    return InvalidArgument(message, field="request", reason="MALFORMED_REQUEST")


def too_large(size: int, allowed: int) -> InvalidArgument:
    """A request beyond our own limit, which lies below gRPC's hard one so that it gets a reason."""
    message = f"request: {size} bytes; at most {allowed} are allowed"
    return InvalidArgument(message, field="request", reason="REQUEST_TOO_LARGE")


def draining() -> Unavailable:
    """A stream of requests that this server will not see the end of."""
    return Unavailable(
        "this server is about to leave; send the stream again, and another one takes it", reason="DRAINING"
    )


def internal(request_id: str) -> TrunkshowError:
    """What a caller may know of a bug: where the log has the rest."""
    return TrunkshowError(f"internal error; the server's log has it under request id {request_id}")


def trailing_metadata(outcome: TrunkshowError) -> Metadata:
    """The status details and the plain keys of an outcome; when to ask again, where that is known, in both."""
    info = error_details_pb2.ErrorInfo(reason=outcome.reason, domain=DOMAIN)
    if outcome.field:
        info.metadata["field"] = outcome.field
    details = [_packed(info)]
    if outcome.retry_after_ms is not None and outcome.retry_after_ms >= 0:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(outcome.retry_after_ms)
        details.append(_packed(retry))
    status = status_pb2.Status(code=number(outcome.code), message=outcome.message, details=details)
    advice = "" if outcome.retry_after_ms is None else str(outcome.retry_after_ms)
    plain = ((REASON_KEY, outcome.reason), (FIELD_KEY, _ascii(outcome.field)), (PUSHBACK_KEY, advice))
    return ((DETAILS_KEY, status.SerializeToString()), *(pair for pair in plain if pair[1]))


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def number(code: grpc.StatusCode) -> int:
    """The code as it stands in google.rpc.Status."""
    numeric: int = code.value[0]
    return numeric


def _ascii(text: str) -> str:
    """Plain metadata is printable ASCII, or gRPC refuses to send it."""
    return text.encode("ascii", "replace").decode()
