"""Signatures of manifests: Ed25519 over the manifest's bytes, in a file beside it.

A manifest names the checksum of every file, so its signature covers the whole snapshot. It does not cover the pointer:
who can write to the store can still choose among the versions that were signed.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from trunkshow.snapshot.manifest import SnapshotRefused

SIGNATURE_NAME = "manifest.sig"
SIGNATURE_BYTES_MAX = 1024

Key = Ed25519PublicKey


class KeyUnusable(Exception):
    """A file holds no such key; the message is one line fit for a person."""


def make_pair(private: Path, public: Path) -> None:
    """Write a new pair of keys, PEM; the private one for its owner's eyes alone.

    Raises:
        KeyUnusable: a file is there already, or cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    shown = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for path, data, mode in ((private, secret, 0o600), (public, shown, 0o644)):
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as opened:
                opened.write(data)
        except FileExistsError:
            raise KeyUnusable(f"{path} is there already; keys are not overwritten") from None
        except OSError as error:
            raise KeyUnusable(f"{path} cannot be written: {error.strerror}") from error


def sign(private: Path, data: bytes) -> bytes:
    """The signature of `data`, as it is written beside a manifest.

    Raises:
        KeyUnusable: the file holds no Ed25519 private key.
    """
    try:
        key = load_pem_private_key(private.read_bytes(), password=None)
    except OSError as error:
        raise KeyUnusable(f"{private} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(f"{private} holds no private key: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable(f"{private} holds no Ed25519 key; make one with `trunkshow keys`")
    return base64.b64encode(key.sign(data)) + b"\n"


def load_key(public: Path) -> Key:
    """The key that signatures are checked with.

    Raises:
        KeyUnusable: the file holds no Ed25519 public key.
    """
    try:
        key = load_pem_public_key(public.read_bytes())
    except OSError as error:
        raise KeyUnusable(f"{public} cannot be read: {error.strerror}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(f"{public} holds no public key: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyUnusable(f"{public} holds no Ed25519 key; make one with `trunkshow keys`")
    return key


def check_signature(key: Key, data: bytes, signature: bytes, version: str) -> None:
    """Refuse a manifest that does not carry the key's signature.

    Raises:
        SnapshotRefused: it carries none, or another.
    """
    if not signature:
        raise SnapshotRefused(f"{version} is not signed, and only signed snapshots are accepted here")
    try:
        key.verify(base64.b64decode(signature.strip(), validate=True), data)
    except (InvalidSignature, ValueError):
        raise SnapshotRefused(f"{version} is not signed with the key that is accepted here") from None
