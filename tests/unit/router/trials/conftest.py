"""The stage that a conductor is tried on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from conductor_stage import MakeStage
from rehearsal_stage import Stage


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[MakeStage]:
    """Makes a stage, and clears it away."""
    made: list[Stage] = []

    def making(canary_share: float = 0.0, *, opens: bool = True) -> Stage:
        made.append(Stage(tmp_path, canary_share, opens=opens))
        return made[-1]

    yield making
    for one in made:
        await one.close()
