"""Who may call a router, and what the router shows to shards: what can be chosen, and what is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import grpc
import grpc.aio
from cyclopts import Parameter

from trunkshow.serving import tls
from trunkshow.serving.api_keys import ApiKeys
from trunkshow.serving.auth import TOKEN_KEY, Authenticator, CallerGuard, Guard, cluster_tokens
from trunkshow.serving.options import ServerOptions, together
from trunkshow.serving.reloaded import Reloaded
from trunkshow.serving.web_tokens import ALGORITHMS, WebTokens

HOW_TO = "--api-keys, --jwt-key, or --tls-client-ca"


@Parameter(name="*")
@dataclass(frozen=True)
class Callers:
    """Who may call: holders of API keys or of web tokens; where both are given, of either."""

    api_keys: Path | None = None
    """File of API keys, as `trunkshow make-key` prints them; read again when it changes."""

    jwt_key: Path | None = None
    """Key that web tokens are signed with: a JWKS file, a public key in PEM, or a shared secret of 32 bytes; read again
    when it changes."""

    jwt_issuer: str = ""
    """Issuer that web tokens must name; any where empty."""

    jwt_audience: str = ""
    """Audience that web tokens must name; required with --jwt-key."""

    jwt_algorithms: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ALGORITHMS
    """Algorithms that are taken, of HS256, RS256, ES256 and EdDSA."""

    def __post_init__(self) -> None:
        """Refuse what cannot work, before anything starts.

        Raises:
            ValueError: naming the setting, what it was and what is allowed.
        """
        together("jwt_key", self.jwt_key, "jwt_audience", self.jwt_audience)
        unknown = set(self.jwt_algorithms) - set(ALGORITHMS)
        if unknown or not self.jwt_algorithms:
            raise ValueError(f"jwt_algorithms: {', '.join(sorted(unknown))}; choose of {', '.join(ALGORITHMS)}")

    def known(self, server: ServerOptions) -> bool:
        """Whether anything says who calls."""
        return bool(self.api_keys or self.jwt_key or server.tls_client_ca)

    def guard(self) -> Guard | None:
        """Who is asked about callers; None where everybody who gets a connection may do everything.

        Raises:
            ValueError: a file cannot be read.
        """
        found: list[Authenticator] = []
        if self.jwt_key:
            found.append(WebTokens(self.jwt_key, self.jwt_issuer, self.jwt_audience, self.jwt_algorithms))
        if self.api_keys:
            found.append(ApiKeys(self.api_keys))
        return CallerGuard(found) if found else None


@Parameter(name="*")
@dataclass(frozen=True)
class ToShards:
    """How a router shows shards what it is, and knows them."""

    shard_tls_ca: Path | None = None
    """Authorities from which shards must show a certificate, PEM; plain without."""

    shard_tls_cert: Path | None = None
    """This router's certificate for shards, PEM; read again when it changes."""

    shard_tls_key: Path | None = None
    """The certificate's private key, PEM."""

    shard_tls_name: str = ""
    """Name that shards' certificates must hold, where they are asked by addresses that no certificate can."""

    cluster_token: Path | None = None
    """File with the token that this cluster's routers send to its shards, and they ask for."""

    def __post_init__(self) -> None:
        """Refuse what cannot work, before anything starts.

        Raises:
            ValueError: naming the setting, what it was and what is allowed.
        """
        together("shard_tls_cert", self.shard_tls_cert, "shard_tls_key", self.shard_tls_key)
        if (self.shard_tls_cert or self.shard_tls_name) and not self.shard_tls_ca:
            raise ValueError("shard_tls_ca: none given; without it the lines to shards are plain")


class ShardLines:
    """Opens lines to shards with what a router shows them, as it is now.

    Args:
        options: what was chosen.

    Raises:
        ValueError: a file cannot be read.
    """

    def __init__(self, options: ToShards) -> None:
        chosen = options.shard_tls_ca, options.shard_tls_cert, options.shard_tls_key
        self._identity = tls.client_identity(*chosen) if options.shard_tls_ca else None
        self._token = Reloaded([options.cluster_token], cluster_tokens) if options.cluster_token else None
        self._name = options.shard_tls_name

    @property
    def version(self) -> int:
        """Moves when a new line would be opened with other certificates than before."""
        if self._identity is None:
            return 0
        self._identity.fresh()
        return self._identity.version

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What every call to a shard carries."""
        return () if self._token is None else ((TOKEN_KEY, self._token.fresh()[0].decode()),)

    def open(self, address: str, options: Sequence[tuple[str, object]]) -> grpc.aio.Channel:
        """A channel to a shard."""
        if self._identity is None:
            return grpc.aio.insecure_channel(address, options=options)
        named = (("grpc.ssl_target_name_override", self._name),) if self._name else ()
        credentials = tls.channel_credentials(self._identity.fresh())
        return grpc.aio.secure_channel(address, credentials, options=(*options, *named))


PLAIN = ShardLines(ToShards())
