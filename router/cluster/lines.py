"""What a router shows to shards, and by what it knows them: what can be chosen, and the lines made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio
from cyclopts import Parameter

from trunkshow.serving import tls
from trunkshow.serving.auth import TOKEN_KEY, cluster_tokens
from trunkshow.serving.options import together
from trunkshow.serving.reloaded import Reloaded


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

    @property
    def token(self) -> bytes | None:
        """The cluster's, as it is sent now; None where there is none."""
        return None if self._token is None else self._token.fresh()[0]

    def open(self, address: str, options: Sequence[tuple[str, object]]) -> grpc.aio.Channel:
        """A channel to a shard."""
        if self._identity is None:
            return grpc.aio.insecure_channel(address, options=options)
        named = (("grpc.ssl_target_name_override", self._name),) if self._name else ()
        credentials = tls.channel_credentials(self._identity.fresh())
        return grpc.aio.secure_channel(address, credentials, options=(*options, *named))


PLAIN = ShardLines(ToShards())
