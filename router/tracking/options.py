"""What an operator chooses of the listener for browsers."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from cyclopts import Parameter

from trunkshow.serving.limits import at_least
from trunkshow.serving.options import address, is_loopback

ANY = "*"


@Parameter(name="*")
@dataclass(frozen=True)
class TrackingOptions:
    """The listener for browsers and e-mails."""

    http_listen: str = ""
    """HOST:PORT to take events from browsers and e-mails on, over HTTP; nowhere where empty. With --tls-cert it is
    HTTPS. It asks for no API key: docs/security.md says what that means."""

    http_origins: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ()
    """Origins of the pages that may send events, such as https://shop.example; * for all."""

    http_user_key: Path | None = None
    """File of the secret that user tokens are signed with; events without a right token are refused. Anybody may say
    that they are any user without."""

    http_proxies: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ()
    """Addresses or networks of proxies whose X-Forwarded-For is believed; limits per address need it behind one."""

    http_body_bytes_max: int = 65536
    """Bytes of a call's body; more is refused. Browsers send no more as a page is left."""

    http_connections_max: int = 1024
    """Connections at a time; more are closed at once."""

    http_address_events_s: float = 50
    """Events a second from one address (of IPv6, one /64), in the long run."""

    http_address_burst: int = 1000
    """Events that an address may send at once."""

    http_user_events_s: float = 5
    """Events a second of one user, in the long run."""

    http_user_burst: int = 200
    """Events that a user may send at once."""

    http_callers_max: int = 100_000
    """Addresses, and users, that are kept count of; the one heard of longest ago is forgotten first."""

    def __post_init__(self) -> None:
        """Refuse what cannot work, before anything starts.

        Raises:
            ValueError: naming the setting, what it was and what is allowed.
        """
        if self.http_listen:
            address("http_listen", self.http_listen)
        for origin in self.http_origins:
            _check_origin(origin)
        for proxy in self.http_proxies:
            _check_proxy(proxy)
        at_least(1024, http_body_bytes_max=self.http_body_bytes_max)
        at_least(1, http_connections_max=self.http_connections_max, http_callers_max=self.http_callers_max)
        at_least(0.001, http_address_events_s=self.http_address_events_s, http_user_events_s=self.http_user_events_s)
        at_least(1, http_address_burst=self.http_address_burst, http_user_burst=self.http_user_burst)

    def exposure(self, *, tls: bool, insecure: bool) -> None:
        """Refuse to listen beyond this machine in plain text, unless told to.

        Raises:
            ValueError: saying what is missing.
        """
        if self.http_listen and not (tls or insecure or is_loopback(self.http_listen)):
            missing = "give --tls-cert and --tls-key, or say --insecure where a proxy in front has TLS"
            raise ValueError(f"http_listen: {self.http_listen} is not this machine alone; {missing}")


def _check_origin(origin: str) -> None:
    parts = urlsplit(origin)
    if origin != ANY and not (parts.scheme in ("http", "https") and origin == f"{parts.scheme}://{parts.netloc}"):
        raise ValueError(f"http_origins: {origin!r} is no origin; write https://HOST[:PORT], or *")


def _check_proxy(proxy: str) -> None:
    try:
        ip_network(proxy)
    except ValueError:
        raise ValueError(f"http_proxies: {proxy!r} is neither an address nor a network such as 10.0.0.0/8") from None
