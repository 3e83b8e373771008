"""A shard's settings are refused before anything starts, where they cannot work."""

from __future__ import annotations

from typing import Any

import pytest

from shard.config import ShardConfig

STORE = "store"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"replicas": 0}, "replicas: 0"),
        ({"warm_requests": -5}, "warm_requests: -5"),
        ({"status_period_s": -1.0}, r"status_period_s: -1\.0"),
        ({"status_period_s": float("nan")}, "status_period_s: nan"),
        ({"drain_s": float("inf")}, "drain_s: inf"),
        ({"batch_users_max": 0}, "batch_users_max: 0"),
        ({"name": "a:1", "shards": ("b:1", "c:1")}, "name: a:1 is not among the shards b:1, c:1"),
        ({"listen": "a:1", "shards": ("b:1",)}, "name: a:1 is not among the shards b:1"),
        ({"shards": ("127.0.0.1:7451", "127.0.0.1:7451")}, "shards: an address comes twice"),
    ],
)
def test_a_setting_that_cannot_work_is_named(settings: dict[str, Any], named: str) -> None:
    """With what it was and what is allowed."""
    with pytest.raises(ValueError, match=named):
        ShardConfig(STORE, **settings)


def test_a_shard_is_called_what_it_listens_on() -> None:
    """Unless it is given a name."""
    assert (ShardConfig(STORE, listen="localhost:1").own_name, ShardConfig(STORE, name="n:2").own_name) == (
        "localhost:1",
        "n:2",
    )
