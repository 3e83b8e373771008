"""Any bytes may stand in a file of keys, tokens or certificates: it is read, or refused with a `ValueError`.

What is read here is what a process goes on with when such a file changes under it: anything else that was raised would
end it, or leave it with nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jwt.algorithms
import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from test_files import FUZZED, near, reads_or_refuses

from trunkshow.serving import api_keys, auth, tls, web_tokens

KEY = ec.generate_private_key(ec.SECP256R1()).public_key()
JWKS = json.dumps(
    {"keys": [{**jwt.algorithms.ECAlgorithm.to_jwk(KEY, as_dict=True), "kid": "a", "alg": "ES256"}]}
).encode()
PEM = KEY.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
ISSUED = trustme.CA().issue_cert("localhost")
CHAIN = b"".join(blob.bytes() for blob in ISSUED.cert_chain_pems)
PRIVATE = ISSUED.private_key_pem.bytes()

READERS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "API keys": (api_keys.make("shop", [auth.Role.READ])[1].encode(), api_keys.read),
    "JWKS": (JWKS, lambda data: web_tokens.read(data, web_tokens.ALGORITHMS)),
    "PEM": (PEM, lambda data: web_tokens.read(data, web_tokens.ALGORITHMS)),
    "cluster's token": (b"0123456789abcdef" * 4, lambda data: auth.cluster_tokens([data])),
}


@pytest.mark.parametrize("name", READERS)
def test_any_file_of_credentials_is_read_or_refused(name: str) -> None:
    """From a good one that was spoilt; the good one is read."""
    good, read = READERS[name]
    assert read(good)

    @FUZZED
    @given(near(good))
    def reads(data: bytes) -> None:
        reads_or_refuses(lambda: read(data), ValueError)

    reads()


@pytest.mark.parametrize("spoiling", ["certificate", "key"])
def test_any_certificate_and_any_key_are_read_or_refused(spoiling: str, tmp_path: Path) -> None:
    """Either of the two spoilt, the other one good."""
    chain, key = tmp_path / "tls.crt", tmp_path / "tls.key"

    @FUZZED
    @given(near(CHAIN if spoiling == "certificate" else PRIVATE))
    def reads(data: bytes) -> None:
        chain.write_bytes(data if spoiling == "certificate" else CHAIN)
        key.write_bytes(data if spoiling == "key" else PRIVATE)
        reads_or_refuses(lambda: tls.client_identity(None, chain, key), ValueError)

    reads()
