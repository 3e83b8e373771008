"""What is done where the router itself broke on a request: a bug of ours, of which the caller must not suffer.

It is logged with its traceback and counted, and the slate is made of the router's own lists instead, for the reason
ROUTER_FAILED. Who asked for something that cannot be, or would rather have an error, still gets that. What breaks
before the making of a slate begins is told likewise, and costs nothing of it (`router.recommendation`).
"""

from __future__ import annotations

import structlog

from trunkshow.serving import metrics
from trunkshow.serving.telemetry import Throttle
from trunkshow.v1 import recommendation_pb2 as pb

REASONS = (pb.REASON_ROUTER_FAILED,)

BROKEN = metrics.counter(
    "trunkshow_router_broken_slates_total",
    "Slates in whose making the router raised an error: resident ones went out, or those without what broke.",
)

log = structlog.get_logger()

_throttle = Throttle()


def report(error: Exception, request_id: str) -> None:
    """Tell whoever runs this router, of the first one and of how many more there are."""
    BROKEN.inc()
    _throttle.log(log.error, "slate.broke", request_id=request_id, exc_info=error)
