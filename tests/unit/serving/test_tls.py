"""Certificates: who shows none, a wrong one or an old one is refused, and new ones need no restart."""

from __future__ import annotations

import asyncio
import datetime
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import echo_service as echo
import grpc
import grpc.aio
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc

from trunkshow.channel import tls_credentials
from trunkshow.serving import metrics, reloaded, tls
from trunkshow.serving.auth import RouterGuard
from trunkshow.serving.options import ServerOptions
from trunkshow.serving.server import Server

SOON_S = 5.0


@dataclass
class Shop:
    """An authority, its certificates as files, and a server that asks for them."""

    folder: Path
    ca: trustme.CA
    port: int = 0

    def write(self, name: str, authority: trustme.CA | None = None, **details: object) -> tuple[Path, Path]:
        """A certificate and its key, as files; written anew where they exist."""
        made = (authority or self.ca).issue_cert("127.0.0.1", f"{name}.local", **details)  # type: ignore[arg-type]
        paths = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        paths[0].write_bytes(b"".join(one.bytes() for one in made.cert_chain_pems))
        paths[1].write_bytes(made.private_key_pem.bytes())
        return paths

    @property
    def authority(self) -> Path:
        """The authority's certificate, as a file."""
        path = self.folder / "ca.pem"
        self.ca.cert_pem.write_to_path(str(path))
        return path

    async def ask(self, credentials: grpc.ChannelCredentials | None, method: str = "Echo") -> bytes:
        """One call over a connection of its own."""
        target, options = f"127.0.0.1:{self.port}", [("grpc.use_local_subchannel_pool", 1)]
        opened = (
            grpc.aio.insecure_channel(target, options=options)
            if credentials is None
            else grpc.aio.secure_channel(target, credentials, options=options)
        )
        async with opened as channel:
            return bytes(await channel.unary_unary(f"/{echo.NAME}/{method}")(b"hello", timeout=SOON_S))

    async def refused(self, credentials: grpc.ChannelCredentials | None) -> grpc.StatusCode:
        """The status of a call that must fail."""
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await self.ask(credentials)
        return error.value.code()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Certificates, and no server."""
    return Shop(tmp_path, trustme.CA())


@pytest.fixture
async def mutual(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    """A server that lets router.local in, and looks at its files at every handshake."""
    monkeypatch.setattr(reloaded, "LOOK_EVERY_S", 0.0)
    certificate, key = shop.write("server")
    options = ServerOptions(tls_cert=certificate, tls_key=key, tls_client_ca=shop.authority)
    server = Server([echo.SERVICE], options, RouterGuard(["router.local"], None))
    shop.port = await server.start("127.0.0.1:0")
    yield shop
    await server.stop(0)


async def test_a_router_is_let_in(mutual: Shop) -> None:
    """With a certificate of the authority, and a name that is on the list."""
    assert await mutual.ask(tls_credentials(mutual.authority, *mutual.write("router"))) == b"hello"


async def test_a_certificate_with_another_name_is_let_in_nowhere_but_to_health(mutual: Shop) -> None:
    """It is the authority's, and no router's; probes may be anybody's."""
    credentials = tls_credentials(mutual.authority, *mutual.write("curious"))
    assert await mutual.refused(credentials) == grpc.StatusCode.PERMISSION_DENIED
    async with grpc.aio.secure_channel(f"127.0.0.1:{mutual.port}", credentials) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_who_does_not_belong_is_refused_in_the_handshake(mutual: Shop) -> None:
    """Plain text, no certificate, one of another authority, one that has expired."""
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    stranger = mutual.write("stranger", trustme.CA())
    expired = mutual.write("expired", not_after=past)
    tried = [
        None,
        tls_credentials(mutual.authority),
        tls_credentials(mutual.authority, *stranger),
        tls_credentials(mutual.authority, *expired),
    ]
    assert [await mutual.refused(one) for one in tried] == [grpc.StatusCode.UNAVAILABLE] * len(tried)


async def test_a_server_of_another_authority_is_not_believed(mutual: Shop, tmp_path: Path) -> None:
    """The caller refuses, too."""
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    assert await mutual.refused(tls_credentials(other, *mutual.write("router"))) == grpc.StatusCode.UNAVAILABLE


def test_a_key_of_an_unknown_kind_is_a_bad_key(shop: Shop) -> None:
    """As one that is no key at all is, so that a renewed one leaves the old one in use."""
    certificate, key = shop.write("server")
    nobodys_algorithm = bytes.fromhex("300c020100300506032a03040400")
    key.write_text(f"-----BEGIN PRIVATE KEY-----\n{b64encode(nobodys_algorithm).decode()}\n-----END PRIVATE KEY-----\n")
    with pytest.raises(ValueError, match="not an unencrypted PEM key"):
        tls.server_credentials(certificate, key, None)


async def test_certificates_are_renewed_under_load_and_no_call_fails(mutual: Shop) -> None:
    """Server, authority and callers change, one after the other, while calls go on over old and new connections."""
    credentials = tls_credentials(mutual.authority, *mutual.write("router"))
    done = asyncio.Event()
    target = f"127.0.0.1:{mutual.port}"

    async def steady() -> int:
        calls = 0
        async with grpc.aio.secure_channel(target, credentials) as channel:
            while not done.is_set():
                assert await channel.unary_unary(f"/{echo.NAME}/Echo")(b"x") == b"x"
                calls += 1
        return calls

    working = [asyncio.ensure_future(steady()) for _ in range(2)]
    first = await mutual.ask(credentials)
    old, mutual.ca = mutual.authority.read_bytes(), trustme.CA()
    both = old + mutual.ca.cert_pem.bytes()
    (mutual.folder / "ca.pem").write_bytes(both)
    trusting_both = mutual.folder / "both.pem"
    trusting_both.write_bytes(both)
    second = await mutual.ask(tls_credentials(trusting_both, *mutual.write("router")))
    mutual.write("server")
    third = await mutual.ask(tls_credentials(mutual.authority, *mutual.write("router")))
    done.set()
    assert (first, second, third) == (b"hello",) * 3
    assert min(await asyncio.gather(*working)) > 0


@pytest.mark.parametrize("damage", ["half a certificate", "another's key", "nothing", "gone"])
async def test_files_that_do_not_belong_together_change_nothing(mutual: Shop, damage: str) -> None:
    """The pair that was good stays, and the next good one is taken."""
    credentials = tls_credentials(mutual.authority, *mutual.write("router"))
    certificate, key = mutual.folder / "server.pem", mutual.folder / "server.key"
    if damage == "half a certificate":
        certificate.write_bytes(certificate.read_bytes()[:300])
    elif damage == "another's key":
        key.write_bytes(mutual.write("other")[1].read_bytes())
    elif damage == "nothing":
        certificate.write_bytes(b"")
    else:
        key.unlink()
    assert await mutual.ask(credentials) == b"hello"
    ends = datetime.datetime(2222, 2, 2, tzinfo=datetime.UTC)
    mutual.write("server", not_after=ends)
    assert await mutual.ask(credentials) == b"hello"
    name = "trunkshow_tls_certificate_expiry_timestamp_seconds"
    assert metrics.REGISTRY.get_sample_value(name, {"end": "server"}) == ends.timestamp()


async def test_a_bad_pair_ends_the_start(shop: Shop) -> None:
    """A server does not start with a key that is not the certificate's."""
    options = ServerOptions(tls_cert=shop.write("one")[0], tls_key=shop.write("two")[1])
    with pytest.raises(ValueError, match="do not belong together"):
        await Server([echo.SERVICE], options).start("127.0.0.1:0")


def test_a_clients_identity_is_read_again(shop: Shop) -> None:
    """Its version moves, so that whoever holds a channel opens another."""
    now = [0.0]
    certificate, key = shop.write("router")
    identity = tls.client_identity(shop.authority, certificate, key, lambda: now[0])
    before = identity.fresh(), identity.version
    shop.write("router")
    assert (identity.fresh(), identity.version) == before
    now[0] += reloaded.LOOK_EVERY_S
    after = identity.fresh(), identity.version
    assert after[1] == before[1] + 1 and after[0] != before[0]
