"""Snapshots come, go and come back under load, shards die, the store goes away: who asks is answered."""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import datasets
import pytest
from datasets import Built, Shop
from processes import DEADLINE_MS, READY_WITHIN_S, Process

from builder.pipeline import BuildSettings, build
from cli.addresses import free_address
from cli.cluster import until_ready
from cli.main import run
from shard import placement
from trunkshow.client import AsyncClient, Client, Reason, Rung, Slate
from trunkshow.cluster import ClusterStatus
from trunkshow.errors import PartialAborted
from trunkshow.snapshot import partition, stand_ins
from trunkshow.snapshot.states import State
from trunkshow.snapshot.store import Store, open_store, who

EVERYONE = [datasets.user_id(number) for number in range(400)]
ASKING_AT_ONCE = 4
SEEN_WITHIN_S = 60
ROLLED_BACK_WITHIN_S = 1.0


def retrained(shop: Shop) -> Shop:
    """The same shop a little later: one event in ten is another one."""
    chance = random.Random(3)
    return replace(shop, events=tuple(event for event in shop.events if chance.random() < 0.9))


@pytest.fixture(scope="module")
def second(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a second snapshot of the same shop."""
    folder = tmp_path_factory.mktemp("second")
    dataset = datasets.write(retrained(built.shop), folder / "data")
    report = build(dataset, folder / "store", BuildSettings(partitions=4, factors=16))
    return folder / "store" / "snapshots" / report.manifest.version


@pytest.fixture
def store(built: Built, tmp_path: Path) -> Store:
    """A store of one's own that serves the built snapshot."""
    shutil.copytree(built.store, tmp_path / "store")
    return open_store(tmp_path / "store")


def push(store: Store, snapshot: Path) -> str:
    """As a builder does; nothing is promoted."""
    version = snapshot.name
    manifest = open_store(snapshot.parents[1]).manifest(version)
    with store.building() as folder:
        shutil.copytree(snapshot, folder / "snapshot")
        store.push(folder / "snapshot", manifest, who())
    return version


@dataclass
class Serving:
    """A router and shards.

    Attributes:
        target: the router's address.
        shards: by address.
    """

    target: str
    shards: dict[str, Process]


@contextmanager
def serving(
    store: Store,
    logs: Path,
    groups: Sequence[Mapping[str, str]] = ({},) * 3,
    addresses: Sequence[str] = (),
    **router: str,
) -> Iterator[Serving]:
    """Shards with these options each, those of one `--snapshot` being one cluster, and a router that follows all."""
    logs.mkdir(parents=True)
    addresses, target = addresses or [free_address() for _ in groups], free_address()
    processes: list[Process] = []
    shards: dict[str, Process] = {}
    try:
        for address, options in zip(addresses, groups, strict=True):
            peers = [
                one
                for one, theirs in zip(addresses, groups, strict=True)
                if theirs.get("--snapshot") == options.get("--snapshot")
            ]
            own = [word for pair in options.items() for word in pair]
            where = ["--name", address, "--listen", address, "--store", store.url]
            command = ["shard", *where, "--shards", *peers, *own]
            shards[address] = Process(command, logs / f"shard-{address.rpartition(':')[2]}.log")
            processes.append(shards[address])
        options = {"--deadline-ms": str(DEADLINE_MS), "--move-patience-s": "0.5"}
        options |= {f"--{name.replace('_', '-')}": value for name, value in router.items()}
        own = [word for pair in options.items() for word in pair]
        known = addresses or [free_address()]
        command = ["router", "--listen", target, "--store", store.url, "--shards", *known, *own]
        processes.append(Process(command, logs / "router.log"))
        whole = (lambda status: status is not None and status.covered) if addresses else (lambda status: bool(status))
        asyncio.run(asyncio.wait_for(until_ready(target, whole), READY_WITHIN_S))
        yield Serving(target, shards)
    finally:
        for process in processes:
            process.kill()


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


async def until(true: Callable[[], bool]) -> None:
    """Bounded."""
    async with asyncio.timeout(SEEN_WITHIN_S):
        while not true():  # noqa: ASYNC110  # other processes set no event of ours
            await asyncio.sleep(0.02)


def lately(answers: Answers, version: str, count: int = 100) -> bool:
    """Whether the newest answers are all from one version."""
    newest = answers[-count:]
    return len(newest) == count and all(answer.version == version for answer in newest)


def status(target: str) -> ClusterStatus:
    """The cluster as its router sees it."""
    with Client(target, deadline_ms=DEADLINE_MS) as client:
        return client.status()


# ---- a swap, and the way back


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


# ---- replicas that die


def test_the_previous_snapshot_answers_when_nobody_holds_the_current_one(
    store: Store, second: Path, tmp_path: Path
) -> None:
    """A shard for each: the one that holds the current snapshot is killed."""
    first = store.pointer().current
    version = push(store, second)
    store.move(lambda pointer: pointer.promoted(version, who()))
    groups = [{"--snapshot": first}, {"--snapshot": version}]
    with (
        serving(store, tmp_path / "logs", groups) as cluster,
        Client(cluster.target, deadline_ms=DEADLINE_MS) as client,
    ):
        asked = EVERYONE[:40]  # partitions move one by one
        asyncio.run(until(lambda: all(client.recommend(one).receipt.snapshot_version == version for one in asked)))
        well = {client.recommend(user).receipt.rung for user in EVERYONE[:40]}
        list(cluster.shards.values())[1].kill()
        receipts = [client.recommend(user).receipt for user in EVERYONE[:40]]
        with pytest.raises(PartialAborted):
            client.recommend(EVERYONE[0], worst_rung=Rung.SNAPSHOT)
    assert well == {Rung.SNAPSHOT}
    assert {(receipt.rung, receipt.snapshot_version) for receipt in receipts} == {(Rung.PREVIOUS, first)}
    assert all({Reason.NO_REPLICA, Reason.SHARD_FAILED} & set(receipt.reasons) for receipt in receipts)


def test_a_compact_copy_elsewhere_answers_when_the_home_is_gone(store: Store, tmp_path: Path) -> None:
    """Three shards, every partition once: the users of the one that is killed still get a slate of their own."""
    addresses, logs = each_with_a_home(3, partitions=4), tmp_path / "logs"
    with (
        serving(store, logs, [{"--replicas": "1"}] * 3, addresses) as cluster,
        Client(cluster.target, deadline_ms=DEADLINE_MS) as client,
    ):
        asyncio.run(until(lambda: copied(client.status()) == set(range(4))))
        cluster.shards[addresses[0]].kill()
        slates = {user: client.recommend(user) for user in EVERYONE[::3]}
    rungs = Counter(slate.receipt.rung for slate in slates.values())
    assert set(rungs) == {Rung.SNAPSHOT, Rung.STAND_IN}
    shares = [own_taste_share(slate, user) for user, slate in slates.items() if slate.receipt.rung is Rung.STAND_IN]
    assert sum(shares) / len(shares) > 0.7


def copied(status: ClusterStatus) -> set[int]:
    """Partitions of whose users some shard has the compact copies open."""
    return {number for shard in status.shards for held in shard.generations for number in held.stand_ins}


def each_with_a_home(shards: int, partitions: int) -> list[str]:
    """Free addresses, each of which holds a partition where each is held once: a copy needs one beside it."""
    while True:
        addresses = [free_address() for _ in range(shards)]
        held = {placement.holders(number, addresses, 1) for number in range(partitions)}
        if len(held) == shards:
            return addresses


def own_taste_share(slate: Slate, user: str) -> float:
    """How much of what is for the user was made for their taste."""
    items = [item.item_id for item in slate.carousels[0].items]
    return sum(datasets.taste_of_item(item) == datasets.taste_of_user(user) for item in items) / len(items)


# ---- the store goes away


def test_a_router_without_store_and_shards_answers_from_its_own_disk(store: Store, tmp_path: Path) -> None:
    """It was there once, with the store."""
    cache = str(tmp_path / "cache")
    with serving(store, tmp_path / "before", groups=(), cache=cache):
        pass
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    with serving(store, tmp_path / "after", groups=(), cache=cache) as alone, Client(alone.target) as client:
        known, stranger = client.recommend(EVERYONE[3]), client.recommend("stranger")
        reachable = client.status().store_reachable
    assert (known.receipt.rung, stranger.receipt.rung, reachable) == (Rung.SEGMENT, Rung.POPULAR, False)
    for slate in (known, stranger):
        assert Reason.STORE_UNREACHABLE in slate.receipt.reasons
        assert all(carousel.items for carousel in slate.carousels)


def test_a_router_that_was_never_started_before_answers_without_store_and_shards(store: Store, tmp_path: Path) -> None:
    """As a new pod is: its cache is empty. With the store back it serves what is current there."""
    kept = tmp_path / "kept"
    assert run(["fallback", str(kept), "--store", store.url]) == 0
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    places = {"cache": str(tmp_path / "cache"), "fallback": str(kept)}
    with serving(store, tmp_path / "logs", groups=(), **places) as alone, Client(alone.target) as client:
        known, stranger = client.recommend(EVERYONE[3]), client.recommend("stranger")
        (tmp_path / "elsewhere").rename(tmp_path / "store")
        asyncio.run(until(lambda: client.status().store_reachable))
    assert (known.receipt.rung, stranger.receipt.rung) == (Rung.SEGMENT, Rung.POPULAR)
    for slate in (known, stranger):
        assert Reason.STORE_UNREACHABLE in slate.receipt.reasons
        assert all(carousel.items for carousel in slate.carousels)


def test_a_store_that_goes_away_while_serving_is_not_missed(store: Store, tmp_path: Path) -> None:
    """What is open stays open; it comes back unnoticed."""
    with serving(store, tmp_path / "logs", [{}]) as cluster, Client(cluster.target, deadline_ms=DEADLINE_MS) as client:
        (tmp_path / "store").rename(tmp_path / "elsewhere")
        asyncio.run(until(lambda: not client.status().store_reachable))
        receipts = [client.recommend(user).receipt for user in EVERYONE[:40]]
        (tmp_path / "elsewhere").rename(tmp_path / "store")
        asyncio.run(until(lambda: client.status().store_reachable))
    assert {receipt.rung for receipt in receipts} == {Rung.SNAPSHOT}
    assert not any(Reason.STORE_UNREACHABLE in receipt.reasons for receipt in receipts)
