"""What a caller on the command line shows to a router: certificates, an API key or a token."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from grpc import ChannelCredentials

from cli.output import UsageError
from trunkshow.client import Client, tls_credentials


def _also(name: str) -> Parameter:
    return Parameter(env_var=f"TRUNKSHOW_{name}", show_default=False)


@Parameter(name="*")
@dataclass(frozen=True)
class Access:
    """How a router is reached, and what it is shown."""

    tls: Annotated[bool, _also("TLS")] = False
    """Connect by TLS, and believe the authorities of this system; any of the next three means TLS, too."""

    tls_ca: Annotated[Path | None, _also("TLS_CA")] = None
    """Authorities that the router's certificate must come from, PEM."""

    tls_cert: Annotated[Path | None, _also("TLS_CERT")] = None
    """The certificate to show, PEM."""

    tls_key: Annotated[Path | None, _also("TLS_KEY")] = None
    """Its private key, PEM."""

    api_key: Annotated[str, _also("API_KEY")] = ""
    """API key. Better in the environment: other users of this machine may read command lines."""

    token: Annotated[str, _also("TOKEN")] = ""
    """JSON web token, instead of an API key; the same holds."""

    def credentials(self) -> ChannelCredentials | None:
        """For TLS; None where the connection is plain.

        Raises:
            UsageError: a file cannot be read.
        """
        secure = self.tls or any((self.tls_ca, self.tls_cert, self.tls_key))
        try:
            return tls_credentials(self.tls_ca, self.tls_cert, self.tls_key) if secure else None
        except OSError as error:
            raise UsageError(f"{error.filename}: {error.strerror}") from None
        except ValueError as error:
            raise UsageError(str(error)) from None

    def client(self, target: str, **settings: float) -> Client:
        """A client that shows all of it.

        Raises:
            UsageError: a file cannot be read.
        """
        credentials = self.credentials()
        return Client(target, credentials=credentials, api_key=self.api_key, token=self.token, **settings)


NOTHING = Access()
