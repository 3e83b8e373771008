"""HTTP/2 by hand, over a plain socket: what no well-behaved client would send."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Self

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
NO_SETTINGS = b""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def header_block(path: str, extra: dict[str, str] | None = None) -> bytes:
    """The headers of a gRPC call, each a literal that is not indexed."""
    pairs = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
        **(extra or {}),
    }
    return b"".join(b"\0" + _string(key) + _string(value) for key, value in pairs.items())


def message(body: bytes) -> bytes:
    """A gRPC message, uncompressed."""
    return b"\0" + len(body).to_bytes(4, "big") + body


def _string(text: str) -> bytes:
    data = text.encode()
    size = len(data)
    if size < 127:
        return bytes((size,)) + data
    size -= 127
    head = bytearray((127,))
    while size >= 128:
        head.append(size % 128 + 128)
        size //= 128
    return bytes((*head, size)) + data


@dataclass
class Peer:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def connect(cls, port: int) -> Self:
        """Connect, and say nothing yet."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def greet(self) -> None:
        """Agree on HTTP/2, as far as a server asks for it."""
        self.writer.write(PREFACE + frame(SETTINGS, 0, 0) + frame(SETTINGS, ACK, 0))
        await self.writer.drain()

    async def closed(self, within_s: float) -> bool:
        """Whether the server hangs up within this time; what it says before that is read and ignored."""
        try:
            async with asyncio.timeout(within_s):
                while await self.reader.read(65536):
                    pass
        except TimeoutError:
            return False
        except ConnectionError:
            pass
        return True

    def hang_up(self) -> None:
        """Close this end at once."""
        self.writer.transport.abort()
