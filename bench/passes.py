"""What a router's own work costs per slate, in processor time: from a request's bytes to the answer's, without gRPC.

Usage: python -m bench.passes [--store STORE]. Without a store, the serving benchmark's is made up and built. One
process, no network: the line to the shard answers at once with what `bench.paced_shard` would. Subjects:

    one holder    two carousels, passed on as they came; nobody else could be asked
    two holders   the same, with a timer for the rival
    resident      what is sent where the router takes on nothing more
    batch of 50   the same as the first, per user; a message for each
    together      the same, with as many slates in a message as are ready

The least of several rounds counts: what disturbs a round only ever adds to it. Between other processes a server runs
the same code out of cold caches, and takes several times as long: functions that are called are told as well, since it
is these that are fetched. A stand-in for gRPC's call is in all figures; its own cost is told.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, cast

import uvloop

from bench import paced_shard, synthetic, tables
from bench.wanted import WANTED
from router.cluster.shard_channel import ShardChannel, UnaryCall
from router.cluster.topology import Generation, ShardFacts
from router.config import RouterConfig
from router.served.views import View, Views
from router.service import Router
from trunkshow.bundles import bundled, numbered
from trunkshow.serving.call import Call, Context
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

ROUNDS, TOGETHER, BATCH = 200, 16, 50
MADE_AT_ONCE = 20
"""Slates that a shard makes before it sends any."""

HOLDERS = ("one:1", "other:1")

Ask = Callable[[], Awaitable[object]]


class Caller:
    """A caller's end, as gRPC shows it."""

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        """What a Python client sends."""
        return (("user-agent", "grpc-python-asyncio/1.85.1 grpc-c/54.0.0 (linux; chttp2)"),)

    def time_remaining(self) -> float:
        """Seconds."""
        return 2.0


class Answered:
    """A call that ends in the next turn of the loop."""

    def __init__(self, reply: bytes) -> None:
        loop = asyncio.get_running_loop()
        self._reply = loop.create_future()
        self._told: list[Callable[[object], None]] = []
        loop.call_soon(self._end, reply)

    def _end(self, reply: bytes) -> None:
        self._reply.set_result(reply)
        for tell in self._told:
            tell(self)

    def add_done_callback(self, tell: Callable[[object], None]) -> None:
        """Tell, once it has ended."""
        self._told.append(tell)

    def cancel(self) -> bool:
        """It ends by itself."""
        return False

    def __await__(self) -> Generator[Any, None, bytes]:
        return self._reply.__await__()


class Stream:
    """A stream of answers to a batch, all of them there."""

    def __init__(self, replies: Sequence[bytes]) -> None:
        self._replies = replies

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for reply in self._replies:
            yield reply

    def cancel(self) -> None:
        """Nothing is on its way."""


class Line(ShardChannel):
    """A line to a shard that answers everything with the same slate."""

    def __init__(self, address: str, version: str) -> None:
        super().__init__(address)
        answer = paced_shard.slate(version)
        self._reply = answer.SerializeToString()
        self._replies = [numbered(number, self._reply) for number in range(BATCH)]

    def predict(self, request: bytes, **of_call: object) -> UnaryCall:
        """Predict, at once."""
        return cast("UnaryCall", Answered(self._reply))

    def predict_batch(self, request: bytes, **of_call: object) -> Any:
        """PredictBatch, at once."""
        asked = shard_pb2.PredictBatchRequest.FromString(request)
        users, size = len(asked.requests), MADE_AT_ONCE if asked.together else 1
        return Stream([bundled(self._replies[at : min(at + size, users)]) for at in range(0, users, size)])


def router_of(store: Path, snapshot: Snapshot, holders: Sequence[str]) -> Router:
    """A router to whom these said that they hold everything."""
    views = Views.of(View.of(snapshot))
    router = Router(RouterConfig(store=str(store), shards=tuple(holders)), views, open_store(store))
    router._channels._opening = lambda address: Line(address, snapshot.version)
    everything = (Generation(snapshot.version, frozenset(range(snapshot.partitions))),)
    router.board.members(holders)
    for address in holders:
        router._channels.add(address)
        router.board.heard(address, ShardFacts(state=shard_pb2.SHARD_STATE_READY, generations=everything))
    router.advance()
    return router


def subjects_of(store: Path, snapshot: Snapshot) -> dict[str, tuple[Ask, int]]:
    """What is measured by name, and how many slates one asking stands for."""
    requests = itertools.cycle(_requests(snapshot))
    eight = [list(itertools.islice(requests, BATCH)) for _ in range(8)]
    one, two, full = (router_of(store, snapshot, holders) for holders in (HOLDERS[:1], HOLDERS, HOLDERS[:1]))
    full.limiter.limit = 0.0

    def single(router: Router) -> Ask:
        recommend = router.services()[0].unary["Recommend"]
        return lambda: recommend(next(requests), _call())

    def many(*, together: bool) -> Ask:
        recommend = one.services()[0].stream["RecommendBatch"]
        batches = itertools.cycle([_batch(requests, together) for requests in eight])

        async def ask() -> int:
            return len([answer async for answer in recommend(next(batches), _call())])

        return ask

    async def stand_in() -> bytes:
        return await Answered(b"")

    return {
        "one holder": (single(one), 1),
        "two holders": (single(two), 1),
        "resident": (single(full), 1),
        "batch of 50": (many(together=False), BATCH),
        "together": (many(together=True), BATCH),
        "(the stand-in for a call)": (stand_in, 1),
    }


def _requests(snapshot: Snapshot) -> list[bytes]:
    """Of users of every partition in turn."""
    users = []
    for number in range(snapshot.partitions):
        opened = snapshot.open_partition(number)
        users += opened.sample_users(800 // snapshot.partitions + 1)
        opened.close()
    asked = (pb.RecommendRequest(user_id=user, carousels=WANTED.carousels) for user in users)
    return [one.SerializeToString() for one in asked]


def _batch(requests: Sequence[bytes], together: bool) -> bytes:
    parsed = map(pb.RecommendRequest.FromString, requests)
    return pb.RecommendBatchRequest(requests=parsed, together=together).SerializeToString()


def _call() -> Call:
    return Call(cast("Context", Caller()))


async def measure(subjects: dict[str, tuple[Ask, int]]) -> dict[str, dict[str, float]]:
    """Microseconds and calls of Python functions per slate, by subject."""
    for ask, _ in subjects.values():
        for _ in range(TOGETHER):
            await ask()
    gc.collect()
    gc.freeze()  # as a server does
    least = dict.fromkeys(subjects, float("inf"))
    for _ in range(ROUNDS):
        for name, (ask, slates) in subjects.items():
            times = max(TOGETHER // slates, 1)
            began = time.thread_time()
            for _ in range(times):
                await ask()
            least[name] = min(least[name], (time.thread_time() - began) / times / slates * 1e6)
    return {name: {"us": least[name], "calls": await _calls(ask) / slates} for name, (ask, slates) in subjects.items()}


async def _calls(ask: Ask) -> float:
    calls = 0

    def seen(frame: FrameType, event: str, about: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(seen)
    for _ in range(TOGETHER):
        await ask()
    sys.setprofile(None)
    return calls / TOGETHER


async def _measured(store: Path) -> dict[str, dict[str, float]]:
    snapshot = Snapshot.open(open_store(store))
    return await measure(subjects_of(store, snapshot))


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, help="a folder with snapshots; else one is made up and built")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "trunkshow-bench")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    found = uvloop.run(_measured(chosen.store or synthetic.store_of(chosen.work)))
    if chosen.json:
        json.dump(found, sys.stdout)
        print()
    else:
        rows = [(name, round(one["us"], 1), round(one["calls"])) for name, one in found.items()]
        tables.show(("subject", "µs per slate", "Python calls"), rows)


if __name__ == "__main__":
    main()
