"""Who may call a shard: the routers of its cluster, and, where that is chosen, for predictions those they vouch for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from trunkshow.serving.auth import Guard, RouterGuard, cluster_tokens
from trunkshow.serving.options import ServerOptions
from trunkshow.serving.reloaded import Reloaded

HOW_TO = "--tls-client-ca with --allowed-clients, or --cluster-token"


@Parameter(name="*")
@dataclass(frozen=True)
class Routers:
    """How a shard knows routers; where both are given, both are asked for."""

    allowed_clients: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ()
    """Names, of which a router's certificate must have one, as its common name or among its alternative names."""

    cluster_token: Path | None = None
    """File with the token that this cluster's routers send to its shards; read again when it changes."""

    direct: bool = False
    """Take predictions also from clients to whom a router gave a grant, made with the cluster's token."""

    def check(self, server: ServerOptions) -> None:
        """Refuse names without certificates to find them in, and grants without the token that they are made with.

        Raises:
            ValueError: naming the setting.
        """
        if self.allowed_clients and not server.tls_client_ca:
            raise ValueError("allowed_clients: given without tls_client_ca; callers then show no certificate")
        if self.direct and not self.cluster_token:
            raise ValueError("direct: given without cluster_token, by which a router's grants are known")

    def known(self) -> bool:
        """Whether anything says who calls."""
        return bool(self.allowed_clients or self.cluster_token)

    def guard(self) -> Guard | None:
        """Who is asked about callers; None where everybody who gets a connection counts as a router.

        Raises:
            ValueError: the token's file cannot be read.
        """
        if not self.known():
            return None
        token = Reloaded([self.cluster_token], cluster_tokens) if self.cluster_token else None
        return RouterGuard(self.allowed_clients, token, grants=self.direct)
