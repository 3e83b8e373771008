"""Who opens the event log: credentials from the environment, or from files that it names. They are told to nobody else.

| variable | what it is |
|---|---|
| `TRUNKSHOW_LOG_USER`, `TRUNKSHOW_LOG_PASSWORD_FILE` or `TRUNKSHOW_LOG_PASSWORD` | a user and a password |
| `TRUNKSHOW_LOG_TOKEN_FILE` | a token, on NATS |
| `TRUNKSHOW_LOG_CREDENTIALS_FILE` | a NATS `.creds` file; needs the package `nkeys` |
| `TRUNKSHOW_LOG_MECHANISM` | SASL's, on Kafka; SCRAM-SHA-512 where not given |
| `TRUNKSHOW_LOG_TLS_CA` | the authority of the servers' certificates; where given, nothing is said without TLS |
| `TRUNKSHOW_LOG_TLS_CERTIFICATE`, `TRUNKSHOW_LOG_TLS_KEY` | this process's own, where the servers ask for one |

On NATS files are read at each connection, so what was renewed is used at the next one; on Kafka a password's file once.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PREFIX = "TRUNKSHOW_LOG_"
MECHANISM = "SCRAM-SHA-512"
SECRET_BYTES_MAX = 64 << 10


@dataclass(frozen=True)
class Credentials:
    """Where the secrets are, or, of a password, what it is.

    Attributes:
        user: and its password.
        password: itself; out of `repr`.
        password_file: that holds it.
        token_file: that holds a token.
        credentials_file: NATS' own.
        mechanism: SASL's.
        tls_ca: file; TLS where it is given.
        tls_certificate: file.
        tls_key: file.
    """

    user: str = ""
    password: str = field(default="", repr=False)
    password_file: str = ""
    token_file: str = ""
    credentials_file: str = ""
    mechanism: str = MECHANISM
    tls_ca: str = ""
    tls_certificate: str = ""
    tls_key: str = ""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Credentials:
        """Those that an environment names."""
        named = {name: environment.get(PREFIX + name.upper(), "") for name in cls.__dataclass_fields__}
        return cls(**{name: value for name, value in named.items() if value})

    def for_nats(self) -> dict[str, Any]:
        """Options of a NATS connection.

        Raises:
            OSError: a file cannot be read.
            ValueError: or does not hold what it should.
        """
        options: dict[str, Any] = {}
        if self.user:
            options |= {"user": self.user, "password": self._password()}
        if self.token_file:
            options["token"] = _secret(self.token_file)
        if self.credentials_file:
            options["user_credentials"] = self.credentials_file
        if self.tls_ca:
            # First of all, before the server has said a word: the client believes a server that asks for no TLS, and
            # would tell its password to whoever stands in between.
            options |= {"tls": self._tls(), "tls_handshake_first": True}
        return options

    def for_kafka(self) -> dict[str, Any]:
        """Configuration of a Kafka client.

        Raises:
            OSError: a file cannot be read.
            ValueError: or does not hold what it should.
        """
        kind = ("SASL_" if self.user else "") + ("SSL" if self.tls_ca else "PLAINTEXT")
        options: dict[str, Any] = {"security.protocol": kind}
        if self.user:
            options |= {
                "sasl.mechanism": self.mechanism,
                "sasl.username": self.user,
                "sasl.password": self._password(),
            }
        files = {
            "ssl.ca.location": self.tls_ca,
            "ssl.certificate.location": self.tls_certificate,
            "ssl.key.location": self.tls_key,
        }
        return options | {name: path for name, path in files.items() if path}

    def _password(self) -> str:
        return _secret(self.password_file) if self.password_file else self.password

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.tls_ca)
        if self.tls_certificate:
            context.load_cert_chain(self.tls_certificate, self.tls_key or None)
        return context


def _secret(path: str) -> str:
    """The one line of a file.

    Raises:
        ValueError: it has none.
    """
    with Path(path).open("rb") as opened:
        text = opened.read(SECRET_BYTES_MAX).decode().strip()
    if not text:
        raise ValueError(f"{path} is empty")
    return text
