"""A snapshot pushed under load is tried by the router itself: a good one gets to everyone, a bad one to nobody."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import datasets
import pytest
from datasets import Built, Shop
from processes import DEADLINE_MS, READY_WITHIN_S, Process
from swapping import built_of, push

from builder.pipeline import BuildSettings, build
from cli.addresses import free_address
from cli.cluster import until_ready
from trunkshow.client import AsyncClient, Reason, Rung, Slate
from trunkshow.models import installed
from trunkshow.snapshot.lifecycle import Move, Pointer
from trunkshow.snapshot.states import State
from trunkshow.snapshot.store import Store, open_store, who

DECIDED_WITHIN_ANSWERS = 4000
"""What a verdict takes is answers: how many seconds these take is the machine's business."""

STALLED_S = 45
"""So long without an answer, nothing moves any more."""

PAUSE_S = 0.005
KNOWN = [datasets.user_id(number) for number in range(200)]
CANARY_SHARE = 0.3
QUICK = {
    "--pointer-period-s": "0.1",
    "--move-patience-s": "0.2",
    "--deadline-ms": str(DEADLINE_MS),
    "--rehearsal-requests": "60",
    "--rehearsal-requests-min": "40",
    "--rehearsal-p99-slack-ms": "2000",
    "--canary-answers": "60",
    "--canary-answers-min": "30",
    "--canary-slow-harm": "0.6",
}


def shuffled(shop: Shop) -> Shop:
    """What a join by the wrong key makes of it: every event is somebody else's."""
    users = [event.user for event in shop.events]
    random.Random(5).shuffle(users)
    pairs = zip(shop.events, users, strict=True)
    return replace(shop, events=tuple(replace(event, user=user) for event, user in pairs))


@pytest.fixture
def mixed_up(built: Built, tmp_path: Path) -> Path:
    """The folder of a snapshot of the shop, as that join would leave it."""
    return built_of(shuffled(built.shop), tmp_path / "mixed up")


NAPPING = """
import os, time
import numpy as np
from trunkshow.models import Candidates

class Napping:
    name, carousel, title = "napping", "napping", "Slept over"

    def __init__(self, arrays):
        self.seconds = float(arrays["seconds"][0])

    @classmethod
    def fit(cls, training):
        return {"seconds": np.array([float(os.environ["NAP_S"])])}

    @classmethod
    def open(cls, arrays):
        return cls(arrays)

    def recommend(self, query, shelf, count):
        time.sleep(self.seconds)
        rows, scores = shelf.nearest_items(query.vector, count)
        return Candidates(rows.tolist(), scores.tolist(), reasons=("slept over",))
"""


@pytest.fixture
def nap(built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], Path]]:
    """Installs a team's own model, which takes as long as it was trained to; builds snapshots with it."""
    package = tmp_path / "installed"
    (package / "napping-1.0.dist-info").mkdir(parents=True)
    (package / "napping.py").write_text(NAPPING)
    (package / "napping-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: napping\nVersion: 1.0\n")
    (package / "napping-1.0.dist-info" / "entry_points.txt").write_text(
        "[trunkshow.models]\nnapping = napping:Napping\n"
    )
    # Before what is there: that may say which tree of ours is run.
    path = os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH"))))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.syspath_prepend(package)
    installed.cache_clear()

    def making(seconds: float) -> Path:
        store = tmp_path / f"napping {seconds:g}"
        monkeypatch.setenv("NAP_S", str(seconds))
        report = build(built.dataset, store, BuildSettings(partitions=4, factors=16))
        return store / "snapshots" / report.manifest.version

    yield making
    installed.cache_clear()
    sys.modules.pop("napping", None)


@contextmanager
def serving(store: Store, logs: Path, settings: Mapping[str, str] = QUICK) -> Iterator[str]:
    """Two shards and a router that follow the pointer; gives the router's address."""
    logs.mkdir()
    addresses, target = [free_address(), free_address()], free_address()
    membership = ["--store", store.url, "--shards", *addresses]
    commands = [["shard", *membership, "--name", address, "--listen", address] for address in addresses]
    router = ["router", *membership, "--listen", target, *(word for setting in settings.items() for word in setting)]
    with contextlib.ExitStack() as running:
        for number, command in enumerate([*commands, router]):
            process = Process(command, logs / f"{command[0]}-{number}.log")
            running.callback(process.kill)
        asyncio.run(asyncio.wait_for(until_ready(target), READY_WITHIN_S))
        yield target


@asynccontextmanager
async def shoppers(target: str, carousels: Sequence[str] = ("for-you", "popular")) -> AsyncIterator[list[Slate]]:
    """Known users ask, one after the other, for as long as this lasts; gives what they got."""
    slates: list[Slate] = []

    async def shop() -> None:
        chance = random.Random(7)
        async with AsyncClient(target, deadline_ms=DEADLINE_MS) as client:
            while True:
                slates.append(await client.recommend(chance.choice(KNOWN), carousels=carousels))
                await asyncio.sleep(PAUSE_S)

    asking = asyncio.ensure_future(shop())
    try:
        yield slates
    finally:
        if asking.done():
            asking.result()  # an answer that failed fails the test
        asking.cancel()


async def while_answered(slates: Sequence[Slate], waits: Callable[[], bool]) -> None:
    """Wait, as long as answers keep coming, and for so many of them at most."""
    began = came = len(slates)
    until = time.monotonic() + STALLED_S
    while waits():
        if len(slates) > came:
            came, until = len(slates), time.monotonic() + STALLED_S
        assert came - began < DECIDED_WITHIN_ANSWERS
        assert time.monotonic() < until, f"no answer after {came}"
        await asyncio.sleep(0.05)


async def decided(store: Store, version: str, slates: Sequence[Slate]) -> Pointer:
    """The pointer, once a version is no candidate any more."""
    await while_answered(slates, lambda: store.pointer().candidate == version)
    return store.pointer()


async def seen(slates: list[Slate], version: str) -> None:
    """Wait until somebody was served from a version."""
    await while_answered(slates, lambda: slates[-1].receipt.snapshot_version != version)


def events(pointer: Pointer, version: str) -> list[str]:
    """What the history tells of a version."""
    return [move.event for move in pointer.history if move.version == version]


def last(pointer: Pointer, version: str) -> Move:
    """The newest move of a version."""
    return [move for move in pointer.history if move.version == version][-1]


def test_a_good_snapshot_is_rehearsed_shown_to_some_and_promoted(store: Store, second: Path, tmp_path: Path) -> None:
    """By itself, under load, and nobody gets less than a slate of a snapshot meanwhile."""
    before = store.pointer().current
    version = push(store, second)

    async def run(target: str) -> tuple[list[Slate], Pointer]:
        async with shoppers(target) as slates:
            store.move(lambda pointer: pointer.rehearsed(version, CANARY_SHARE, who()))
            pointer = await decided(store, version, slates)
            await seen(slates, version)
            return slates, pointer

    with serving(store, tmp_path / "logs") as target:
        slates, pointer = asyncio.run(run(target))
    assert events(pointer, version) == ["pushed", "rehearsing", "canary", "promoted"]
    assert (pointer.current, pointer.previous) == (version, before)
    assert {slate.receipt.rung for slate in slates} == {Rung.SNAPSHOT}
    shown = [slate.receipt for slate in slates if Reason.CANARY in slate.receipt.reasons]
    assert {receipt.snapshot_version for receipt in shown} == {version}


def test_a_bad_snapshot_is_refused_by_its_rehearsal(store: Store, mixed_up: Path, tmp_path: Path) -> None:
    """No shopper ever sees it, and the history says what was wrong with it."""
    before = store.pointer().current
    version = push(store, mixed_up)

    async def run(target: str) -> tuple[list[Slate], Pointer]:
        async with shoppers(target) as slates:
            store.move(lambda pointer: pointer.rehearsed(version, CANARY_SHARE, who()))
            return slates, await decided(store, version, slates)

    with serving(store, tmp_path / "logs") as target:
        slates, pointer = asyncio.run(run(target))
    assert (pointer.current, pointer.states[version]) == (before, State.REFUSED)
    assert "overlap@k" in last(pointer, version).why
    assert {slate.receipt.snapshot_version for slate in slates} == {before}


def test_a_snapshot_that_is_slow_is_rolled_back_from_its_canary(nap: Callable[[float], Path], tmp_path: Path) -> None:
    """Where the rehearsal's limits let it pass: a few users wait, nobody else, and nobody gets an error."""
    current = nap(0.0)
    store = open_store(current.parents[1])
    version = push(store, nap(0.05))
    passes = {
        "--rehearsal-p99-slack-ms": str(DEADLINE_MS)
    }  # on a busy machine, too: it is the canary that is to find it
    settings = QUICK | passes | {"--canary-slow-harm": "0.3", "--canary-answers": "1000"}

    async def run(target: str) -> tuple[list[Slate], Pointer]:
        async with shoppers(target, ("for-you", "napping")) as slates:
            store.move(lambda pointer: pointer.rehearsed(version, CANARY_SHARE, who()))
            pointer = await decided(store, version, slates)
            await seen(slates, current.name)
            return slates, pointer

    with serving(store, tmp_path / "logs", settings) as target:
        slates, pointer = asyncio.run(run(target))
    assert events(pointer, version) == ["pushed", "rehearsing", "canary", "refused"]
    assert "slow" in last(pointer, version).why
    assert pointer.current == current.name
    assert {slate.receipt.rung for slate in slates} == {Rung.SNAPSHOT}
