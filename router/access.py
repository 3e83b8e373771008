"""Who may call a router: what can be chosen, and what is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from trunkshow.serving.api_keys import ApiKeys
from trunkshow.serving.auth import Authenticator, CallerGuard, Guard
from trunkshow.serving.options import ServerOptions, together
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
