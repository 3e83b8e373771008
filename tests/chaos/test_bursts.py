"""A burst of events: what the processes grow by meanwhile is looked at, and told."""

from __future__ import annotations

import asyncio
import os
from mmap import PROT_READ, mmap
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from cli.chaos import log_faults
from cli.chaos.chores import Chores
from cli.chaos.ground import Ground
from cli.chaos.log_faults import Burst
from cli.output import UsageError

SIZE = 32 << 20
BURST = Burst("burst", times=10.0, growth_bytes_max=SIZE // 2)


def ground(monkeypatch: pytest.MonkeyPatch) -> Ground:
    """Of one router, which is this process, looked at all the time."""
    monkeypatch.setattr(log_faults, "WEIGH_EVERY_S", 0.0)
    return cast(
        "Ground",
        SimpleNamespace(
            terrain=SimpleNamespace(router_names=("router-0",), shard_names=()),
            bodies={"router-0": SimpleNamespace(pid=os.getpid())},
            recording=SimpleNamespace(times=1.0),
            chores=Chores(),
            notes=[],
        ),
    )


async def weighed(ground: Ground) -> None:
    """Once more, at least: what is under way may have begun before."""
    for _ in range(2):
        ground.notes.clear()
        async with asyncio.timeout(30):
            while not ground.notes:  # noqa: ASYNC110 - a list, as faults leave them
                await asyncio.sleep(0)


async def test_the_pages_of_files_that_a_process_reads_are_no_growth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever serves reads its snapshot, and the kernel keeps or takes back its pages as it likes."""
    (tmp_path / "mapped").write_bytes(bytes(SIZE))
    hurt = ground(monkeypatch)
    await BURST.inject(hurt)
    with (tmp_path / "mapped").open("rb") as opened, mmap(opened.fileno(), 0, prot=PROT_READ) as mapped:
        assert sum(mapped[::4096]) == 0
        await weighed(hurt)
    assert "router-0" in hurt.notes[0]
    await BURST.heal(hurt)
    assert hurt.recording.times == 1.0


async def test_what_a_process_holds_of_its_own_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """More of it than is allowed ends the burst with an error that names the process."""
    hurt = ground(monkeypatch)
    await BURST.inject(hurt)
    await weighed(hurt)
    kept = b"x" * SIZE
    with pytest.raises(UsageError, match=r"router-0 grew by 3[0-9] MiB"):
        await hurt.chores.done("burst")
    assert len(kept) == SIZE
