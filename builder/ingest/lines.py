"""A stream of bytes as runs of whole lines, each run a bounded block."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Protocol

from builder.errors import DatasetInvalid
from builder.ingest.block import BLOCK_BYTES

LINE_BYTES_MAX = 16 * 1024 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class ByteStream(Protocol):
    """What a reader needs of a file, compressed or not."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        ...


def line_runs(stream: ByteStream, file: str) -> Iterator[bytes]:
    """Cut a stream after line ends, into runs of about `BLOCK_BYTES`; each run ends with a line end.

    A byte order mark is left out; a last line without an end gets one.

    Raises:
        DatasetInvalid: A line is longer than `LINE_BYTES_MAX`.
    """
    rest = stream.read(len(BYTE_ORDER_MARK)).removeprefix(BYTE_ORDER_MARK)
    while chunk := stream.read(BLOCK_BYTES):
        data = rest + chunk
        cut = data.rfind(b"\n") + 1
        rest = data[cut:]
        if len(rest) > LINE_BYTES_MAX:
            raise DatasetInvalid(f"{file}: has a line of over {LINE_BYTES_MAX >> 20} MiB; is it really text?")
        if cut:
            yield data[:cut]
    if rest.strip():
        yield rest + b"\n"


def split_lines(data: bytes) -> tuple[list[str], bool]:
    """Lines of text with their line feeds, and whether all is UTF-8; what is not becomes lone surrogates."""
    try:
        text, clean = data.decode("utf-8"), True
    except UnicodeDecodeError:
        text, clean = data.decode("utf-8", errors="surrogateescape"), False
    # Only line feeds end a line: str.splitlines() also cuts at characters that titles may contain.
    return list(io.StringIO(text, newline="\n")), clean


def is_clean(text: str) -> bool:
    """Whether a line from `split_lines` was UTF-8."""
    return text.isascii() or not any("\udc80" <= character <= "\udcff" for character in text)


def readable(text: str) -> str:
    """A line from `split_lines` that can be printed, without its line end."""
    return text.rstrip("\r\n").encode("utf-8", errors="surrogateescape").decode("utf-8", errors="replace")
