"""A configuration that cannot work is refused before anything starts."""

from __future__ import annotations

import math
from typing import Any

import pytest

from router.config import RouterConfig


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"shards": ()}, "shards"),
        ({"shards": ("a:1", "a:1")}, "shards"),
        ({"deadline_ms": 0}, "deadline_ms"),
        ({"reserve_ms": -1}, "reserve_ms"),
        ({"probes": 0}, "probes"),
        ({"batch_chunk_users": 65}, "batch_chunk_users"),
        ({"watch_silence_s": 0}, "watch_silence_s"),
        ({"watch_silence_s": math.nan}, "watch_silence_s"),
        ({"deadline_ms": math.nan}, "deadline_ms"),
        ({"deadline_ms": math.inf}, "deadline_ms"),
        ({"drain_s": math.nan}, "drain_s"),
        ({"reserve_ms": 200}, "reserve_ms"),
        ({"deadline_ms": 10}, "reserve_ms"),
        ({"batch_reserve_ms": 2000}, "batch_reserve_ms"),
    ],
)
def test_a_setting_that_cannot_work_is_named(settings: dict[str, Any], named: str) -> None:
    """The message begins with the setting."""
    with pytest.raises(ValueError, match=f"^{named}: "):
        RouterConfig(**({"store": "", "shards": ("a:1",)} | settings))
