"""A message of a stream, as a consumer gives it: the record's bytes, and what its reply subject says. Pure.

The client has the same as `Msg.metadata`, and takes as long for it as all other reading of a record.
"""

from __future__ import annotations

from typing import NamedTuple

from nats.aio.msg import Msg

_PREFIX = "$JS.ACK."
_TOKENS = 9
"""Of a subject that names no domain and no account before the stream."""


class Message(NamedTuple):
    """A record as the server gave it.

    Attributes:
        sequence: its number in the stream.
        given: its number in what this consumer was given.
        left: records behind it.
        written_ms: when, by the server's clock, milliseconds since the epoch.
        data: its bytes.
    """

    sequence: int
    given: int
    left: int
    written_ms: int
    data: bytes


def message_of(message: Msg) -> Message:
    """What a message says.

    Raises:
        ValueError: it is no consumer's.
    """
    tokens = message.reply.split(".")
    first = 5 if len(tokens) == _TOKENS else 7
    if not message.reply.startswith(_PREFIX):
        raise ValueError("no message of a consumer")
    sequence, given, written_ns, left = map(int, tokens[first : first + 4])
    return Message(sequence, given, left, round(written_ns / 1_000_000), message.data)
