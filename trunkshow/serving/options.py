"""What can be chosen of any server of the cluster: one documented value, a part of every server's configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from trunkshow.serving.limits import Limits


@Parameter(name="*")
@dataclass(frozen=True)
class ServerOptions:
    """What every server has."""

    metrics_listen: str = ""
    """HOST:PORT to answer Prometheus on, at /metrics; nowhere where empty."""

    health_listen: str = ""
    """HOST:PORT to answer gRPC health probes on, in plain text, beside the main port; nowhere where empty."""

    limits: Annotated[Limits, Parameter(name="*")] = Limits()
    """Limits on whoever connects."""

    def __post_init__(self) -> None:
        """Refuse what cannot work, before anything starts.

        Raises:
            ValueError: naming the setting, what it was and what is allowed.
        """
        if self.metrics_listen:
            _address("metrics_listen", self.metrics_listen)
        if self.health_listen:
            _address("health_listen", self.health_listen)


def _address(name: str, address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError(f"{name}: {address!r} is not an address; write HOST:PORT, such as 127.0.0.1:9464")
    return host, int(port)
