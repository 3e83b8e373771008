"""The verdict on a soak: it passes only where something was done, and nothing grew."""

from __future__ import annotations

import os
from dataclasses import replace
from mmap import PROT_READ, mmap
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import psutil
import pytest

from cli.chaos import soak
from cli.chaos.ground import LOG, Ground
from cli.chaos.ledger import Account
from cli.chaos.soak import QUARTERS, Flatness, Soaked, flatness
from cli.chaos.tally import Tally
from cli.chaos.weight import Weight

FLAT = Flatness("shard-0", Weight(100 << 20, 300 << 20, 50), Weight(104 << 20, 400 << 20, 51))


EVENTS = Account(
    events=36_000, tries=40_000, recorded=36_000, acknowledged=36_000, users=400, forgotten=30, fresh_s=2.0
)


def soaked(**counts: int) -> Soaked:
    """Thirty minutes at ten requests a second, all well but for the counts given."""
    tally = Tally()
    tally.counts.update({"requests": 18_000, **counts})
    return Soaked(30.0, 10.0, 29, tally, EVENTS, (FLAT,))


def test_a_soak_passes_where_all_is_well() -> None:
    """A swap that is just due at the end may be missing."""
    assert soaked().passed


@pytest.mark.parametrize(
    "bad",
    [
        soaked(failed=1),
        soaked(wrong=1),
        soaked(late=2),
        replace(soaked(), tally=Tally()),
        replace(soaked(), swaps=28),
        replace(soaked(), events=replace(EVENTS, lost=1)),
        replace(soaked(), events=replace(EVENTS, twice=1)),
        replace(soaked(), events=replace(EVENTS, strange=1)),
        replace(soaked(), events=replace(EVENTS, remembered=1)),
        replace(soaked(), events=replace(EVENTS, fresh_s=None)),
        replace(soaked(), events=Account()),
        replace(soaked(), told=False),
        replace(soaked(), processes=(FLAT, replace(FLAT, late=Weight(106 << 20, 300 << 20, 50)))),
        replace(soaked(), processes=(FLAT, replace(FLAT, late=Weight(100 << 20, 300 << 20, 53)))),
    ],
    ids=[
        "failed",
        "wrong",
        "late",
        "nothing asked",
        "swaps missing",
        "lost",
        "twice",
        "strange",
        "remembered",
        "stale",
        "nothing recorded",
        "under way",
        "memory grew",
        "descriptors grew",
    ],
)
def test_a_soak_fails(bad: Soaked) -> None:
    """By any one of these."""
    assert not bad.passed


def test_a_process_own_memory_is_without_the_pages_of_files_that_it_maps(tmp_path: Path) -> None:
    """Which are told beside it."""
    size = 64 << 20
    (tmp_path / "mapped").write_bytes(bytes(size))
    process, before = psutil.Process(), Weight.of(psutil.Process())
    with (tmp_path / "mapped").open("rb") as opened, mmap(opened.fileno(), 0, prot=PROT_READ) as mapped:
        assert sum(mapped[::4096]) == 0
        after = Weight.of(process)
    assert after.rss_bytes - before.rss_bytes > size * 0.9
    assert after.own_bytes - before.own_bytes < size / 4


async def test_a_soak_of_a_moment_has_quarters_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with something to compare, and not with an error."""
    monkeypatch.setattr(soak, "LOOK_EVERY_S", 0.0)
    ours = SimpleNamespace(pid=os.getpid())
    ground = cast("Ground", SimpleNamespace(bodies={"shard-0": ours, LOG: ours}))
    seen = await soak.watch(ground, until=0.0)
    assert seen.keys() == {"shard-0"}
    assert [len(weights) for weights in seen.values()] == [QUARTERS]
    assert flatness("shard-0", seen["shard-0"]).early.own_bytes > 0


def test_early_is_the_second_quarter() -> None:
    """The first is for warming up."""
    grown = [Weight(size, 3 * size, 10) for size in (50, 100, 100, 100)]
    assert flatness("shard-0", grown).is_flat
