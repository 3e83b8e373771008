"""What a router refuses to start with, of what concerns browsers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from router.config import RouterConfig
from router.tracking.options import TrackingOptions
from trunkshow.serving.options import ServerOptions


def config(**chosen: Any) -> RouterConfig:
    server = chosen.pop("server", ServerOptions())
    log = chosen.pop("log", "nats://127.0.0.1:4222/EVENTS")
    return RouterConfig(
        store="store", shards=("127.0.0.1:1",), log=log, server=server, tracking=TrackingOptions(**chosen)
    )


def test_nobody_listens_by_default() -> None:
    """Not without a word of the operator's."""
    assert RouterConfig(store="store", shards=("127.0.0.1:1",)).tracking.http_listen == ""


def test_it_needs_a_log() -> None:
    """Or it would refuse everything."""
    with pytest.raises(ValueError, match="http_listen: given without log"):
        config(http_listen="127.0.0.1:8080", log="")


def test_beyond_this_machine_it_needs_tls_or_a_word() -> None:
    """As the main port does."""
    with pytest.raises(ValueError, match=r"http_listen: .* not this machine alone"):
        config(http_listen="0.0.0.0:8080")
    config(http_listen="0.0.0.0:8080", server=ServerOptions(insecure=True))
    config(http_listen="0.0.0.0:8080", server=ServerOptions(tls_cert=Path("cert"), tls_key=Path("key")))


@pytest.mark.parametrize(
    ("chosen", "setting"),
    [
        ({"http_listen": "8080x"}, "http_listen"),
        ({"http_origins": ("shop.example",)}, "http_origins"),
        ({"http_origins": ("https://shop.example/",)}, "http_origins"),
        ({"http_origins": ("ftp://shop.example",)}, "http_origins"),
        ({"http_proxies": ("proxy",)}, "http_proxies"),
        ({"http_proxies": ("10.0.0.1/8",)}, "http_proxies"),
        ({"http_body_bytes_max": 10}, "http_body_bytes_max"),
        ({"http_connections_max": 0}, "http_connections_max"),
        ({"http_address_events_s": 0}, "http_address_events_s"),
        ({"http_user_events_s": float("nan")}, "http_user_events_s"),
        ({"http_user_burst": 0}, "http_user_burst"),
        ({"http_callers_max": 0}, "http_callers_max"),
    ],
)
def test_what_cannot_work_is_refused_by_name(chosen: dict[str, Any], setting: str) -> None:
    """Before anything starts."""
    with pytest.raises(ValueError, match=f"^{setting}: "):
        config(**chosen)


def test_origins_are_taken_as_browsers_write_them() -> None:
    """With a port where it is not the usual one."""
    config(http_origins=("https://shop.example", "http://localhost:3000", "*"))
