"""A look every so often survives whatever a look runs into."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from trunkshow.serving import metrics
from trunkshow.serving.rounds import rounds


async def test_a_look_that_fails_is_told_and_does_not_end_the_rounds() -> None:
    """Once in a while: the third look would fill the log with the first one's traceback."""
    looks = 0

    async def look() -> None:
        nonlocal looks
        looks += 1
        raise RuntimeError("scripted")

    async def no_time(seconds: float) -> None:
        assert seconds == 0.25
        if looks == 3:
            raise asyncio.CancelledError

    with capture_logs() as logs, pytest.raises(asyncio.CancelledError):
        await rounds(look, 0.25, failed="looking.failed", sleep=no_time)
    assert looks == 3
    assert [one["event"] for one in logs] == ["looking.failed"]
    assert metrics.REGISTRY.get_sample_value("trunkshow_looks_failed_total", {"event": "looking.failed"}) == 3
