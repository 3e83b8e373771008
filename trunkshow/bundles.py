"""Answers of a batch, laid together in one message where whoever asks allows it (`together`).

A message on a stream costs either end several times what a slate in it does: each wakes gRPC's thread, the event loop
and the handler. So answers go out together that are ready at the same moment: the first as it is, the others in its
field `also`. Nothing that is ready waits for what is not; for how long answers are made before any goes out is left to
who makes them. RecommendBatchResponse and PredictBatchResponse have the same fields for this, and are written here as
bytes, round answers that nobody parses again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import chain
from typing import TypeVar

from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

ANSWERS_MAX = 64
"""In one message."""

BYTES_MAX = 256 << 10
"""A message that has so many takes no more answers: callers' own limit is 4 MiB where they set none."""

_INDEX_TAG = b"\x08"  # field 1, varint
_RESPONSE_TAG = b"\x12"  # field 2, length-delimited
_ALSO_TAG = b"\x1a"  # field 3, length-delimited


Message = TypeVar("Message", pb.RecommendBatchResponse, shard_pb2.PredictBatchResponse)


def each(message: Message) -> Iterator[Message]:
    """The answers that a message carries."""
    return chain((message,), message.also)


def numbered(index: int, answer: bytes) -> bytes:
    """A serialised answer, as that to a request of a batch."""
    return b"".join((_INDEX_TAG, _varint(index), _RESPONSE_TAG, _varint(len(answer)), answer))


def bundled(answers: Sequence[bytes]) -> bytes:
    """One message of numbered answers.

    Args:
        answers: at least one.
    """
    if len(answers) == 1:
        return answers[0]
    parts = [answers[0]]
    for answer in answers[1:]:
        parts += (_ALSO_TAG, _varint(len(answer)), answer)
    return b"".join(parts)


class Bundle:
    """Answers that go out together.

    Args:
        together: whether there may be several.
    """

    def __init__(self, *, together: bool) -> None:
        self._answers_max = ANSWERS_MAX if together else 1
        self._answers: list[bytes] = []
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def is_full(self) -> bool:
        """Whether it takes no more."""
        return len(self._answers) >= self._answers_max or self._bytes >= BYTES_MAX

    def add(self, answer: bytes) -> None:
        """One more, numbered."""
        self._answers.append(answer)
        self._bytes += len(answer)

    def message(self) -> bytes:
        """All of them; at least one was added."""
        return bundled(self._answers)


async def bundles(ready: asyncio.Queue[bytes], count: int, *, together: bool) -> AsyncIterator[bytes]:
    """Messages of so many numbered answers, whatever is ready at a time."""
    while count:
        bundle = Bundle(together=together)
        bundle.add(await ready.get())
        while not (bundle.is_full or ready.empty()):
            bundle.add(ready.get_nowait())
        count -= len(bundle)
        yield bundle.message()


def _varint(number: int) -> bytes:
    if number <= 0x7F:
        return bytes((number,))
    if number <= 0x3FFF:  # of a slate, nearly always
        return bytes((number & 0x7F | 0x80, number >> 7))
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)
