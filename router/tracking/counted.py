"""Every request, counted by where it went and what it got; what nobody foresaw is a 500 and a log event."""

from __future__ import annotations

import structlog
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trunkshow.serving import metrics
from trunkshow.serving.telemetry import Throttle

REQUESTS = metrics.counter(
    "trunkshow_tracking_requests_total", "Requests of browsers, by address asked for and status.", ("path", "code")
)
KNOWN = frozenset(("/p.gif", "/v1/events", "/trunkshow.js"))
"""Labels are names of ours: what else was asked for is told as other."""

log = structlog.get_logger()


class Counted:
    """An ASGI application, counted.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._throttle = Throttle()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        begun = False

        async def counting(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                path = scope["path"] if scope["path"] in KNOWN else "other"
                REQUESTS.labels(path, str(message["status"])).inc()
            await send(message)

        try:
            await self._app(scope, receive, counting)
        except Exception as error:  # whatever it is, the listener goes on
            self._throttle.log(log.error, "tracking.failed", exc_info=error)
            if not begun:
                await PlainTextResponse("Internal Server Error", 500)(scope, receive, counting)
