"""The clients of one bucket: the same address and credentials, and a patience for each kind of request.

Region, credentials and endpoint come from the usual AWS_* environment (AWS_ENDPOINT_URL for a server of one's own).
What is asked of a bucket is left to `s3_store`, what its errors mean to `object_store_errors`.
"""

from __future__ import annotations

import os
from datetime import timedelta
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from obstore.store import S3Store as Client

CONNECT_S_MAX = 2.0
SILENCE_S_MAX = 10.0
"""Seconds without a byte, after which a transfer counts as stuck."""

ANSWER_S_MAX = 5.0
"""Seconds for a small answer: the pointer, a manifest, a list."""

RETRIES_MAX = 2
TRANSFER_S_MAX = 900.0


class Clients(NamedTuple):
    """Of one bucket.

    Attributes:
        small: for answers that are small: documents, lists, deletions.
        once: for the same, where a request must not be made twice.
        large: for files.
    """

    small: Client
    once: Client
    large: Client


def open_clients(bucket: str, prefix: str) -> Clients:
    """Clients of what lies under a prefix of a bucket; nothing is asked yet.

    Raises:
        Exception: whatever the client says of an environment that it cannot use.
    """
    return Clients(
        small=_client(bucket, prefix, RETRIES_MAX, timedelta(seconds=ANSWER_S_MAX)),
        once=_client(bucket, prefix, 0, timedelta(seconds=ANSWER_S_MAX)),
        large=_client(bucket, prefix, RETRIES_MAX, timedelta(seconds=TRANSFER_S_MAX)),
    )


def _client(name: str, prefix: str, retries: int, timeout: timedelta) -> Client:
    return Client(
        name,
        prefix=prefix or None,
        client_options={
            "allow_http": _may_be_plain(),
            "connect_timeout": timedelta(seconds=CONNECT_S_MAX),
            "read_timeout": timedelta(seconds=min(SILENCE_S_MAX, timeout.total_seconds())),
            "timeout": timeout,
        },
        retry_config={
            "max_retries": retries,
            "retry_timeout": timedelta(seconds=2 * SILENCE_S_MAX),
            "backoff": {"init_backoff": timedelta(milliseconds=50), "max_backoff": timedelta(seconds=1), "base": 2},
        },
    )


def _may_be_plain() -> bool:
    """Whether the endpoint may be asked without TLS: one on this machine, or where the environment says so."""
    if os.environ.get("AWS_ALLOW_HTTP", "").lower() in {"1", "true", "yes"}:
        return True
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    host = urlsplit(endpoint).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
