"""The log of the production overlay is reached with the settings that its processes are given there."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from worlds import WITHIN_S, event, first, ids

from cli import nats
from cli.addresses import free_address
from trunkshow.eventlog.log import LogUnavailable
from trunkshow.eventlog.opening import open_log
from trunkshow.eventlog.settings import LogSettings

OVERLAY = Path(__file__).resolve().parents[3] / "k8s" / "overlays" / "production"
SETTINGS = LogSettings(bytes_max=64 << 20, connect_s_max=1.0)


def certificate(authority: trustme.CA, folder: Path) -> None:
    """As a secret is mounted."""
    made = authority.issue_cert("127.0.0.1", "trunkshow-router")
    made.private_key_pem.write_to_path(folder / "tls.key")
    made.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    authority.cert_pem.write_to_path(folder / "ca.crt")


def given(tls: Path) -> dict[str, str]:
    """What the overlay tells everybody, with the folder of these files."""
    lines = (OVERLAY / "trunkshow.env").read_text().splitlines()
    pairs = (line.split("=", 1) for line in lines if line.startswith("TRUNKSHOW_LOG_"))
    return {name: value.replace("/tls/", f"{tls}/") for name, value in pairs}


@contextmanager
def server(folder: Path, tls: Path) -> Iterator[str]:
    """The address of a server with the overlay's files as they are."""
    (folder / "tls.conf").write_text((OVERLAY / "tls.conf").read_text().replace("/tls/", f"{tls}/"))
    (folder / "cluster-tls.conf").write_text((OVERLAY / "cluster-tls.conf").read_text().replace("/tls/", f"{tls}/"))
    address, among_them = free_address(), free_address()
    (folder / "nats.conf").write_text(
        f"listen: {address}\ninclude tls.conf\njetstream {{ store_dir: {folder} }}\nserver_name: one\n"
    )
    # A cluster of one: its part of the file is read as well, and nobody waits for others.
    (folder / "cluster.conf").write_text(f"cluster {{ name: c, listen: {among_them}\n include cluster-tls.conf }}\n")
    checked = subprocess.run(
        [nats.program(), "-t", "--config", str(folder / "cluster.conf")], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen([nats.program(), "--config", str(folder / "nats.conf")], stdout=log, stderr=log)
    try:
        yield address
    finally:
        process.kill()
        process.wait(60)


async def test_the_overlays_log_is_reached_with_the_overlays_settings(tmp_path: Path) -> None:
    """Both ends show a certificate, and TLS comes before the server's first word."""
    tls = tmp_path / "tls"
    tls.mkdir()
    certificate(trustme.CA(), tls)
    with server(tmp_path, tls) as address:
        log = open_log(f"nats://{address}/EVENTS", SETTINGS, given(tls))
        await log.append([event("user", 0)], WITHIN_S)
        assert ids(await first(log, 1)) == ["user-0"]
        await log.close()


async def test_who_has_no_certificate_of_the_overlays_authority_is_turned_away(tmp_path: Path) -> None:
    """Servers ask for one."""
    tls = tmp_path / "tls"
    tls.mkdir()
    certificate(trustme.CA(), tls)
    with server(tmp_path, tls) as address:
        stranger = {"TRUNKSHOW_LOG_TLS_CA": str(tls / "ca.crt")}
        log = open_log(f"nats://{address}/EVENTS", SETTINGS, stranger)
        with pytest.raises(LogUnavailable):
            await log.append([event("user", 0)], 2.0)
        await log.close()
