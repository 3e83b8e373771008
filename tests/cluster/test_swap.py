"""Snapshots come, go and come back under load: who asks is answered."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

import pytest
from datasets import Built
from processes import DEADLINE_MS
from swapping import EVERYONE, push, serving, until

from trunkshow.client import AsyncClient, Client, Rung, Slate
from trunkshow.cluster import ClusterStatus
from trunkshow.snapshot import partition, stand_ins
from trunkshow.snapshot.states import State
from trunkshow.snapshot.store import Store, open_store, who

ASKING_AT_ONCE = 4
ROLLED_BACK_WITHIN_S = 1.0


@dataclass(frozen=True)
class Answer:
    """An answer, and when it was asked for, on the monotonic clock."""

    asked_at: float
    slate: Slate

    @property
    def version(self) -> str:
        """Of the snapshot that it is from."""
        return self.slate.receipt.snapshot_version


Answers = list[Answer]


async def under_load(target: str, harm: Callable[[Answers], Coroutine[None, None, None]]) -> Answers:
    """Everyone asks, over and over, until the harm is done; whatever fails, fails the test."""
    answers: Answers = []
    done = asyncio.Event()

    async def keep_asking(client: AsyncClient, first: int) -> None:
        number = first
        while not done.is_set():
            asked_at = time.monotonic()
            slate = await client.recommend(EVERYONE[number % len(EVERYONE)])
            answers.append(Answer(asked_at, slate))
            number += ASKING_AT_ONCE

    async with AsyncClient(target, deadline_ms=DEADLINE_MS) as client, asyncio.TaskGroup() as group:
        for first in range(ASKING_AT_ONCE):
            group.create_task(keep_asking(client, first))
        try:
            await harm(answers)
        finally:
            done.set()
    return answers


def lately(answers: Answers, version: str, count: int = 100) -> bool:
    """Whether the newest answers are all from one version."""
    newest = answers[-count:]
    return len(newest) == count and all(answer.version == version for answer in newest)


def status(target: str) -> ClusterStatus:
    """The cluster as its router sees it."""
    with Client(target, deadline_ms=DEADLINE_MS) as client:
        return client.status()


@dataclass(frozen=True)
class ThereAndBack:
    """A swap and a rollback under load.

    Attributes:
        first: version.
        second: version.
        there: what was answered until all had moved to the second one.
        status: of the cluster then.
        back_at: when it was moved back, on the monotonic clock.
        back: what was answered from then on.
    """

    first: str
    second: str
    there: Answers
    status: ClusterStatus
    back_at: float
    back: Answers


@pytest.fixture(scope="module")
def journey(built: Built, second: Path, tmp_path_factory: pytest.TempPathFactory) -> ThereAndBack:
    """It took place once."""
    folder = tmp_path_factory.mktemp("journey")
    shutil.copytree(built.store, folder / "store")
    store = open_store(folder / "store")
    first, version = store.pointer().current, push(store, second)
    seen: list[tuple[int, ClusterStatus, float]] = []

    with serving(store, folder / "logs") as cluster:

        async def there_and_back(answers: Answers) -> None:
            await until(lambda: lately(answers, first))
            store.move(lambda pointer: pointer.promoted(version, who()))
            await until(lambda: lately(answers, version))
            after = await asyncio.to_thread(status, cluster.target)
            count = len(answers)
            store.move(lambda pointer: pointer.rolled_back(who()))
            seen.append((count, after, time.monotonic()))
            await until(lambda: lately(answers, first, 400))

        answers = asyncio.run(under_load(cluster.target, there_and_back))
    ((count, after, back_at),) = seen
    return ThereAndBack(first, version, answers[:count], after, back_at, answers[count:])


def test_a_swap_under_load_costs_no_answer_and_no_rung(journey: ThereAndBack) -> None:
    """Every answer is of a snapshot, and in the end of the new one."""
    assert Counter(answer.slate.receipt.rung for answer in journey.there) == {Rung.SNAPSHOT: len(journey.there)}
    assert {answer.version for answer in journey.there} == {journey.first, journey.second}
    assert (journey.status.snapshot_version, journey.status.previous_version) == (journey.second, journey.first)


def test_a_rollback_is_effective_on_every_answer_within_a_second(journey: ThereAndBack) -> None:
    """And none fails, and none is below the snapshot that is returned to."""
    late = [one for one in journey.back if one.version == journey.second and one.asked_at > journey.back_at]
    assert all(answer.asked_at - journey.back_at < ROLLED_BACK_WITHIN_S for answer in late)
    assert {answer.slate.receipt.rung for answer in journey.back} <= {Rung.SNAPSHOT, Rung.PREVIOUS}


def test_a_snapshot_that_is_broken_on_its_way_is_refused_and_costs_nobody_anything(
    store: Store, second: Path, tmp_path: Path
) -> None:
    """One bit of the directory, which routers read and shards do not: a shard will do."""
    first = store.pointer().current
    version = push(store, second)
    victim = next((tmp_path / "store" / "snapshots" / version / "directory").iterdir())
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.chmod(0o600)
    victim.write_bytes(data)

    async def promote(answers: Answers) -> None:
        store.move(lambda pointer: pointer.promoted(version, who()))
        await until(lambda: "snapshot.refused" in (tmp_path / "logs" / "router.log").read_text())
        seen = len(answers)
        await until(lambda: len(answers) > seen + 200)

    with serving(store, tmp_path / "logs", [{}]) as cluster:
        answers = asyncio.run(under_load(cluster.target, promote))
    assert Counter((answer.version, answer.slate.receipt.rung) for answer in answers) == {
        (first, Rung.SNAPSHOT): len(answers)
    }
    assert (tmp_path / "logs" / "router.log").read_text().count("snapshot.refused") == 1


def test_a_snapshot_whose_copies_of_users_are_spoilt_is_taken_back_and_serves_nobody(
    store: Store, second: Path, tmp_path: Path
) -> None:
    """The one file of it that no slate is made from, as long as every home is there."""
    first = store.pointer().current
    version = push(store, second)
    victim = tmp_path / "store" / "snapshots" / version / partition.name(1) / stand_ins.FILE_NAME
    victim.chmod(0o600)
    victim.write_bytes(victim.read_bytes()[:-1])

    async def promote(answers: Answers) -> None:
        store.move(lambda pointer: pointer.promoted(version, who()))
        await until(lambda: store.pointer().current == first)
        seen = len(answers)
        await until(lambda: len(answers) > seen + 200)

    with serving(store, tmp_path / "logs", move_patience_s="30") as cluster:
        answers = asyncio.run(under_load(cluster.target, promote))
    pointer = store.pointer()
    assert (pointer.states[version], "users of partition 1" in pointer.history[-1].why) == (State.POISONED, True)
    assert Counter((answer.version, answer.slate.receipt.rung) for answer in answers) == {
        (first, Rung.SNAPSHOT): len(answers)
    }
