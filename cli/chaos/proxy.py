"""A proxy in front of one address, whose weather is changed while it carries: delay, throttle, silence, resets.

Bytes are carried in order and none is lost, as TCP does it: through a partition they wait, and arrive once it heals,
unless somebody has hung up by then. It runs on the caller's event loop, and knows nothing of what it carries.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

HELD_BYTES_MAX = 4 << 20
"""Of one direction of one connection; beyond it the sender is not read from."""

_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Weather:
    """What a link does to what it carries.

    Attributes:
        delay_ms: least and most, drawn for each piece, in each direction.
        bytes_per_s: in each direction; 0 for no limit.
        silent_up: nothing gets to the server.
        silent_down: nothing gets back from it.
    """

    delay_ms: tuple[float, float] = (0.0, 0.0)
    bytes_per_s: float = 0.0
    silent_up: bool = False
    silent_down: bool = False


CLEAR = Weather()
PARTED = Weather(silent_up=True, silent_down=True)
HALF_OPEN = Weather(silent_down=True)


class Link:
    """One listening address, and where it leads.

    Attributes:
        address: HOST:PORT to connect to.
        upstream: HOST:PORT that it leads to.
        weather: of now.

    Args:
        upstream: where it leads.
        seed: of the delays.
    """

    def __init__(self, upstream: str, seed: int) -> None:
        self.upstream = upstream
        self.weather = CLEAR
        self.address = ""
        self.random = random.Random(seed)  # noqa: S311 - delays that can be drawn again
        self.ends: set[_End] = set()
        self._server: asyncio.Server | None = None

    async def open(self, host: str = "127.0.0.1") -> None:
        """Listen on a free port."""
        self._server = await asyncio.get_running_loop().create_server(lambda: _Front(self), host, 0)
        self.address = f"{host}:{self._server.sockets[0].getsockname()[1]}"

    def change(self, weather: Weather) -> None:
        """From now on; what waited in silence goes its way once that has ended."""
        self.weather = weather
        for end in tuple(self.ends):
            end.carry()

    def reset(self) -> None:
        """Break every connection, both ends, as a peer that crashed would."""
        for end in tuple(self.ends):
            end.reset()

    async def close(self) -> None:
        """Stop listening, and hang up."""
        if self._server is not None:
            self._server.close()
        self.reset()


class _End(asyncio.Protocol):
    """One end of a carried connection: what is read here is written at the peer."""

    upward = True

    def __init__(self, link: Link) -> None:
        self.link = link
        self.peer: _End | None = None
        self.transport: asyncio.Transport | None = None
        self._held: deque[tuple[float, bytes]] = deque()
        self._held_bytes = 0
        self._last_due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False
        self._peer_is_full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection, to carry from."""
        self.transport = cast("asyncio.Transport", transport)
        self.link.ends.add(self)
        opened = transport.get_extra_info("socket")
        with suppress(OSError):
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        """Something to carry: at once in clear weather, else when its time comes."""
        weather, now = self.link.weather, asyncio.get_running_loop().time()
        if weather is CLEAR and not self._held and self._passes():
            self._hand_on(data)
            return
        due = max(self._last_due, now + self.link.random.uniform(*weather.delay_ms) / 1000)
        if weather.bytes_per_s:
            due += len(data) / weather.bytes_per_s
        self._last_due = due
        self._held.append((due, data))
        self._held_bytes += len(data)
        self._pace()
        self.carry()

    def carry(self) -> None:
        """Write what is due at the peer."""
        loop = asyncio.get_running_loop()
        while self._held and self._passes() and self._held[0][0] <= loop.time():
            _, data = self._held.popleft()
            self._held_bytes -= len(data)
            self._hand_on(data)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._held and self._passes():
            self._timer = loop.call_at(self._held[0][0], self.carry)
        self._pace()
        if self._ended and not self._held:
            self._hang_up_peer()

    def eof_received(self) -> bool:
        """Half a goodbye is one: gRPC never closes one direction alone."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer hears of it after everything that was said before."""
        del exc
        self.link.ends.discard(self)
        self._ended = True
        self.carry()

    def pause_writing(self) -> None:
        """Our own socket is full: the peer is to read no more."""
        if self.peer is not None:
            self.peer._peer_is_full = True
            self.peer._pace()

    def resume_writing(self) -> None:
        """It has room again."""
        if self.peer is not None:
            self.peer._peer_is_full = False
            self.peer._pace()

    def reset(self) -> None:
        """RST, and nothing that was held arrives."""
        self._held.clear()
        if self.transport is not None:
            with suppress(OSError):
                self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()

    def _hand_on(self, data: bytes) -> None:
        assert self.peer is not None
        assert self.peer.transport is not None
        if not self.peer.transport.is_closing():  # who hung up in silence misses what would come through now
            self.peer.transport.write(data)

    def _passes(self) -> bool:
        weather = self.link.weather
        silent = weather.silent_up if self.upward else weather.silent_down
        return not silent and self.peer is not None and self.peer.transport is not None

    def _pace(self) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        if self._peer_is_full or self._held_bytes > HELD_BYTES_MAX:
            self.transport.pause_reading()
        elif not self.transport.is_reading():
            self.transport.resume_reading()

    def _hang_up_peer(self) -> None:
        # Goodbyes do not pass through silence either: who waits on the other side must find out alone.
        silent = self.link.weather.silent_up if self.upward else self.link.weather.silent_down
        if not silent and self.peer is not None and self.peer.transport is not None:
            self.peer.transport.close()


class _Back(_End):
    """The end at the server."""

    upward = False


class _Front(_End):
    """The end at the client; it brings the other one about."""

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self._connecting: asyncio.Task[Any] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client: connect to the server on its behalf."""
        super().connection_made(transport)
        self._connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        host, _, port = self.link.upstream.rpartition(":")
        back = _Back(self.link)
        back.peer = self
        try:
            await asyncio.get_running_loop().create_connection(lambda: back, host, int(port))
        except OSError:
            self.reset()
            return
        if self.transport is None or self.transport.is_closing():
            back.reset()
            return
        self.peer = back
        self.carry()
