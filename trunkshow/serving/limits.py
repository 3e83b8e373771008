"""What a server takes from the outside at most, and the checks that configurations share.

The limits on connections are gRPC's own channel arguments; each was tried with sockets of our own, and
`docs/security.md` says what gRPC has no limit for. How much work is taken on is the router's business, not this one's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

MESSAGE_BYTES_MAX = 16 << 20
"""gRPC's hard limit, beyond which it cuts the message off itself; our own lower one gives a reason."""

Options = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Limits:
    """Limits on whoever connects; a `_s` of 0 means no limit."""

    connections_max: int = 4096
    """TCP connections at a time; more are closed at once."""

    streams_max: int = 1024
    """Calls at a time over one connection; beyond it the caller's gRPC queues."""

    pending_max: int = 4096
    """Calls that arrived and that Python has not taken up yet; more are cut off by gRPC as CANCELLED."""

    metadata_bytes_max: int = 16384
    """Bytes of a call's metadata; more is refused with RESOURCE_EXHAUSTED."""

    handshake_s: float = 5
    """Seconds that a new connection has for TLS and HTTP/2 to be agreed on."""

    connection_idle_s: float = 900
    """Seconds after which a connection without calls is closed; clients open another when they need one."""

    connection_age_s: float = 0
    """Seconds, give or take a tenth, after which a connection is asked to close once its calls are done; so callers
    find new routers. Not for shards: it would end the streams over which routers watch them."""

    connection_grace_s: float = 30
    """Seconds that calls get on a connection that is too old."""

    def __post_init__(self) -> None:
        """Refuse what cannot work, before anything starts.

        Raises:
            ValueError: naming the setting, what it was and what is allowed.
        """
        at_least(1, connections_max=self.connections_max, streams_max=self.streams_max, pending_max=self.pending_max)
        at_least(1024, metadata_bytes_max=self.metadata_bytes_max)
        at_least(0.1, handshake_s=self.handshake_s)
        at_least(0, connection_idle_s=self.connection_idle_s, connection_age_s=self.connection_age_s)
        at_least(0, connection_grace_s=self.connection_grace_s)

    def options(self) -> Options:
        """As gRPC takes them."""
        handshake_ms = _ms(self.handshake_s)
        return (
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
            ("grpc.max_allowed_incoming_connections", self.connections_max),
            ("grpc.max_concurrent_streams", self.streams_max),
            # Left on, gRPC refuses streams that an honest caller had queued up: of 4,000 calls over one connection
            # with a limit of 1,024 it cut 2,400 off as UNAVAILABLE (grpcio 1.85). The limit itself stays.
            ("grpc.http.overload_protection", 0),
            # By default gRPC begins to cut calls off, at random, at 1,000 that wait: a burst over two connections.
            ("grpc.server.max_pending_requests", self.pending_max),
            ("grpc.server.max_pending_requests_hard_limit", self.pending_max),
            # Between a soft and a hard limit gRPC refuses at random; with both the same it is one limit.
            ("grpc.max_metadata_size", self.metadata_bytes_max),
            ("grpc.absolute_max_metadata_size", self.metadata_bytes_max),
            # The one is for TLS and the first bytes, the other for what HTTP/2 has to agree on after them.
            ("grpc.server_handshake_timeout_ms", handshake_ms),
            ("grpc.http2.settings_timeout", handshake_ms),
            *_unless_zero("grpc.max_connection_idle_ms", self.connection_idle_s),
            *_unless_zero("grpc.max_connection_age_ms", self.connection_age_s),
            ("grpc.max_connection_age_grace_ms", _ms(self.connection_grace_s)),
            # A peer that vanished, or reads nothing more, is noticed in 30 s, and its calls are given up.
            ("grpc.keepalive_time_ms", 20_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            # Our own clients ping idle connections; gRPC's default would count that as abuse and hang up.
            ("grpc.http2.min_ping_interval_without_data_ms", 5000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_ping_strikes", 4),
        )


def at_least(least: float, **settings: float) -> None:
    """Refuse settings below a limit, and what is no finite number.

    Raises:
        ValueError: naming the setting, what it was and what is allowed.
    """
    for name, value in settings.items():
        if not (math.isfinite(value) and value >= least):
            raise ValueError(f"{name}: {value}; must be at least {least}")


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _unless_zero(name: str, seconds: float) -> Options:
    return ((name, _ms(seconds)),) if seconds else ()
