"""How many routers a client's target has: as it lists them, or as its host's name has addresses."""

from __future__ import annotations

from typing import Any

import pytest

from trunkshow.targets import Routers, host_of, listed


@pytest.mark.parametrize(
    ("target", "routers", "host"),
    [
        ("ipv4:10.0.0.1:7450,10.0.0.2:7450", 2, ""),
        ("ipv4:10.0.0.1:7450,10.0.0.1:7450", 1, ""),
        ("ipv6:[::1]:7450", 1, ""),
        ("unix:/run/router", 1, ""),
        ("dns:///router.shop:7450", 1, "router.shop"),
        ("dns://10.0.0.9/router.shop:7450", 1, "router.shop"),
        ("dns:router.shop:7450", 1, "router.shop"),
        ("router.shop:7450", 1, "router.shop"),
        ("[::1]:7450", 1, "::1"),
        ("router.shop", 1, "router.shop"),
    ],
)
def test_a_target_lists_its_routers_or_names_a_host(target: str, routers: int, host: str) -> None:
    """As gRPC reads it."""
    assert (listed(target), host_of(target)) == (routers, host)


def test_a_name_has_as_many_routers_as_addresses() -> None:
    """It is looked up apart, and again only after a while; one that cannot be looked up has as many as before."""
    now, found = [0.0], iter([3, OSError(), 1])

    def resolve(host: str) -> int:
        assert host == "router.shop"
        answer = next(found)
        if isinstance(answer, OSError):
            raise answer
        return answer

    seen = []
    looks: list[object] = []
    routers = Routers("dns:///router.shop:7450", resolve, lambda: now[0], looks.append)
    for _ in range(3):
        seen.append(routers.count())
        while looks:
            looks.pop()()  # type: ignore[operator]
        seen.append(routers.count())
        assert not looks
        now[0] += 31
    assert seen == [1, 3, 3, 3, 3, 1]


def test_where_no_thread_is_to_be_had_a_name_is_looked_up_later() -> None:
    """A call does not fail for it."""
    now, found = [0.0], list[object]()

    def apart(look: Any) -> None:
        if not now[0]:
            raise RuntimeError("can't start new thread")
        found.append(look())

    routers = Routers("router.shop:7450", lambda host: 3, lambda: now[0], apart)
    assert [routers.count(), routers.count()] == [1, 1]
    now[0] += 31
    assert routers.count() == 3
    assert len(found) == 1
