"""Whom to ask: functions from addresses to addresses, each keeping or ordering some of them.

Rules:

1. Only who holds the partition warm is asked; or for a stand-in, who holds a copy of its users.
2. Who drains, or is no member any more, is asked only where nobody else holds it: there is always something to try.
3. Who is unwell (`router.asking.health`) is asked after everybody else.
4. The fewest requests in flight first; among equals, turns are taken.
5. For several partitions, as few shards as possible: one that is asked already is asked for one more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from router.cluster.topology import Topology

Load = Callable[[str], int]
"""Requests in flight to an address."""


class Grouping(NamedTuple):
    """Partitions by the address that is asked for them, and those that nobody holds."""

    by_address: dict[str, list[int]]
    homeless: list[int]


def without(addresses: tuple[str, ...], tried: Collection[str]) -> tuple[str, ...]:
    """Whoever was not asked yet."""
    return tuple(one for one in addresses if one not in tried) if tried else addresses


def staying(addresses: tuple[str, ...], topology: Topology) -> tuple[str, ...]:
    """Who neither drains nor was struck off the membership, or everybody where there is nobody else."""
    if topology.staying.issuperset(addresses):  # nearly always
        return addresses
    return tuple(one for one in addresses if one in topology.staying) or addresses


def by_load(addresses: tuple[str, ...], load: Load, tick: int) -> tuple[str, ...]:
    """The least loaded first; equals in an order that the tick rotates."""
    if len(addresses) < 2:
        return addresses
    start = tick % len(addresses)
    return tuple(sorted(addresses[start:] + addresses[:start], key=load))


def well_first(addresses: tuple[str, ...], last: Collection[str]) -> tuple[str, ...]:
    """Who is to be asked last at the end, the order kept otherwise."""
    return tuple(sorted(addresses, key=last.__contains__)) if last else addresses


def preferred(
    topology: Topology,
    version: str,
    partition: int,
    load: Load,
    tick: int,
    tried: Collection[str] = (),
    last: Collection[str] = (),
    *,
    stand_in: bool = False,
) -> tuple[str, ...]:
    """Addresses to ask for one partition, or for the copies of its users, best first."""
    found = (topology.stand_ins if stand_in else topology.holders)(version, partition)
    return well_first(by_load(staying(without(found, tried), topology), load, tick), last)


def holding_all(topology: Topology, version: str, partitions: Iterable[int], but: Collection[str]) -> tuple[str, ...]:
    """Who holds every one of some partitions and stays, but for some addresses: who may stand in for a whole group."""
    held = [topology.holders(version, partition) for partition in partitions]
    everything = set(held[0]).intersection(*held[1:]) if held else set[str]()
    return tuple(one for one in held[0] if one in everything and one not in but and one in topology.staying)


def grouped(
    topology: Topology,
    version: str,
    partitions: Iterable[int],
    load: Load,
    tick: int,
    tried: Collection[str] = (),
    last: Collection[str] = (),
) -> Grouping:
    """Each partition with one address to ask, on few addresses."""
    by_address: dict[str, list[int]] = {}
    homeless: list[int] = []
    for partition in partitions:
        addresses = preferred(topology, version, partition, load, tick, tried, last)
        if not addresses:
            homeless.append(partition)
            continue
        addresses = tuple(one for one in addresses if one not in last) or addresses
        chosen = next((one for one in addresses if one in by_address), addresses[0])
        by_address.setdefault(chosen, []).append(partition)
    return Grouping(by_address, homeless)
