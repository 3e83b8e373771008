"""Health on a port of its own, in plain text: whether the process lives, and whether it can answer.

Kubernetes' gRPC probes speak no TLS, and a port that only answers health can stay open to them where the others ask for
certificates. The same health is served on the main port, too; this one outlives it, through the whole drain.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio
import structlog
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1._async import HealthServicer

LIVE = "live"
"""The service that is SERVING for as long as the process's loop turns; the empty name says whether it can answer."""

MESSAGE_BYTES_MAX = 4096

OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_concurrent_streams", 16),
    ("grpc.max_metadata_size", 4096),
    ("grpc.absolute_max_metadata_size", 4096),
    ("grpc.max_allowed_incoming_connections", 64),
    ("grpc.server_handshake_timeout_ms", 5000),
    ("grpc.http2.settings_timeout", 5000),
    ("grpc.so_reuseport", 0),
)

log = structlog.get_logger()


@asynccontextmanager
async def probed(listen: str, health: HealthServicer) -> AsyncIterator[int]:
    """Answer probes on HOST:PORT or unix:PATH while inside; gives the port, 1 of a path.

    Where `listen` is empty nobody is answered, and it gives 0.

    Raises:
        RuntimeError: the address cannot be bound.
    """
    if not listen:
        yield 0
        return
    server = grpc.aio.server(options=OPTIONS)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    port = server.add_insecure_port(listen)
    await server.start()
    log.info("health.listening", host=listen.rpartition(":")[0], port=port)
    try:
        yield port
    finally:
        await server.stop(None)
