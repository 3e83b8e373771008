"""Grants: by what a shard knows callers for whom a router vouches, for a short while and for predictions alone.

A grant is the second at which it ends, and a MAC over that with the token that routers and shards of a cluster share:
`1764000000.9f…`. Nothing is kept of it anywhere. It opens one method, `Predict`, and says nothing of who holds it: the
router gives it to callers with the role `read`, and gives no next one to whoever has lost that.

Values and functions; who asks for one is `trunkshow.serving.auth`'s business.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from trunkshow.errors import Unauthenticated

GRANT_KEY = "x-trunkshow-grant"

CLOCKS_DIFFER_S = 10.0
"""By so much a router's clock and a shard's may differ."""

_PURPOSE = b"trunkshow grant to predict, 1\0"
_DIGITS_MAX = 12


def issue(token: bytes, until: float) -> str:
    """A grant.

    Args:
        token: of the cluster.
        until: seconds since 1970.
    """
    ends = str(int(until))
    return f"{ends}.{_mac(token, ends)}"


def check(grant: str, tokens: Sequence[bytes], now: float) -> None:
    """Return where a grant is one of this cluster's, and has not ended.

    Args:
        grant: as it was sent.
        tokens: of the cluster.
        now: seconds since 1970.

    Raises:
        Unauthenticated: it is not, or it has.
    """
    ends, _, mac = grant.partition(".")
    given = mac.encode("utf-8", "surrogateescape")
    # Every one is compared, whatever came of the one before.
    if not sum([hmac.compare_digest(given, _mac(token, ends).encode()) for token in tokens]):
        raise Unauthenticated("the grant is none of this cluster's", reason="CREDENTIALS_INVALID")
    if not (len(ends) <= _DIGITS_MAX and ends.isdigit()) or now > int(ends) + CLOCKS_DIFFER_S:
        raise Unauthenticated("the grant has ended; ask a router for the next one", reason="CREDENTIALS_EXPIRED")


def _mac(token: bytes, ends: str) -> str:
    return hmac.digest(token, _PURPOSE + ends.encode("utf-8", "surrogateescape"), "sha256").hex()
