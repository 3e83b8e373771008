"""Certificates for both ends of a connection, renewed when their files change, without a restart.

A server asks for the newest pair at every handshake (gRPC's dynamic credentials), so a new one needs nothing else.
gRPC's clients cannot do that: whoever holds a channel opens another one when `Reloaded.version` moved. Connections that
stand go on as they are, with what was agreed on then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from trunkshow.serving import metrics
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.serving.reloaded import Reloaded

EXPIRES = metrics.gauge(
    "trunkshow_tls_certificate_expiry_timestamp_seconds", "When the certificate in use ends, since 1970.", ("end",)
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who one end is, and whom it believes.

    Attributes:
        key: private, PEM; None for an end that shows nothing.
        chain: certificates, its own first, PEM.
        authorities: that the other end's certificate must come from, PEM; None for the system's.
    """

    key: bytes | None
    chain: bytes | None
    authorities: bytes | None


def server_credentials(
    certificate: Path, key: Path, client_authorities: Path | None, clock: Clock = monotonic
) -> grpc.ServerCredentials:
    """What a server needs to listen; with `client_authorities`, callers must show a certificate from them.

    Raises:
        ValueError: a file cannot be read, or the two do not belong together.
    """
    files = _identity_files(certificate, key, client_authorities, "server", clock)
    given = files.fresh()

    def newest() -> grpc.ServerCertificateConfiguration | None:
        nonlocal given
        identity = files.fresh()
        if identity is given:
            return None
        given = identity
        return _configuration(identity)

    asked = client_authorities is not None
    # gRPC takes None for "as before"; the types it is given by others do not know that.
    return grpc.dynamic_ssl_server_credentials(_configuration(given), newest, asked)  # type: ignore[arg-type]


def client_identity(
    authorities: Path | None, certificate: Path | None, key: Path | None, clock: Clock = monotonic
) -> Reloaded[Identity]:
    """What a client needs to connect, renewed.

    Raises:
        ValueError: a file cannot be read, or certificate and key do not belong together.
    """
    if (certificate is None) != (key is None):
        raise ValueError("a certificate and its key are given together, or neither")
    if certificate is not None and key is not None:
        return _identity_files(certificate, key, authorities, "client", clock)
    paths = [authorities] if authorities else []
    return Reloaded(paths, lambda found: Identity(None, None, _authorities(found[0]) if found else None), clock)


def channel_credentials(identity: Identity) -> grpc.ChannelCredentials:
    """As gRPC takes them for a channel."""
    return grpc.ssl_channel_credentials(identity.authorities, identity.key, identity.chain)


def _identity_files(
    certificate: Path, key: Path, authorities: Path | None, end: str, clock: Clock
) -> Reloaded[Identity]:
    def read(found: Sequence[bytes]) -> Identity:
        identity = Identity(found[1], found[0], _authorities(found[2]) if authorities else None)
        EXPIRES.labels(end).set(_checked(found[0], found[1]).not_valid_after_utc.timestamp())
        return identity

    return Reloaded([certificate, key, *([authorities] if authorities else [])], read, clock)


def _checked(chain: bytes, key: bytes) -> x509.Certificate:
    certificate = _certificates(chain)[0]
    try:
        private, public = serialization.load_pem_private_key(key, password=None), certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("the key is not an unencrypted PEM key of a kind that is known here") from None
    if _public(private.public_key()) != _public(public):
        raise ValueError("the certificate and the key do not belong together")
    return certificate


def _authorities(data: bytes) -> bytes:
    _certificates(data)
    return data


def _certificates(data: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        raise ValueError("no PEM certificate is to be found in it") from None


def _public(key: object) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.DER, form)  # type: ignore[attr-defined, no-any-return]


def _configuration(identity: Identity) -> grpc.ServerCertificateConfiguration:
    assert identity.key and identity.chain  # a server always shows something
    return grpc.ssl_server_certificate_configuration([(identity.key, identity.chain)], identity.authorities)
