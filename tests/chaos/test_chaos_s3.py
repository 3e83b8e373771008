"""The same promises with a bucket for a store, whose server is killed, stands still, and gets half a push."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from datasets import Built

from cli.chaos.plan import Plan
from cli.chaos.result import Result
from cli.chaos.run import run
from cli.chaos.terrain import Terrain

SEED = 11
FAULTS = ("store-gone", "store-hangs", "push-killed", "version-not-there")
RATE = 40.0


@pytest.fixture(scope="module")
def result(built: Built, nobody_waits: None, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A short run of the faults that a bucket has of its own."""
    work: Path = tmp_path_factory.mktemp("chaos-s3")
    plan = Plan(Terrain(str(built.store), work, seed=SEED, s3=True), SEED, FAULTS, 1.2, rate=RATE, recovery_s=8.0)
    return asyncio.run(run(plan, lambda *_, **__: None))


def test_nothing_fails_and_nothing_is_wrong_whatever_a_bucket_does(result: Result) -> None:
    """Each fault was injected and healed as it was meant."""
    tally = [(one.fault, one.trouble, one.tally.failed, one.tally.wrong, one.spoilt) for one in result.verdicts]
    assert sorted(tally) == [(name, "", 0, 0, 0) for name in sorted(FAULTS)]
    assert all(one.tally.requests > RATE for one in result.verdicts)


def test_the_cluster_recovers_from_what_a_bucket_does(result: Result) -> None:
    """Within the time looked at, and with no help."""
    assert [one.fault for one in result.verdicts if one.recovered_s is None or not one.whole_again] == []
