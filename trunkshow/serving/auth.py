"""Who calls, and what they may: from a call's metadata or certificate to a principal with roles.

    router   API keys (`api_keys`) or JSON web tokens (`web_tokens`), as `authorization: Bearer …` or `x-api-key: …`;
             where there are neither, a client certificate, which the handshake has checked already
    shard    routers alone: by a name in their certificate, or a token that all of a cluster share; where it is told to,
             for predictions also those for whom a router vouches (`grants`)

A guard is asked before the handler, in the wrapper that `trunkshow.serving.methods` puts around every method, with the
role that the method asks for. What it found out is kept for a minute at most, and for no longer than the
credential lives, so that a call costs one hash; the cache is bounded, and empties when a file of credentials changes.
Nothing that identifies a credential is ever logged.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Protocol

import structlog

from trunkshow.errors import PermissionDenied, TrunkshowError, Unauthenticated
from trunkshow.serving import grants, metrics
from trunkshow.serving.reloaded import Reloaded
from trunkshow.serving.telemetry import Throttle

BEARER_KEY, API_KEY_KEY, TOKEN_KEY = "authorization", "x-api-key", "x-cluster-token"
CACHED_MAX = 4096
CACHED_S = 60.0
TOKEN_CHARACTERS_MIN = 32

REFUSED = metrics.counter("trunkshow_callers_refused_total", "Calls refused for who made them, by reason.", ("reason",))

log = structlog.get_logger()


class Role(StrEnum):
    """What a method asks of its caller."""

    READ = "read"
    RECORD = "record"
    OPERATE = "operate"
    ROUTER = "router"
    PREDICT = "predict"
    """A router's, or that of somebody for whom one vouches."""


CALLERS_ROLES = frozenset({Role.READ, Role.RECORD, Role.OPERATE})


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller who was recognised.

    Attributes:
        name: for the log.
        roles: that they have.
        until: seconds since 1970 at which the credential ends.
    """

    name: str
    roles: frozenset[Role]
    until: float = float("inf")


class Caller(Protocol):
    """What a guard may know of a call."""

    @property
    def metadata(self) -> Iterable[tuple[str, str | bytes]]:
        """As it was sent."""
        ...

    def peer_names(self) -> frozenset[str]:
        """Names in the certificate that the other end showed; none without one."""
        ...


class Guard(Protocol):
    """Lets a call in, or not."""

    def admit(self, caller: Caller, role: Role) -> None:
        """Return where the caller has the role.

        Raises:
            Unauthenticated: nobody knows who this is.
            PermissionDenied: it is known, and may not.
        """
        ...


class Authenticator(Protocol):
    """Recognises one kind of credential.

    Attributes:
        version: moves when what it knows changed.
    """

    @property
    def version(self) -> int:
        """Moves when what it knows changed."""
        ...

    def principal(self, credential: str, now: float) -> Principal | None:
        """Whose credential it is; None where it is not of this kind.

        Raises:
            Unauthenticated: it is of this kind, and no good.
        """
        ...


class CallerGuard:
    """Recognises callers by what they send.

    Args:
        authenticators: asked in order.
        now: seconds since 1970; credentials end by the calendar.
    """

    def __init__(self, authenticators: Sequence[Authenticator], now: Callable[[], float] = time.time) -> None:
        self._authenticators = tuple(authenticators)
        self._now = now
        self._cached: dict[bytes, Principal] = {}
        self._versions: tuple[int, ...] = ()
        self._throttle = Throttle()

    def admit(self, caller: Caller, role: Role) -> None:
        """Return where the caller has the role; see `Guard`."""
        try:
            principal = self._principal(credential_of(caller))
            if role not in principal.roles:
                message = f"{principal.name} has not the role {role.value!r} that this method asks for"
                raise PermissionDenied(message, reason="ROLE_MISSING")
        except TrunkshowError as error:
            refused(error, self._throttle)
            raise

    def _principal(self, credential: str) -> Principal:
        now = self._now()
        versions = tuple(one.version for one in self._authenticators)
        if versions != self._versions:
            self._cached.clear()
            self._versions = versions
        # By hash: what is looked up tells by its time nothing of the credentials that are kept.
        digest = sha256(credential.encode("utf-8", "surrogateescape")).digest()
        found = self._cached.get(digest)
        if found is None or now >= found.until:
            self._cached.pop(digest, None)
            found = self._recognise(credential, now)
            self._keep(digest, found, now)
        return found

    def _recognise(self, credential: str, now: float) -> Principal:
        for authenticator in self._authenticators:
            principal = authenticator.principal(credential, now)
            if principal is not None:
                return principal
        raise Unauthenticated("the credential is not one that is known here", reason="CREDENTIALS_INVALID")

    def _keep(self, digest: bytes, principal: Principal, now: float) -> None:
        if len(self._cached) >= CACHED_MAX:
            del self._cached[next(iter(self._cached))]
        # A minute, and then from the start: so a clock that was set back keeps nobody in.
        until = min(principal.until, now + CACHED_S)
        self._cached[digest] = Principal(principal.name, principal.roles, until)


class RouterGuard:
    """Lets routers in to a shard, and nobody else.

    Args:
        names: of which a router's certificate must have one; empty where certificates are not asked for.
        token: that routers send; None where none is asked for.
        grants: whether those for whom a router vouches may ask for predictions; it takes a token.
        now: seconds since 1970; grants end by the calendar.
    """

    def __init__(
        self,
        names: Iterable[str],
        token: Reloaded[tuple[bytes, ...]] | None,
        *,
        grants: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._names = frozenset(names)
        self._token = token
        self._grants = grants
        self._now = now
        self._throttle = Throttle()

    def admit(self, caller: Caller, role: Role) -> None:
        """Return where the caller is a router, or has a grant and needs no more; see `Guard`."""
        try:
            grant = _last(caller, grants.GRANT_KEY) if self._grants and role is Role.PREDICT else ""
            if grant and self._token is not None:
                grants.check(grant, self._token.fresh(), self._now())
                return
            if self._names and not self._names & caller.peer_names():
                message = "no name in the caller's certificate is on this shard's list of routers"
                raise PermissionDenied(message, reason="CLIENT_NOT_ALLOWED")
            if self._token is not None:
                self._check(caller, self._token.fresh())
        except TrunkshowError as error:
            refused(error, self._throttle)
            raise

    @staticmethod
    def _check(caller: Caller, tokens: Sequence[bytes]) -> None:
        sent = _last(caller, TOKEN_KEY)
        if not sent:
            raise Unauthenticated("this shard answers routers of its cluster only", reason="CREDENTIALS_MISSING")
        given = sent.encode("utf-8", "surrogateescape")
        # Every one is compared, whatever came of the one before.
        if not sum([hmac.compare_digest(given, one) for one in tokens]):
            raise Unauthenticated("the cluster's token is another one", reason="CREDENTIALS_INVALID")


def cluster_tokens(found: Sequence[bytes]) -> tuple[bytes, ...]:
    """The tokens of a file: one a line, at most two, of which the first is sent; so one can be changed for another.

    Raises:
        ValueError: there is none, more than two, or one is too short.
    """
    tokens = tuple(line.strip() for line in found[0].splitlines() if line.strip() and not line.startswith(b"#"))
    if not 1 <= len(tokens) <= 2:
        raise ValueError(f"a token file holds one token, or two while they change; here are {len(tokens)}")
    if not all(len(one) >= TOKEN_CHARACTERS_MIN and one.isalnum() for one in tokens):
        raise ValueError(f"a token has at least {TOKEN_CHARACTERS_MIN} characters, all of them ASCII letters or digits")
    return tokens


def credential_of(caller: Caller) -> str:
    """What a caller sent to be recognised by.

    Raises:
        Unauthenticated: nothing.
    """
    key = _last(caller, API_KEY_KEY)
    if key:
        return key
    scheme, _, token = _last(caller, BEARER_KEY).partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    message = f"send an API key or a token: {BEARER_KEY}: Bearer …, or {API_KEY_KEY}: …"
    raise Unauthenticated(message, reason="CREDENTIALS_MISSING")


def refused(error: TrunkshowError, throttle: Throttle) -> None:
    """Count it, and say so at most once a second."""
    REFUSED.labels(error.reason).inc()
    throttle.log(log.warning, "caller.refused", reason=error.reason)


def _last(caller: Caller, wanted: str) -> str:
    found = ""
    for key, value in caller.metadata:
        if key == wanted and isinstance(value, str):
            found = value
    return found
