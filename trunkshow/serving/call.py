"""One call as a handler sees it: who asks, and until when. Both are read from gRPC only when asked for."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from typing import Protocol

import grpc.aio

from trunkshow.serving.deadline import Clock, Deadline, monotonic

REQUEST_ID_KEY = "x-request-id"
REQUEST_ID_CHARACTERS_MAX = 128

PROCESS = os.urandom(6).hex()
"""This process. Request ids that it makes are a counter behind that: unique across processes, and 20 times cheaper than
a UUID."""

_numbers = itertools.count(1)

_NAMES = ("x509_common_name", "x509_subject_alternative_name")

Context = grpc.aio.ServicerContext[bytes, bytes]


class CallView(Protocol):
    """What handlers may know of a call; the shape that tests can give them without a server."""

    arrived: float

    @property
    def request_id(self) -> str:
        """The caller's own, or one made here."""
        ...

    @property
    def peer(self) -> str:
        """The caller's end of the connection: the same for as long as that lasts."""
        ...

    def deadline(self, default_ms: float) -> Deadline:
        """The caller's own, or the default where there is none or a longer one."""
        ...


class Call:
    """A call that arrived just now.

    Attributes:
        arrived: seconds on the monotonic clock.
    """

    __slots__ = ("_clock", "_context", "_request_id", "arrived")

    def __init__(self, context: Context, clock: Clock = monotonic) -> None:
        self._context = context
        self._clock = clock
        self._request_id = ""
        self.arrived = clock()

    @property
    def request_id(self) -> str:
        """The caller's `x-request-id` where it is printable and not too long, else one made here."""
        if not self._request_id:
            self._request_id = _of_caller(self._context) or f"{PROCESS}-{next(_numbers):x}"
        return self._request_id

    @property
    def metadata(self) -> Iterable[tuple[str, str | bytes]]:
        """What came with the call, as it was sent."""
        return self._context.invocation_metadata() or ()  # type: ignore[return-value, unused-ignore]

    def peer_names(self) -> frozenset[str]:
        """Names in the certificate that the other end showed, common and alternative; none without one."""
        about = self._context.auth_context()
        found = (one for key in _NAMES for one in about.get(key, ()))
        return frozenset(one.decode("utf-8", "replace") for one in found)

    @property
    def peer(self) -> str:
        """The caller's address and port, as gRPC writes them."""
        return str(self._context.peer())

    def deadline(self, default_ms: float) -> Deadline:
        """The caller's own deadline, or `default_ms` from now where the caller set none or a longer one."""
        return Deadline.of_call(self._context.time_remaining(), default_ms, self._clock())


def _of_caller(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID_KEY:
            text = value if isinstance(value, str) else ""
            usable = 0 < len(text) <= REQUEST_ID_CHARACTERS_MAX and text.isascii() and text.isprintable()
            return text if usable else ""
    return ""
