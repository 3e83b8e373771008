"""Takes in connections to the listener for pages' events: a handshake has seconds, and there are so many and no more.

1. Handshakes under way are at most `HANDSHAKES_MAX`: beyond it the oldest makes way for the newest. An honest one takes
   two or three round trips, and is seldom the oldest of so many; so whoever opens sockets and says nothing takes a
   bounded number of descriptors, and keeps nobody out unless so many come within that time.
2. None takes longer than `HANDSHAKE_S_MAX`.
3. In one turn of the event loop `TAKEN_MAX` are taken in at most: requests get in between.
4. Where the process has no descriptor left, nobody is taken in for a moment; they wait in the kernel.

How many are connected, and for how long, is left to the protocol.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

import structlog

from trunkshow.serving import metrics

HANDSHAKE_S_MAX = 3.0
HANDSHAKES_MAX = 256
"""Each may hold some 50 KB."""

TAKEN_MAX = 32
REST_S = 1.0

CUT = metrics.counter(
    "trunkshow_tracking_handshakes_cut_total", "Handshakes of browsers that were ended to make way for newer ones."
)

log = structlog.get_logger()


class Entrance:
    """Of one listening socket.

    Args:
        door: listens, and does not block; closed by others, once this was.
        protocol: makes one for each connection.
        tls: plain where None.
    """

    def __init__(
        self, door: socket.socket, protocol: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None
    ) -> None:
        self._door = door
        self._protocol = protocol
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._under_way: dict[socket.socket, asyncio.Task[None]] = {}  # oldest first
        self._cut: set[asyncio.Task[None]] = set()
        self._rest: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Take in whoever comes."""
        self._rest = None
        self._loop.add_reader(self._door, self._take)

    def close(self) -> None:
        """Take in nobody, and end what is under way."""
        self._loop.remove_reader(self._door)
        if self._rest is not None:
            self._rest.cancel()
        while self._under_way:
            self._cut_oldest()

    def _take(self) -> None:
        for _ in range(TAKEN_MAX):
            try:
                came, _ = self._door.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.error("tracking.resting", after_s=REST_S, error=str(error))
                self._loop.remove_reader(self._door)
                self._rest = self._loop.call_later(REST_S, self.open)
                return
            self._begin(came)

    def _begin(self, came: socket.socket) -> None:
        came.setblocking(False)
        if len(self._under_way) >= HANDSHAKES_MAX:
            CUT.inc()
            self._cut_oldest()
        self._under_way[came] = self._loop.create_task(self._shake_hands(came))

    def _cut_oldest(self) -> None:
        """Its transport, or whoever is about to make one, finds that the other end has gone."""
        came = next(iter(self._under_way))
        task = self._under_way.pop(came)
        self._cut.add(task)
        task.add_done_callback(self._cut.discard)
        with suppress(OSError):
            came.shutdown(socket.SHUT_RDWR)

    async def _shake_hands(self, came: socket.socket) -> None:
        seconds = HANDSHAKE_S_MAX if self._tls else None
        try:
            await self._loop.connect_accepted_socket(self._protocol, came, ssl=self._tls, ssl_handshake_timeout=seconds)
        except Exception as error:  # of a stranger's making
            came.close()
            log.debug("tracking.no_handshake", error=repr(error))
        finally:
            self._under_way.pop(came, None)
