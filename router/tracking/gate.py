"""How much callers may send: a token bucket for each address and for each user. Pure, but for the buckets' levels.

    address  asked before anything of a call is read, charged one for the call and one for each event after the first
    user     asked once the call was read, for each user in it; charged one for each event that may be theirs

A call is taken or turned away whole, and what is turned away is charged to nobody but its address. So is what was not
signed where it has to be: or strangers could use up what a user may send.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address

from router.tracking.buckets import Buckets
from router.tracking.options import TrackingOptions

_HOST_BITS = 64
_TEXT_CHARACTERS_MAX = 64


class TooMany(Exception):
    """A caller is beyond its limit.

    Args:
        reason: a stable word.
        wait_s: when it may come back.
    """

    def __init__(self, reason: str, wait_s: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait_s = wait_s


class Gate:
    """Counts what callers send.

    Args:
        options: how much that may be.
    """

    def __init__(self, options: TrackingOptions) -> None:
        kept = options.http_callers_max
        self._addresses = Buckets(options.http_address_events_s, options.http_address_burst, kept)
        self._users = Buckets(options.http_user_events_s, options.http_user_burst, kept)

    def call(self, address: str, now: float) -> None:
        """A call came.

        Raises:
            TooMany: its address has to wait.
        """
        key = network_of(address)
        wait_s = self._addresses.wait_s(key, now)
        if wait_s:
            raise TooMany("ADDRESS_LIMIT", wait_s)
        self._addresses.charge(key, 1, now)

    def events(self, address: str, count: int, users: Iterable[str], now: float) -> None:
        """A call has so many events.

        Args:
            address: that it came from.
            count: of all of its events.
            users: whose they are, once for each event that may be recorded.
            now: monotonic seconds.

        Raises:
            TooMany: one of them has to wait.
        """
        # By hash: a bucket takes no more room for a long id, and a dump of memory holds no list of users.
        counts = Counter(hash(user) for user in users)
        self._addresses.charge(network_of(address), max(0, count - 1), now)
        wait_s = max((self._users.wait_s(user, now) for user in counts), default=0.0)
        if wait_s:
            raise TooMany("USER_LIMIT", wait_s)
        for user, count in counts.items():
            self._users.charge(user, count, now)


def network_of(address: str) -> str | int:
    """What is counted as one caller: an IPv4 address, or the /64 that one household or host has of IPv6."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:_TEXT_CHARACTERS_MAX]
    if isinstance(found, IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped) if mapped else int(found) >> _HOST_BITS
    return str(found)
