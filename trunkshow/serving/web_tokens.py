"""JSON web tokens (RFC 7519): signed by somebody who is trusted, for this audience, and not for ever.

What a token says of its own algorithm is never believed: each key has one, by its kind, and only those on the
operator's list are used. So a token signed with a public key as if that were a shared secret is refused, and `none` is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.types import Options

from trunkshow.errors import Unauthenticated
from trunkshow.serving.auth import CALLERS_ROLES, Principal, Role
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.serving.reloaded import Reloaded

ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")
LEEWAY_S = 10.0
"""By which clocks may differ."""

SECRET_BYTES_MIN = 32
RSA_BITS_MIN = 2048
TRIED_MAX = 4
MOMENT_S_MAX = 1e15
"""Since 1970; JSON has whole numbers that no float holds."""

# When it is valid is checked here, by a clock that tests can drive.
_OWN_CHECKS: Options = {"require": ["exp"], "verify_exp": False, "verify_nbf": False, "verify_iat": False}


@dataclass(frozen=True)
class Key:
    """A key that tokens may be signed with.

    Attributes:
        id: by which tokens name it; empty where it has none.
        algorithm: the only one that it is used with.
        key: as PyJWT takes it.
    """

    id: str
    algorithm: str
    key: Any


class WebTokens:
    """Recognises tokens.

    Args:
        path: a JWKS file, a public key in PEM, or a shared secret.
        issuer: that tokens must be from; any where empty.
        audience: that they must be for; those for nobody in particular where empty.
        algorithms: that are allowed.
        clock: monotonic, for looking at the file.

    Raises:
        ValueError: the file cannot be read, or no key in it can be used.
    """

    def __init__(
        self, path: Path, issuer: str, audience: str, algorithms: Sequence[str], clock: Clock = monotonic
    ) -> None:
        self._issuer = issuer or None
        self._audience = audience or None
        self._keys = Reloaded([path], lambda found: read(found[0], algorithms), clock)

    @property
    def version(self) -> int:
        """Moves when the keys changed."""
        self._keys.fresh()
        return self._keys.version

    def principal(self, credential: str, now: float) -> Principal | None:
        """Whose token it is; None where it is no token.

        Raises:
            Unauthenticated: it is one, and no good.
        """
        if credential.count(".") != 2:
            return None
        claims = self._verified(credential)
        until = _moment(claims, "exp")
        if now >= until + LEEWAY_S:
            raise Unauthenticated("the token has expired", reason="CREDENTIALS_EXPIRED")
        if "nbf" in claims and now < _moment(claims, "nbf") - LEEWAY_S:
            raise Unauthenticated("the token is not valid yet", reason="CREDENTIALS_INVALID")
        return Principal("the token's holder", _roles(claims), until + LEEWAY_S)

    def _verified(self, token: str) -> Mapping[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            named = [key for key in self._keys.fresh() if key.algorithm == header.get("alg")]
            named = [key for key in named if not header.get("kid") or not key.id or key.id == header["kid"]]
            for key in named[:TRIED_MAX]:
                claims = self._claims(token, key)
                if claims is not None:
                    return claims
        except jwt.PyJWTError as error:
            raise Unauthenticated(f"the token is no good: {error}", reason="CREDENTIALS_INVALID") from None
        raise Unauthenticated("the token is signed with no key that is known here", reason="CREDENTIALS_INVALID")

    def _claims(self, token: str, key: Key) -> Mapping[str, Any] | None:
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                issuer=self._issuer,
                audience=self._audience,
                options=_OWN_CHECKS,
            )
        except jwt.InvalidSignatureError:
            return None
        return claims


def read(data: bytes, allowed: Sequence[str]) -> tuple[Key, ...]:
    """The keys of a file, as far as they may be used.

    Raises:
        ValueError: none may.
    """
    keys = tuple(key for key in _keys(data) if key.algorithm in allowed)
    if not keys:
        raise ValueError(f"no key in it can be used with {', '.join(allowed)}")
    return keys


def _keys(data: bytes) -> list[Key]:
    if data.lstrip().startswith(b"{"):
        return _from_jwks(data)
    if data.lstrip().startswith(b"-----BEGIN"):
        return [_from_pem(data)]
    secret = data.strip()
    if len(secret) < SECRET_BYTES_MIN:
        raise ValueError(f"a shared secret has at least {SECRET_BYTES_MIN} bytes")
    return [Key("", "HS256", secret)]


def _from_jwks(data: bytes) -> list[Key]:
    try:
        found = jwt.PyJWKSet.from_dict(json.loads(data)).keys
    except (ValueError, AttributeError, TypeError, RecursionError, jwt.PyJWTError) as error:
        raise ValueError(f"the JWKS cannot be read: {error}") from None
    return [Key(one.key_id or "", one.algorithm_name, one.key) for one in found if one.public_key_use != "enc"]


def _from_pem(data: bytes) -> Key:
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("it holds PEM, and no public key") from None
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= RSA_BITS_MIN:
        return Key("", "RS256", key)
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return Key("", "ES256", key)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return Key("", "EdDSA", key)
    raise ValueError("keys are RSA of at least 2048 bits, P-256, or Ed25519")


def _moment(claims: Mapping[str, Any], claim: str) -> float:
    value = claims[claim]
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < MOMENT_S_MAX:  # nor NaN
        raise Unauthenticated(f"the token's {claim} is no moment", reason="CREDENTIALS_INVALID")
    return float(value)


def _roles(claims: Mapping[str, Any]) -> frozenset[Role]:
    claimed = claims.get("roles", ())
    names = claimed.split() if isinstance(claimed, str) else claimed if isinstance(claimed, list) else ()
    return frozenset(role for role in CALLERS_ROLES if role.value in names)
