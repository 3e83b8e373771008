"""A line moves over to new certificates once the shard has accepted them, and not before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest
import trustme

from router.cluster.lines import ShardLines, ToShards
from router.cluster.shard_channel import ShardChannel
from trunkshow.serving import reloaded

WITHIN_S = 60.0


def write(folder: Path, authority: trustme.CA, name: str) -> tuple[Path, Path]:
    """A certificate and its key, as files; written anew where they exist."""
    made = authority.issue_cert("127.0.0.1")
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    made.private_key_pem.write_to_path(str(paths[1]))
    paths[0].write_bytes(b"".join(one.bytes() for one in made.cert_chain_pems))
    return paths


@asynccontextmanager
async def shard(authority: trustme.CA, folder: Path) -> AsyncIterator[str]:
    """A server that lets only this authority's callers in; its address."""

    async def predict(request: bytes, context: object) -> bytes:
        return request

    certificate, key = write(folder, authority, "shard")
    pairs = [(key.read_bytes(), certificate.read_bytes())]
    credentials = grpc.ssl_server_credentials(pairs, authority.cert_pem.bytes(), require_client_auth=True)
    server = grpc.aio.server()
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(predict)  # type: ignore[arg-type]
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("trunkshow.v1.ShardService", {"Predict": handler})]
    )
    address = f"127.0.0.1:{server.add_secure_port('127.0.0.1:0', credentials)}"
    await server.start()
    yield address
    await server.stop(None)


async def test_certificates_that_a_shard_refuses_cut_nobody_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls go on over the old line, however often it is looked; good ones take over."""
    monkeypatch.setattr(reloaded, "LOOK_EVERY_S", 0.0)
    authority = trustme.CA()
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    certificate, key = write(tmp_path, authority, "router")
    lines = ShardLines(ToShards(shard_tls_ca=ca, shard_tls_cert=certificate, shard_tls_key=key))
    async with shard(authority, tmp_path) as address:
        line = ShardChannel(address, lines)
        assert await line.predict(b"x", timeout=WITHIN_S) == b"x"
        write(tmp_path, trustme.CA(), "router")
        for _ in range(20):
            assert not line.renewed()
            assert await line.predict(b"x", timeout=WITHIN_S) == b"x"
            await asyncio.sleep(0.01)  # the handshake, which must come to nothing, has its turns
        write(tmp_path, authority, "router")
        async with asyncio.timeout(WITHIN_S):
            while not line.renewed():  # noqa: ASYNC110 - another thread's doing
                await asyncio.sleep(0.01)
        assert await line.predict(b"x", timeout=WITHIN_S) == b"x"
        await line.close()
