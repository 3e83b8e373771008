"""Whom to ask: functions from a selection to a selection, each keeping or ordering some of the addresses.

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


class Selection(NamedTuple):
    """Some of a topology's addresses, in the order in which they would be asked."""

    topology: Topology
    addresses: tuple[str, ...]


class Grouping(NamedTuple):
    """Partitions by the address that is asked for them, and those that nobody holds."""

    by_address: dict[str, list[int]]
    homeless: list[int]


def holding(topology: Topology, version: str, partition: int) -> Selection:
    """Who has the partition warm."""
    return Selection(topology, topology.holders(version, partition))


def standing_in(topology: Topology, version: str, home: int) -> Selection:
    """Who has a compact copy of the partition's users."""
    return Selection(topology, topology.stand_ins(version, home))


def without(selection: Selection, tried: Collection[str]) -> Selection:
    """Whoever was not asked yet."""
    if not tried:
        return selection
    return Selection(selection.topology, tuple(one for one in selection.addresses if one not in tried))


def staying(selection: Selection) -> Selection:
    """Who neither drains nor was struck off the membership, or everybody where there is nobody else."""
    replicas = selection.topology.replicas
    kept = tuple(one for one in selection.addresses if replicas[one].stays)
    return Selection(selection.topology, kept) if kept else selection


def by_load(selection: Selection, load: Load, tick: int) -> Selection:
    """The least loaded first; equals in an order that the tick rotates."""
    addresses = selection.addresses
    if len(addresses) < 2:
        return selection
    start = tick % len(addresses)
    return Selection(selection.topology, tuple(sorted(addresses[start:] + addresses[:start], key=load)))


def well_first(selection: Selection, last: Collection[str]) -> Selection:
    """Who is to be asked last at the end, the order kept otherwise."""
    if not last:
        return selection
    return Selection(selection.topology, tuple(sorted(selection.addresses, key=last.__contains__)))


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
    found = (standing_in if stand_in else holding)(topology, version, partition)
    return well_first(by_load(staying(without(found, tried)), load, tick), last).addresses


def holding_all(topology: Topology, version: str, partitions: Iterable[int], but: Collection[str]) -> tuple[str, ...]:
    """Who holds every one of some partitions and stays, but for some addresses: who may stand in for a whole group."""
    held = [topology.holders(version, partition) for partition in partitions]
    everything = set(held[0]).intersection(*held[1:]) if held else set[str]()
    return tuple(one for one in held[0] if one in everything and one not in but and topology.replicas[one].stays)


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
