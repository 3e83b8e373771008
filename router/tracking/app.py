"""From HTTP to a call and back, at three addresses. What becomes of a call is `intake`'s.

GET  /p.gif         one event in the address; always the pixel, whatever became of the event
POST /v1/events     events as JSON, also as text/plain: so a page that is left sends them without asking first
GET  /trunkshow.js  the script for pages

202  recorded, as far as the answer does not name an event as refused
400  none of it is right, and which field is at fault; sent again, it would be refused again
403  a page of that origin may not send           408, 413, 415  the body is late, too large, no JSON
414  the pixel's address is too long
429  beyond the limit of an address or of a user  503  the log is not there; with Retry-After, both

Answers are JSON and name the field at fault, with a stable reason.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from router.recording.recorder import REFUSED
from router.tracking import pixel, reading, script
from router.tracking.counted import Counted
from router.tracking.gate import TooMany
from router.tracking.intake import Intake, Taken
from router.tracking.options import ANY
from trunkshow.errors import InvalidArgument, Overloaded, TrunkshowError, Unavailable
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.serving.telemetry import Throttle

ADDRESS_CHARACTERS_MAX = 8000
"""Of a pixel's path and query: what servers should take by RFC 9110 (4.1), and proxies in front of this one do."""

BODY_S_MAX = 10.0
"""Within which a call's body is here."""

RETRY_AFTER_S = 5
"""Where the log is not there, and nobody knows for how long."""

URI_TOO_LONG = "URI_TOO_LONG"
PREFLIGHT_S = 86_400
_TYPES = frozenset(("application/json", "text/plain", ""))

log = structlog.get_logger()


class Refused(Exception):
    """A call that is answered with a status of its own."""

    def __init__(self, status: int, field: str, reason: str, what: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.status, self.retry_after_s = status, retry_after_s
        self.told = {"field": field, "reason": reason, "message": f"{field}: {what}" if field else what}

    def response(self) -> Response:
        """As it is answered."""
        after = {} if self.retry_after_s is None else {"Retry-After": str(max(1, math.ceil(self.retry_after_s)))}
        return _json(self.status, self.told, after)


class Tracking:
    """Answers the listener's addresses.

    Args:
        intake: takes calls in.
        origins: of pages that may send events; `ANY` for all.
        body_bytes_max: of a call.
        clock: monotonic, for the log's own sake.
    """

    def __init__(self, intake: Intake, origins: tuple[str, ...], body_bytes_max: int, clock: Clock = monotonic) -> None:
        self._intake = intake
        self._origins = frozenset(origins)
        self._body_bytes_max = body_bytes_max
        self._throttle = Throttle(clock=clock)

    def app(self) -> ASGIApp:
        """For an ASGI server."""
        cors = Middleware(
            CORSMiddleware,
            allow_origins=sorted(self._origins),
            allow_methods=["GET", "POST"],
            allow_headers=["content-type"],
            expose_headers=["retry-after"],
            max_age=PREFLIGHT_S,
        )
        routes = [
            Route("/v1/events", self.events, methods=["POST"]),
            Route("/p.gif", self.pixel, methods=["GET"]),
            Route("/trunkshow.js", _script, methods=["GET"]),
        ]
        return Counted(Starlette(routes=routes, middleware=[cors]))

    async def events(self, request: Request) -> Response:
        """POST /v1/events."""
        try:
            self._check_origin(request)
            taken = await self._take(request)
        except Refused as refused:
            return refused.response()
        except TooMany as beyond:
            what = "more than may be sent; nothing of this call was recorded, send it again"
            return Refused(429, "", beyond.reason, what, beyond.wait_s).response()
        except TrunkshowError as error:
            return _of(error).response()
        return _json(202 if taken.recorded else 400, _told(taken))

    async def pixel(self, request: Request) -> Response:
        """GET /p.gif; a HEAD has no event: it is how links are looked at before anybody opens a mail."""
        if len(request.scope["raw_path"]) + len(request.scope["query_string"]) > ADDRESS_CHARACTERS_MAX:
            self._lost(URI_TOO_LONG)
            REFUSED.labels(URI_TOO_LONG).inc()
            what = f"at most {ADDRESS_CHARACTERS_MAX} characters are allowed; POST /v1/events takes more"
            return Refused(414, "address", URI_TOO_LONG, what).response()
        if request.method == "GET":
            await self._seen(request)
        return Response(pixel.GIF, media_type="image/gif", headers=pixel.NEVER_CACHED)

    async def _seen(self, request: Request) -> None:
        try:
            address = _address(request)
            self._intake.knock(address)
            taken = await self._intake.take(pixel.read_query(request.scope["query_string"]), address)
        except TooMany as beyond:
            self._lost(beyond.reason)
        except TrunkshowError as error:
            self._lost(error.reason)
        else:
            for refusal in taken.refused:
                self._lost(refusal.reason)

    def _lost(self, reason: str) -> None:
        """The sender is told nothing, so the log is; by reason alone, for the address holds a user's id."""
        self._throttle.log(log.warning, "pixel.not_recorded", reason=reason)

    def _check_origin(self, request: Request) -> None:
        """A browser says where a page is from; who is no browser may say anything, and is let in as it is."""
        origin = request.headers.get("origin")
        if origin is not None and not self._origins & {origin, ANY}:
            raise Refused(403, "", "ORIGIN_NOT_ALLOWED", "pages of this origin are not among --http-origins")

    async def _take(self, request: Request) -> Taken:
        address = _address(request)
        self._intake.knock(address)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in _TYPES:
            raise Refused(415, "content-type", "TYPE_UNKNOWN", "application/json or text/plain is needed")
        batch = reading.read_body(await self._body(request), self._intake.now())
        return await self._intake.take(batch, address)

    async def _body(self, request: Request) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_S_MAX):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > self._body_bytes_max:
                        what = f"at most {self._body_bytes_max} bytes are allowed"
                        raise Refused(413, "body", "BODY_TOO_LARGE", what)
        except TimeoutError:
            raise Refused(408, "body", "BODY_LATE", f"it was not here within {BODY_S_MAX:g} s") from None
        except ClientDisconnect:
            raise Refused(400, "body", "BODY_CUT_OFF", "the connection ended within it") from None
        return bytes(body)


async def _script(request: Request) -> Response:
    return script.RESPONSE


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _of(error: TrunkshowError) -> Refused:
    known_ms = error.retry_after_ms
    after_s = RETRY_AFTER_S if known_ms is None or known_ms < 0 else known_ms / 1000
    told = error.message.removeprefix(f"{error.field}: ") if error.field else error.message
    if isinstance(error, InvalidArgument):
        return Refused(400, error.field, error.reason, told)
    if isinstance(error, (Unavailable, Overloaded)):
        return Refused(503, error.field, error.reason, told, after_s)
    raise error


def _told(taken: Taken) -> Mapping[str, Any]:
    return {
        "recorded": taken.recorded,
        "refused": [asdict(refusal) for refusal in taken.refused],
        "watermark": str(taken.watermark or ""),
    }


def _json(status: int, told: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    plain = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **(headers or {})}
    return Response(json.dumps(told), status, plain, "application/json")
