"""How the processes of one router are: asked for their health, each over a socket of its own.

What an answer, or none, means:

    answers SERVING       it serves
    answers anything else it starts, or drains
    refuses connections   it starts, or is gone: whoever keeps it knows
    says nothing          once more: after `SILENT_MAX` times in a row a process that had answered before hangs
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from enum import Enum
from pathlib import Path

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2

from trunkshow.serving.options import UNIX

WITHIN_S = 3.0
SILENT_MAX = 4
"""Looks in a row, of three seconds each: more than a start or a full collection ever keeps a loop busy."""

CHECK = "/grpc.health.v1.Health/Check"
OPTIONS = (("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500))

Eyes = Callable[[int], Awaitable["Look"]]


class Look(Enum):
    """How a process was found."""

    SERVING = "serving"
    NOT_SERVING = "not serving"
    GONE = "gone"
    SILENT = "silent"


class Crew:
    """What is remembered of earlier looks.

    Args:
        numbers: of the processes.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        self._silent: dict[int, int | None] = dict.fromkeys(numbers)

    def hanging(self, seen: Mapping[int, Look]) -> Sequence[int]:
        """Take a look at all of them; those that are to be killed, once each."""
        found = []
        for number, look in seen.items():
            before = self._silent[number]
            if look is Look.SILENT:
                silent = None if before is None else before + 1
            else:
                silent = None if look is Look.GONE else 0
            if silent == SILENT_MAX:
                found.append(number)
                silent = None  # whoever takes its place has answered nothing yet
            self._silent[number] = silent
        return found


@asynccontextmanager
async def eyes(sockets: Mapping[int, Path]) -> AsyncIterator[Eyes]:
    """What looks at a process, by its number."""
    async with AsyncExitStack() as opened:
        checks = {}
        for number, path in sockets.items():
            channel = await opened.enter_async_context(grpc.aio.insecure_channel(f"{UNIX}{path}", options=OPTIONS))
            checks[number] = channel.unary_unary(
                CHECK,
                request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                response_deserializer=health_pb2.HealthCheckResponse.FromString,
            )

        async def look(number: int) -> Look:
            try:
                answer = await checks[number](health_pb2.HealthCheckRequest(), timeout=WITHIN_S)
            except grpc.aio.AioRpcError as error:
                return Look.SILENT if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED else Look.GONE
            serving = answer.status == health_pb2.HealthCheckResponse.SERVING
            return Look.SERVING if serving else Look.NOT_SERVING

        yield look
