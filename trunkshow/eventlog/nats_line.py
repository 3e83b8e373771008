"""A connection to NATS that is there again by itself: one at a time, each new one from scratch, after a pause."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError

from trunkshow.eventlog.nats_connection import Connection
from trunkshow.serving.telemetry import Throttle

PAUSE_S_MIN = 0.05
PAUSE_S_MAX = 0.5
"""Between two tries to connect: the first pause, and the longest."""

_log = structlog.get_logger(__name__)


class Line:
    """Keeps a connection to one of the servers, from when somebody first wants it until it is closed.

    Attributes:
        trouble: why there is no connection, in a word; empty where there is one.

    Args:
        servers: their addresses, without credentials.
        within_s: for one try.
        options: given to the client for each connection: credentials, TLS.
    """

    def __init__(
        self, servers: Sequence[str], within_s: float, options: Callable[[], Awaitable[Mapping[str, Any]]]
    ) -> None:
        self.trouble = "not connected yet"
        self._servers = servers
        self._within_s = within_s
        self._options = options
        self._closed = False
        self._keeping: asyncio.Task[None] | None = None
        self._current: asyncio.Future[Connection] | None = None
        self._throttle = Throttle(10.0)

    async def connected(self) -> Connection:
        """The connection, as soon as there is one; bound the waiting from outside."""
        if self._keeping is None:
            self._current = asyncio.get_running_loop().create_future()
            self._keeping = asyncio.create_task(self._keep())
        assert self._current is not None
        return await asyncio.shield(self._current)

    async def close(self) -> None:
        """End it for good."""
        self._closed = True
        # The client takes some cancellations for itself.
        while self._keeping is not None and not self._keeping.done():
            self._keeping.cancel()
            await asyncio.wait({self._keeping}, timeout=1)

    async def _keep(self) -> None:
        pause_s = PAUSE_S_MIN
        while not self._closed:
            connection = await self._connect()
            if connection is None:
                await asyncio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - not for secrets
                pause_s = min(2 * pause_s, PAUSE_S_MAX)
                continue
            pause_s = PAUSE_S_MIN
            connection.on_lost(self._renew)
            try:
                self._tell_all(connection)
                await connection.until_lost()
            finally:
                await connection.close()
            self.trouble = "the connection was lost"
            _log.warning("log.disconnected")

    def _tell_all(self, connection: Connection) -> None:
        assert self._current is not None
        self.trouble = ""
        if not connection.lost.is_set():
            self._current.set_result(connection)
        _log.info("log.connected", server=_host(connection.client))

    def _renew(self) -> None:
        self._current = asyncio.get_running_loop().create_future()

    async def _connect(self) -> Connection | None:
        connection = Connection()
        try:
            await connection.open(self._servers, self._within_s, **await self._options())
        except (OSError, NatsError, TimeoutError, ValueError) as error:
            # What the client says names servers and reasons, and never what was sent to them.
            self.trouble = _why(error)
            self._throttle.log(_log.warning, "log.unreachable", error=self.trouble)
            return None
        except Exception as error:  # nobody foresaw it; without a keeper there is no connection ever again
            self.trouble = type(error).__name__
            self._throttle.log(_log.error, "log.unreachable", exc_info=error)
            return None
        return connection


def _host(client: Client) -> str:
    found = client.connected_url
    return f"{found.hostname}:{found.port}" if found is not None else ""


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    return str(error).removeprefix("nats: ") or type(error).__name__
