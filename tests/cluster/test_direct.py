"""Clients that ask real shards, while these are killed and snapshots change: everybody is answered, and rightly."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import datasets
import pytest
from datasets import Built
from processes import DEADLINE_MS, READY_WITHIN_S, Cluster, is_held, running
from swapping import push, serving

from cli.cluster import until_ready
from trunkshow.answers import Slate
from trunkshow.direct import AsyncDirectClient
from trunkshow.receipts import Rung
from trunkshow.snapshot.store import Store, who

EVERYONE = [datasets.user_id(number) for number in range(100)]
ROUTE_S = 2.0
WITHIN_S = 60
ASKING_AT_ONCE = 4


@pytest.fixture(scope="module", autouse=True)
def told() -> Iterator[None]:
    """Routers that are started here tell such clients where to go."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TRUNKSHOW_ROUTER_DIRECT", "true")
        environment.setenv("TRUNKSHOW_ROUTER_DIRECT_ROUTE_S", str(ROUTE_S))
        yield


@pytest.fixture(scope="module")
def started(built: Built, told: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A router, and two shards, each of which has everything; one may have ended since."""
    with running(built.store, tmp_path_factory.mktemp("logs"), shards=2) as started:
        yield started


@pytest.fixture
def cluster(started: Cluster) -> Cluster:
    """The same, whole."""
    started.mend()
    return started


class Shoppers:
    """Who never stop asking, by the short way where that is open.

    Attributes:
        slates: with when each was asked for, on the monotonic clock.
    """

    def __init__(self, client: AsyncDirectClient) -> None:
        self.client = client
        self.slates: list[tuple[float, Slate]] = []
        self._over = False

    async def ask(self, share: int) -> None:
        """One of them: an error ends the test."""
        while not self._over:
            for user in EVERYONE[share::ASKING_AT_ONCE]:
                asked_at = time.monotonic()
                self.slates.append((asked_at, await self.client.recommend(user, carousels=("for-you", "popular"))))

    def directly(self, since: float = 0.0) -> list[Slate]:
        """Slates that came directly, of those asked for since then."""
        return [slate for asked_at, slate in self.slates if asked_at >= since and slate.receipt.direct]

    async def until(self, true: Callable[[], bool]) -> None:
        """Bounded."""
        async with asyncio.timeout(WITHIN_S):
            while not true():  # noqa: ASYNC110  # no event of ours is set there
                await asyncio.sleep(0.05)

    async def during(self, happening: Callable[[], Awaitable[None]]) -> None:
        """All of them, while the test goes on; what they raise it raises."""
        async with asyncio.TaskGroup() as group:
            for share in range(ASKING_AT_ONCE):
                group.create_task(self.ask(share))
            try:
                await happening()
            finally:
                self._over = True


def under_load(target: str, happening: Callable[[Shoppers], Awaitable[None]]) -> Shoppers:
    """What shoppers got while that happened."""

    async def asking() -> Shoppers:
        async with AsyncDirectClient(target, deadline_ms=DEADLINE_MS) as client:
            shoppers = Shoppers(client)
            await shoppers.during(lambda: happening(shoppers))
            return shoppers

    return asyncio.run(asking())


def test_a_shard_is_killed_and_nobody_gets_an_error(cluster: Cluster) -> None:
    """Nor a slate that is not their own: another one has every partition; and the short way goes on without it."""
    killed, process = next(iter(cluster.shards.items()))

    async def killing(shoppers: Shoppers) -> None:
        await shoppers.until(lambda: len(shoppers.directly()) > 100)
        process.kill()
        at = time.monotonic()
        await shoppers.until(lambda: len(shoppers.directly(at)) > 200)
        answered = [slate.receipt.attempts[0].replica for slate in shoppers.directly(at)]
        assert killed not in answered

    shoppers = under_load(cluster.target, killing)
    assert max(slate.receipt.rung for _, slate in shoppers.slates) <= Rung.SNAPSHOT


def test_a_shard_that_hangs_is_soon_left_alone(cluster: Cluster) -> None:
    """Its requests are answered by the router meanwhile, and nobody waits for it to the end of their time."""
    stopped, process = list(cluster.shards.items())[-1]  # not the one that was killed

    async def stopping(shoppers: Shoppers) -> None:
        await shoppers.until(lambda: len(shoppers.directly()) > 100)
        process.signal(signal.SIGSTOP)
        at = time.monotonic()
        try:
            await shoppers.until(lambda: len(shoppers.directly(at)) > 300)
        finally:
            process.signal(signal.SIGCONT)
        answered = [slate.receipt.attempts[0].replica for slate in shoppers.directly(at)]
        assert answered.count(stopped) < len(answered) / 10

    shoppers = under_load(cluster.target, stopping)
    assert max(slate.receipt.rung for _, slate in shoppers.slates) <= Rung.SNAPSHOT
    assert max(slate.receipt.elapsed_ms for _, slate in shoppers.slates) < DEADLINE_MS


def test_traffic_moves_and_no_shard_is_asked_of_the_old_snapshot_any_more(
    store: Store, tmp_path: Path, second: Path
) -> None:
    """While it moves the router answers; then shards are asked of the new one, and of nothing else."""
    after = push(store, second)

    def newly(shoppers: Shoppers) -> list[float]:
        return [at for at, one in shoppers.slates if one.receipt.direct and one.receipt.snapshot_version == after]

    async def promoting(shoppers: Shoppers) -> None:
        await shoppers.until(lambda: len(shoppers.directly()) > 100)
        store.move(lambda pointer: pointer.promoted(after, who()))
        await shoppers.until(lambda: len(newly(shoppers)) > 200)

    with serving(store, tmp_path / "logs", [{}] * 2) as cluster:
        held = until_ready(cluster.target, lambda status: is_held(status, 2))
        asyncio.run(asyncio.wait_for(held, READY_WITHIN_S))
        shoppers = under_load(cluster.target, promoting)
    moved = newly(shoppers)[0]
    assert {one.receipt.snapshot_version for one in shoppers.directly(moved)} == {after}
    assert {one.receipt.snapshot_version for at, one in shoppers.slates if at >= moved + ROUTE_S} <= {after}
