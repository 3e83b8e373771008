"""Who gets a canary: users by a hash, for as long as it lasts.

The hash is of version and user id: the same in every router, and another for the next canary. Whether a canary does
harm is `router.trials.canary`'s to say.
"""

from __future__ import annotations

import hashlib

SHARE_MAX = 0.95
"""A canary that everybody got could be compared with nobody."""


class Group:
    """The users to whom a canary is shown.

    Args:
        version: of the canary.
        share: of all users, 0 to 1; more than `SHARE_MAX` counts as that.
    """

    def __init__(self, version: str, share: float) -> None:
        self._hash = hashlib.blake2b(version.encode() + b"\0", digest_size=8)
        self._below = int(min(share, SHARE_MAX) * 2**64)

    def __contains__(self, user_id: str) -> bool:
        hashed = self._hash.copy()
        hashed.update(user_id.encode())
        return int.from_bytes(hashed.digest(), "little") < self._below
