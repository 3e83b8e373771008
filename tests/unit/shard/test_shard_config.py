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
        ({"name": "a:1", "shards": ("a:1", "A.:01")}, "shards: an address comes twice"),
        ({"members": "dns:shards.test:7451"}, r"name: 127\.0\.0\.1:7451 is not what dns: finds.*\$\(POD_IP\):7451"),
        ({"members": "dns:shards.test:7451", "name": "shard-0.shards.test:7451"}, "is not what dns: finds"),
        ({"members": "dns:shards.test:7451", "name": "10.0.0.1:7452"}, "another port than dns:shards.test:7451"),
        ({"members": "dns:shards.test:7451", "name": "0.0.0.0:7451"}, "nobody's name"),
        ({"members": "file:members", "name": "[::]:7451"}, "nobody's name"),
        ({"members": "srv:_grpc._tcp.shards.test", "name": "10.0.0.1:7451"}, "is not what srv: finds"),
        ({"members": "static:a:1,b:1", "name": "c:1"}, "c:1 is not among the members a:1,b:1"),
    ],
)
def test_a_setting_that_cannot_work_is_named(settings: dict[str, Any], named: str) -> None:
    """With what it was and what is allowed."""
    with pytest.raises(ValueError, match=named):
        ShardConfig(STORE, **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"members": "dns:shards.test:7451", "name": "10.0.0.1:7451"},
        {"members": "dns:shards.test:7451", "name": "127.0.0.1:7451"},
        {"members": "dns:shards.test:7451", "name": "[FD00:0::1]:07451"},
        {"members": "srv:_grpc._tcp.shards.test", "name": "shard-0.shards.test:7451"},
        {"members": "static:a:1,B.:2", "name": "b:2"},
        {"members": "file:members", "name": "anything:1"},
        {"shards": ("A:1", "b:1"), "name": "a:01"},
        {"listen": "127.0.0.1:0"},
    ],
)
def test_a_name_that_can_be_found_is_taken(settings: dict[str, Any]) -> None:
    """Whatever its spelling."""
    config = ShardConfig(STORE, **settings)
    assert config.own_name == config.own_name.lower()


def test_a_shard_is_called_what_it_listens_on() -> None:
    """Unless it is given a name."""
    assert (ShardConfig(STORE, listen="localhost:1").own_name, ShardConfig(STORE, name="n:2").own_name) == (
        "localhost:1",
        "n:2",
    )
