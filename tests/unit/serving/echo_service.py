"""A small service over bytes, with a method for every way that a call can end; also a process that serves it.

Run as a program it serves on a free port until it is told to stop: `python echo_service.py DRAIN_S [HANDOVER]`; its
handover takes so many milliseconds, or hangs, or fails. A call of its method Kill ends its background task.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Never

from trunkshow.errors import NotFound
from trunkshow.serving import life, telemetry
from trunkshow.serving.call import CallView
from trunkshow.serving.methods import Service
from trunkshow.serving.options import ServerOptions
from trunkshow.serving.tasks import Tasks
from trunkshow.v1 import recommendation_pb2 as pb

NAME = "trunkshow.v1.RecommendationService"


async def give_back(request: bytes, call: CallView) -> bytes:
    """The request."""
    del call
    return request


async def parse(request: bytes, call: CallView) -> bytes:
    """The user id of a RecommendRequest."""
    del call
    return pb.RecommendRequest.FromString(request).user_id.encode()


async def miss(request: bytes, call: CallView) -> bytes:
    """An outcome that is no answer."""
    del request, call
    raise NotFound("there is no item 'hat'; ask for another", field="item_id", reason="ITEM_UNKNOWN")


async def break_down(request: bytes, call: CallView) -> bytes:
    """A bug."""
    del request, call
    raise ZeroDivisionError


async def identify(request: bytes, call: CallView) -> bytes:
    """The call's request id."""
    del request
    return call.request_id.encode()


async def wait(request: bytes, call: CallView) -> bytes:
    """The request, after as many milliseconds as it says."""
    del call
    await asyncio.sleep(int(request) / 1000)
    return request


killed = asyncio.Event()


async def kill(request: bytes, call: CallView) -> bytes:
    """The request; the process's background task fails."""
    del call
    killed.set()
    return request


async def tend() -> Never:
    """The background task."""
    await killed.wait()
    raise ZeroDivisionError


async def count(request: bytes, call: CallView) -> AsyncIterator[bytes]:
    """The numbers below the one asked for; three is too many."""
    del call
    for number in range(int(request)):
        if number == 3:
            raise NotFound("no number 3", field="number")
        yield str(number).encode()


async def join(requests: AsyncIterator[bytes], call: CallView) -> bytes:
    """All requests in one; `!` is a bug."""
    del call
    joined = b""
    async for request in requests:
        joined += request
        if request == b"!":
            raise ZeroDivisionError
    return joined


async def first(requests: AsyncIterator[bytes], call: CallView) -> bytes:
    """The first request; nobody waits for the others."""
    del call
    return await anext(requests)


async def forever(request: bytes, call: CallView) -> AsyncIterator[bytes]:
    """One answer, and then silence."""
    del call
    yield request
    await asyncio.Event().wait()


SERVICE = Service(
    NAME,
    unary={
        "Echo": give_back,
        "Parse": parse,
        "Miss": miss,
        "Break": break_down,
        "Identify": identify,
        "Wait": wait,
        "Kill": kill,
    },
    stream={"Count": count, "Forever": forever},
    upload={"Join": join, "First": first},
    endless=frozenset({"Forever"}),
)


async def hand_over(how: str) -> None:
    """What a process does between the signal and the closing door."""
    if how == "hang":
        await asyncio.Event().wait()
    elif how == "fail":
        raise ZeroDivisionError
    elif how:
        await asyncio.sleep(int(how) / 1000)


def main(drain_s: float, handover: str = "") -> None:
    """Serve on a free port."""
    telemetry.configure("info")
    life.run(serve(drain_s, handover))


async def serve(drain_s: float, handover: str) -> None:
    """As a server process does it."""
    tasks = Tasks()
    tasks.begin("tend", tend())
    try:
        await life.serve(
            [SERVICE],
            listen="127.0.0.1:0",
            drain_s=drain_s,
            draining=lambda: hand_over(handover),
            handover_s=0.5,
            options=ServerOptions(metrics_listen="127.0.0.1:0"),
            tasks=tasks,
        )
    finally:
        await tasks.close()


if __name__ == "__main__":
    main(float(sys.argv[1]), *sys.argv[2:])
