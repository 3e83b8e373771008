"""Addresses that are found free."""

from __future__ import annotations

from cli.addresses import free_address


def test_no_address_is_given_twice() -> None:
    """Who was given it first may not listen yet: a shard and its router would have the same one."""
    assert len({free_address() for _ in range(1000)}) == 1000
