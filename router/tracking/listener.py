"""The HTTP listener's life: listen, answer, drain; uvicorn in the router's event loop, with no word in signals.

Where it is HTTPS, it shows the router's own certificate, and the newest one at every handshake. It has limits that its
server does not: connections beyond the limit are closed at once, and none grows older than half a minute, whatever
it does or does not do, so that who sends a byte a minute keeps nobody out for long. What holds until somebody is
connected, above all for handshakes, is `entrance`'s business.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Never

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from router.tracking.entrance import Entrance
from trunkshow.serving import metrics
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.serving.options import address
from trunkshow.serving.reloaded import Reloaded

CONNECTION_S_MAX = 30.0
HEADER_BYTES_MAX = 16_384
BACKLOG = 1024

TURNED_AWAY = metrics.counter(
    "trunkshow_tracking_connections_refused_total", "Connections of browsers that were closed at once."
)

log = structlog.get_logger()


class Listener:
    """Answers HTTP.

    Args:
        app: what is answered.
        connections_max: at a time.
        proxies: whose word on a caller's address is believed.
        tls: certificate and key, PEM; plain where None.
        drain_s: what is under way gets so long to finish.
        clock: monotonic, for looking at the certificate's files.

    Raises:
        ValueError: certificate or key cannot be used.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        connections_max: int,
        proxies: Sequence[str] = (),
        tls: tuple[Path, Path] | None = None,
        drain_s: float = 5.0,
        clock: Clock = monotonic,
    ) -> None:
        config = uvicorn.Config(
            app,
            http=_bounded(connections_max),
            ws="none",
            lifespan="off",
            workers=1,
            log_config=None,
            log_level="critical",  # it would tell of every request that is none; ours are counted and throttled
            access_log=False,  # addresses hold users' ids
            proxy_headers=bool(proxies),
            forwarded_allow_ips=list(proxies),
            server_header=False,
            timeout_graceful_shutdown=math.ceil(drain_s),
            h11_max_incomplete_event_size=HEADER_BYTES_MAX,
            ssl_context_factory=_renewing(*tls, clock) if tls else None,
        )
        config.load()
        self._server = _Server(config)
        self._running: asyncio.Task[None] | None = None

    async def start(self, listen: str, *, shared: bool = False) -> int:
        """Listen on HOST:PORT; return the port, which for port 0 the system chose.

        Args:
            listen: where.
            shared: other processes listen there, too, and the kernel gives each connection to one of them.

        Raises:
            OSError: the address cannot be bound.
        """
        host, port = address("http_listen", listen)
        door = await _bound(host, port, shared=shared)
        bound = int(door.getsockname()[1])
        self._running = asyncio.ensure_future(self._server.serve([door]))
        log.info("tracking.listening", host=host, port=bound)
        return bound

    async def watched(self) -> Never:
        """Wait, as one of the process's tasks.

        Raises:
            RuntimeError: it has come to an end, and nobody stopped it.
        """
        running = self._running
        if running is not None:
            await asyncio.wait({running})
        if running is not None and running is self._running:
            raise RuntimeError("nobody listens any more") from (None if running.cancelled() else running.exception())
        while True:
            await asyncio.Event().wait()

    async def stop(self) -> None:
        """Accept nothing more, and return once what is under way has finished; a second time it does nothing."""
        running, self._running = self._running, None
        if running is None:
            return
        self._server.should_exit = True
        await running
        log.info("tracking.stopped")


class _Server(uvicorn.Server):
    """One that leaves signals to the process, and has an entrance of ours: its own knows no limits on handshakes."""

    _entrances: Sequence[Entrance] = ()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        config = self.config
        protocol = partial(  # type: ignore[call-arg]
            config.http_protocol_class,
            config=config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        self.servers = []
        self._entrances = [Entrance(door, protocol, config.ssl) for door in sockets or ()]
        for entrance in self._entrances:
            entrance.open()
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for entrance in self._entrances:
            entrance.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _bounded(connections_max: int) -> type[asyncio.Protocol]:
    class Bounded(H11Protocol):
        """Closed at once where there are too many, and in time."""

        _turned_away = False
        _end: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            if len(self.connections) >= connections_max:
                self._turned_away = True
                TURNED_AWAY.inc()
                transport.abort()
                return
            super().connection_made(transport)
            # Idle or in the middle of a request's header, it is closed; a request that is being answered is the last.
            self._end = self.loop.call_later(CONNECTION_S_MAX, self.shutdown)

        def connection_lost(self, exc: Exception | None) -> None:
            if self._end is not None:
                self._end.cancel()
            if not self._turned_away:
                super().connection_lost(exc)

    return Bounded


async def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, kind, protocol, _, where = found[0]
    door = socket.socket(family, kind, protocol)
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        door.bind(where)
        door.listen(BACKLOG)
    except OSError:
        door.close()
        raise
    door.setblocking(False)
    return door


def _renewing(certificate: Path, key: Path, clock: Clock) -> Callable[..., ssl.SSLContext]:
    newest = Reloaded([certificate, key], lambda _: _context(certificate, key), clock)

    def hello(connection: ssl.SSLObject, name: str | None, first: ssl.SSLContext) -> None:
        del name, first
        connection.context = newest.fresh()

    def made(*_: Any) -> ssl.SSLContext:
        context = _context(certificate, key)
        context.sni_callback = hello
        return context

    return made


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        raise ValueError(f"certificate and key cannot be used: {error.reason}") from None
    return context
