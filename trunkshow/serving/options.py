"""What can be chosen of any server of the cluster: one documented value, a part of every server's configuration.

It also decides what may be listened on: beyond this machine only with TLS and with something to know callers by, unless
somebody says that they mean it (`exposure`).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from trunkshow.serving.limits import Limits

LOOPBACK = "127.0.0.1"
PORT_MAX = 65535
UNIX = "unix:"
"""What an address begins with that is a path on this machine."""


@Parameter(name="*")
@dataclass(frozen=True)
class ServerOptions:
    """What every server has."""

    tls_cert: Path | None = None
    """This server's certificate and what leads to its authority, PEM; read again when it changes. Plain without."""

    tls_key: Path | None = None
    """The certificate's private key, PEM."""

    tls_client_ca: Path | None = None
    """Authorities from which callers must show a certificate, PEM; callers show none without."""

    insecure: bool = False
    """Listen beyond this machine although TLS, or something to know callers by, is missing."""

    no_reflection: bool = False
    """Do not describe the services to whoever asks; gRPC's reflection needs no credentials."""

    log_user_ids: bool = False
    """Tell exceptions' messages in the logs, too, which may hold users' ids; otherwise the logs hold none."""

    metrics_listen: str = ""
    """HOST:PORT, PORT of 127.0.0.1, or unix:PATH, to answer Prometheus on, at /metrics; nowhere where empty."""

    health_listen: str = ""
    """HOST:PORT, or unix:PATH, to answer gRPC health probes on, in plain text, beside the main port; nowhere where
    empty."""

    limits: Annotated[Limits, Parameter(name="*")] = Limits()
    """Limits on whoever connects."""

    def __post_init__(self) -> None:
        """Refuse what cannot work, before anything starts.

        Raises:
            ValueError: naming the setting, what it was and what is allowed.
        """
        together("tls_cert", self.tls_cert, "tls_key", self.tls_key)
        if self.tls_client_ca and not self.tls_cert:
            raise ValueError("tls_client_ca: given without tls_cert and tls_key; there is no TLS to ask for them in")
        for option, given in (("metrics_listen", self.metrics_listen), ("health_listen", self.health_listen)):
            if given and not given.startswith(UNIX):
                address(option, given)

    def exposure(self, listen: str, knows_callers: bool, how_to: str) -> None:
        """Refuse to listen beyond this machine without TLS, or to whoever comes, unless told to.

        Args:
            listen: HOST:PORT.
            knows_callers: something says who may call.
            how_to: what would, for the message.

        Raises:
            ValueError: saying what is missing.
        """
        if self.insecure or is_loopback(listen):
            return
        missing = [] if self.tls_cert else ["TLS (--tls-cert, --tls-key)"]
        missing += [] if knows_callers else [f"something to know callers by ({how_to})"]
        if missing:
            lacking = " and ".join(missing)
            raise ValueError(f"listen: {listen} is not this machine alone; give {lacking}, or say --insecure")


def together(one: str, first: object, other: str, second: object) -> None:
    """Refuse one setting without the other.

    Raises:
        ValueError: naming both.
    """
    if bool(first) != bool(second):
        raise ValueError(f"{one if first else other}: given without {other if first else one}; one is no use alone")


def address(name: str, text: str) -> tuple[str, int]:
    """HOST:PORT, or PORT of this machine, in two.

    Raises:
        ValueError: it is not of that form.
    """
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) <= PORT_MAX):
        raise ValueError(f"{name}: {text!r} is not an address; write HOST:PORT, such as 127.0.0.1:9464")
    return host.strip("[]") or LOOPBACK, int(port)


def is_loopback(listen: str) -> bool:
    """Whether only this machine reaches what listens there."""
    if listen.startswith(("unix:", "unix-abstract:")):
        return True
    host = listen.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"
