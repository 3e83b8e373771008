"""Who may send how much."""

from __future__ import annotations

import pytest

from router.tracking.gate import Gate, TooMany, network_of
from router.tracking.options import TrackingOptions


def gate(**chosen: float) -> Gate:
    return Gate(TrackingOptions(**chosen))  # type: ignore[arg-type]


def test_an_address_pays_for_calls_and_for_their_events() -> None:
    """A call of three costs three."""
    tight = gate(http_address_events_s=1, http_address_burst=3)
    tight.call("192.0.2.1", 0.0)
    tight.events("192.0.2.1", 3, ["ann"], 0.0)
    with pytest.raises(TooMany) as caught:
        tight.call("192.0.2.1", 0.0)
    assert (caught.value.reason, caught.value.wait_s) == ("ADDRESS_LIMIT", 1.0)
    tight.call("192.0.2.2", 0.0)


def test_one_user_beyond_the_limit_turns_the_call_away_whole() -> None:
    """And the others in it are not charged, since nothing of theirs was recorded."""
    tight = gate(http_user_events_s=1, http_user_burst=2)
    tight.events("192.0.2.1", 2, ["ann", "ann"], 0.0)
    with pytest.raises(TooMany) as caught:
        tight.events("192.0.2.1", 3, ["bob", "bob", "ann"], 0.0)
    assert (caught.value.reason, caught.value.wait_s) == ("USER_LIMIT", 1.0)
    tight.events("192.0.2.1", 2, ["bob", "bob"], 0.0)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("unknown", "unknown", True),
    ],
)
def test_what_counts_as_one_caller(one: str, other: str, same: bool) -> None:
    """An address of IPv4, and of IPv6 what one household gets."""
    assert (network_of(one) == network_of(other)) is same
