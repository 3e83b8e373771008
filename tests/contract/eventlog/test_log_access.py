"""A log that asks who is there: credentials are used, told nobody, and not said without TLS where TLS is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import nats_servers
import pytest
import trustme
from nats_servers import NatsServer
from worlds import WITHIN_S, event, first, ids

from trunkshow.eventlog.log import LogUnavailable
from trunkshow.eventlog.opening import open_log
from trunkshow.eventlog.settings import LogSettings

USER, PASSWORD = "shop", "hunter2"
USERS = {"users": [{"user": USER, "password": PASSWORD}]}
SETTINGS = LogSettings(bytes_max=64 << 20, connect_s_max=1.0)
GIVEN = {"TRUNKSHOW_LOG_USER": USER, "TRUNKSHOW_LOG_PASSWORD": PASSWORD}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """One that asks for a password."""
    with nats_servers.running(tmp_path / "log", authorization=USERS) as made:
        yield made


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """Files of an authority, and of a server's certificate."""
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate = made.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    return tmp_path


async def test_the_right_password_opens_the_log(server: NatsServer) -> None:
    """And it stands in no address."""
    log = open_log(server.url, SETTINGS, GIVEN)
    await log.append([event("user", 0)], WITHIN_S)
    assert ids(await first(log, 1)) == ["user-0"]
    assert PASSWORD not in log.url
    await log.close()


@pytest.mark.parametrize("given", [{}, {**GIVEN, "TRUNKSHOW_LOG_PASSWORD": "a-wrong-one"}])
async def test_any_other_is_unavailable_and_told_nobody(
    server: NatsServer, given: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says why, and neither it nor a line of a log says with what."""
    log = open_log(server.url, SETTINGS, given)
    with pytest.raises(LogUnavailable, match=r"(?i)authorization") as refused:
        await log.append([event("user", 0)], 1.0)
    await log.close()
    told = capsys.readouterr()
    assert "a-wrong-one" not in str(refused.value) + told.out + told.err


async def test_a_log_behind_tls_is_used_with_tls(authority: Path, tmp_path: Path) -> None:
    """With the authority that signed its certificate; with another one it is unavailable."""
    files = {"cert_file": str(authority / "certificate.pem"), "key_file": str(authority / "key.pem")}
    stranger = tmp_path / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(stranger)
    with nats_servers.running(tmp_path / "log", tls=files | {"handshake_first": "auto"}, authorization=USERS) as server:
        log = open_log(server.url, SETTINGS, {**GIVEN, "TRUNKSHOW_LOG_TLS_CA": str(authority / "ca.pem")})
        await log.append([event("user", 0)], WITHIN_S)
        await log.close()
        log = open_log(server.url, SETTINGS, {**GIVEN, "TRUNKSHOW_LOG_TLS_CA": str(stranger)})
        with pytest.raises(LogUnavailable, match=r"(?i)certificate"):
            await log.append([event("user", 1)], 2.0)
        await log.close()


async def test_a_server_without_tls_does_not_get_the_password(authority: Path) -> None:
    """Whoever stands in between could be one."""
    heard = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.11.0","max_payload":1048576,"auth_required":true}\r\n')
        heard.extend(await reader.read(65_536))
        writer.close()

    listening = await asyncio.start_server(listen, "127.0.0.1", 0)
    address = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    log = open_log(f"nats://{address}/EVENTS", SETTINGS, {**GIVEN, "TRUNKSHOW_LOG_TLS_CA": str(authority / "ca.pem")})
    with pytest.raises(LogUnavailable):
        await log.append([event("user", 0)], 1.0)
    await log.close()
    listening.close()
    assert heard
    assert PASSWORD.encode() not in heard
