"""Snapshots that are pushed into stores of their own, and the clusters that serve these. Not a test."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import datasets
from datasets import Shop
from processes import DEADLINE_MS, READY_WITHIN_S, Process

from builder.pipeline import BuildSettings, build
from cli.addresses import free_address
from cli.cluster import until_ready
from trunkshow.client import Slate
from trunkshow.snapshot.store import Store, open_store, who

EVERYONE = [datasets.user_id(number) for number in range(400)]
SEEN_WITHIN_S = 60


def retrained(shop: Shop) -> Shop:
    """The same shop a little later: one event in ten is another one."""
    chance = random.Random(3)
    return replace(shop, events=tuple(event for event in shop.events if chance.random() < 0.9))


def built_of(shop: Shop, folder: Path) -> Path:
    """The folder of a snapshot of a shop, which is built for it."""
    dataset = datasets.write(shop, folder / "data")
    report = build(dataset, folder / "store", BuildSettings(partitions=4, factors=16))
    return folder / "store" / "snapshots" / report.manifest.version


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


async def until(true: Callable[[], bool]) -> None:
    """Bounded."""
    async with asyncio.timeout(SEEN_WITHIN_S):
        while not true():  # noqa: ASYNC110  # other processes set no event of ours
            await asyncio.sleep(0.02)


def own_taste_share(slate: Slate, user: str) -> float:
    """How much of what is for the user was made for their taste."""
    items = [item.item_id for item in slate.carousels[0].items]
    return sum(datasets.taste_of_item(item) == datasets.taste_of_user(user) for item in items) / len(items)
