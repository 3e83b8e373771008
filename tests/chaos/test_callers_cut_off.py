"""Callers are cut off from a router by a link that they go by for that alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest

from cli.chaos import caller_faults
from cli.chaos.caller_faults import CallersCutOff
from cli.chaos.faults import Promise
from cli.chaos.ground import Ground
from cli.chaos.orders import Orders
from cli.chaos.proxy import CLEAR, PARTED
from cli.chaos.terrain import Terrain
from cli.chaos.traffic import DriverDied, Traffic

FAULT = CallersCutOff("callers-cut-off", "router-1", PARTED, Promise(healthy=False))


class Drivers:
    """As much of the traffic as a fault sees.

    Attributes:
        asked: where each lot of drivers asks; nowhere where they were stopped.
        dies: the next lot does.
        hangs: the last lot does not end in time.
    """

    def __init__(self, target: str) -> None:
        self.orders = [Orders(target, Path("oracle"), "v1", seed=1, rate=10.0)]
        self.asked: list[str] = []
        self.dies = False
        self.hangs = False

    async def start(self, orders: Sequence[Orders], logs: Path) -> None:
        """Begin."""
        del logs
        if self.dies:
            self.dies = False
            raise DriverDied("it was told to")
        self.orders += orders
        self.asked += [one.target for one in orders]

    async def stop(self) -> None:
        """End."""
        self.asked.append("")
        if self.hangs:
            self.hangs = False
            raise TimeoutError("it was told to")


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    """Two routers that nobody started."""
    monkeypatch.setattr(caller_faults, "SETTLE_S", 0.0)
    monkeypatch.setattr(caller_faults, "FOUND_S", 0.0)
    made = Ground(Terrain("store", tmp_path))
    made.routers = {"router-0": "127.0.0.1:1", "router-1": "127.0.0.1:2"}
    made.traffic = cast("Traffic", Drivers(made.target))
    yield made
    made.depot.close()


def asked(ground: Ground) -> list[str]:
    """Where callers asked, in order."""
    return cast("Drivers", ground.traffic).asked


async def test_callers_go_by_a_link_to_one_router_while_they_are_cut_off_and_no_longer(ground: Ground) -> None:
    """The other one they reach by its own address all the time."""
    direct = ground.target
    await FAULT.inject(ground)
    link = ground.fronts["router-1"]
    assert (link.upstream, link.weather) == ("127.0.0.1:2", PARTED)
    assert asked(ground) == ["", f"ipv4:127.0.0.1:1,{link.address}"]
    await FAULT.heal(ground)
    assert (asked(ground)[2:], link.weather, ground.fronts) == (["", direct], CLEAR, {})
    assert direct == "ipv4:127.0.0.1:1,127.0.0.1:2"


async def test_where_its_drivers_did_not_begin_the_usual_ones_go_on(ground: Ground) -> None:
    """The faults after it have callers."""
    direct = ground.target
    cast("Drivers", ground.traffic).dies = True
    with pytest.raises(DriverDied):
        await FAULT.inject(ground)
    await FAULT.heal(ground)
    assert (asked(ground)[-1], ground.fronts) == (direct, {})


async def test_where_its_drivers_did_not_end_in_time_the_usual_ones_go_on(ground: Ground) -> None:
    """The faults after it have callers, and find no link."""
    direct = ground.target
    await FAULT.inject(ground)
    link = ground.fronts["router-1"]
    cast("Drivers", ground.traffic).hangs = True
    with pytest.raises(TimeoutError, match="it was told to"):
        await FAULT.heal(ground)
    assert (asked(ground)[-1], link.weather, ground.fronts) == (direct, CLEAR, {})
