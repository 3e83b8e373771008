"""Signed user tokens: a shop's own servers say who is in a page, and nobody else can.

    token = UNTIL "." BASE64URL( HMAC-SHA256( secret, UNTIL "." user_id ) )          UNTIL in seconds since 1970

The base64 is without padding. A token says nothing but "until then this browser is this user": who has it may record
what it likes as that user, and as nobody else. Secrets are one or two lines of a file, so they can be changed.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path

from trunkshow.serving.auth import cluster_tokens
from trunkshow.serving.reloaded import Reloaded

TOKEN_CHARACTERS_MAX = 128


def token_of(secret: bytes, user_id: str, until_s: int) -> str:
    """The token with which a browser is that user until then."""
    signed = hmac.digest(secret, f"{until_s}.{user_id}".encode(), "sha256")
    return f"{until_s}.{urlsafe_b64encode(signed).decode().rstrip('=')}"


def fault(token: str, user_id: str, secrets: Sequence[bytes], now_s: float) -> str:
    """Why a token does not say that this is the user: a stable word, empty where it does."""
    if not token:
        return "USER_TOKEN_MISSING"
    until, _, _ = token.partition(".")
    if not (until.isascii() and until.isdigit() and len(token) <= TOKEN_CHARACTERS_MAX):
        return "USER_TOKEN_INVALID"
    given = token.encode()
    # Every one is compared, whatever came of the one before.
    if not sum([hmac.compare_digest(given, token_of(one, user_id, int(until)).encode()) for one in secrets]):
        return "USER_TOKEN_INVALID"
    return "" if int(until) > now_s else "USER_TOKEN_EXPIRED"


class UserTokens:
    """Tells whose tokens are right, by the secrets of a file as it is now.

    Args:
        path: of the file.

    Raises:
        ValueError: it cannot be read, or holds no secrets.
    """

    def __init__(self, path: Path) -> None:
        self._secrets = Reloaded([path], cluster_tokens)

    def fault(self, token: str, user_id: str, now_s: float) -> str:
        """As `fault` has it."""
        return fault(token, user_id, self._secrets.fresh(), now_s)
