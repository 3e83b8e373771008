"""Services, health and reflection behind one port: a server that can be told what it reports, and to stop.

When it listens, serves, drains and leaves is `trunkshow.serving.life`'s business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc.aio
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from trunkshow.serving import metrics
from trunkshow.serving.auth import Guard
from trunkshow.serving.methods import InFlight, Service, generic_handler
from trunkshow.serving.options import ServerOptions
from trunkshow.serving.probing import LIVE
from trunkshow.serving.tls import server_credentials

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

log = structlog.get_logger()


class Server:
    """Services, health and reflection on one port.

    Attributes:
        in_flight: calls being answered, but for endless streams.
        health: of the process (`trunkshow.serving.probing.LIVE`), and of its services.
    """

    def __init__(
        self,
        services: Sequence[Service],
        options: ServerOptions = ServerOptions(),
        guard: Guard | None = None,
        health: HealthServicer | None = None,
        *,
        shared: bool = False,
    ) -> None:
        self._credentials = _credentials(options)  # before gRPC has a server that would have to be stopped
        self.in_flight = InFlight()
        self._options = options
        self._names = [service.name for service in services]
        self.health = health or HealthServicer()
        # Two servers on one port share its calls in silence: only where that is meant.
        self._server = grpc.aio.server(options=(*options.limits.options(), ("grpc.so_reuseport", int(shared))))
        # First come the services that are called most: handlers are asked in order.
        self._server.add_generic_rpc_handlers([generic_handler(service, self.in_flight, guard) for service in services])
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        described = (*self._names, "grpc.health.v1.Health", reflection.SERVICE_NAME)
        if not options.no_reflection:
            reflection.enable_server_reflection(described, self._server)

    async def start(self, listen: str) -> int:
        """Listen on HOST:PORT, not yet serving; return the port, which for port 0 the system chose.

        Raises:
            RuntimeError: the address cannot be bound.
        """
        await self.health.set(LIVE, SERVING)
        await self._report(NOT_SERVING)
        port = self._bind(listen)
        await self._server.start()
        log.info(
            "server.listening",
            host=listen.rpartition(":")[0],
            port=port,
            services=self._names,
            tls=self._options.tls_cert is not None,
        )
        return port

    async def serving(self) -> None:
        """Report SERVING from now on."""
        metrics.SERVING.set(1)
        await self._report(SERVING)
        log.info("server.serving")

    async def not_serving(self) -> None:
        """Report NOT_SERVING from now on; alive it is until it has left."""
        metrics.SERVING.set(0)
        await self._report(NOT_SERVING)

    async def stop(self, grace_s: float) -> None:
        """Accept nothing more, finish what is in flight within the grace; then cut what is left.

        gRPC's own stop is called once and never again: a second call beside it reads a server that the first
        may have freed (grpcio 1.85: segmentation fault).
        """
        self.in_flight.leaving.set()
        closing = asyncio.ensure_future(self._server.stop(grace_s))
        idle = asyncio.ensure_future(self.in_flight.idle())
        await asyncio.wait({closing, idle}, return_when=asyncio.FIRST_COMPLETED)
        self.in_flight.over.set()
        idle.cancel()
        await closing
        log.info("server.stopped")

    def _bind(self, listen: str) -> int:
        if self._credentials is None:
            return self._server.add_insecure_port(listen)
        return self._server.add_secure_port(listen, self._credentials)

    async def _report(self, status: Any) -> None:
        for name in ("", *self._names):
            await self.health.set(name, status)


def _credentials(options: ServerOptions) -> grpc.ServerCredentials | None:
    if options.tls_cert is None or options.tls_key is None:
        return None
    return server_credentials(options.tls_cert, options.tls_key, options.tls_client_ca)
