"""A whole cluster behind certificates and keys: it answers who may ask, renews itself, and tells nobody's id."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import datasets
import grpc
import pytest
import trustme
from datasets import Built
from processes import DEADLINE_MS, READY_WITHIN_S, ROOT, Process

from cli.addresses import free_address
from trunkshow.client import Client, PermissionDenied, Rung, Unauthenticated, tls_credentials
from trunkshow.direct import DirectClient
from trunkshow.errors import Unavailable
from trunkshow.receipts import Outcome
from trunkshow.serving import api_keys
from trunkshow.serving.auth import Role

WITHIN_S = 60
USERS = [datasets.user_id(number) for number in range(40)]


def write(folder: Path, name: str, ca: trustme.CA) -> list[str]:
    """A certificate and its key, as files."""
    made = ca.issue_cert("127.0.0.1", f"{name}.local")
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(b"".join(one.bytes() for one in made.cert_chain_pems))
    paths[1].write_bytes(made.private_key_pem.bytes())
    return [str(path) for path in paths]


@dataclass
class Secured:
    """Two shards and a router, with certificates, a token and keys."""

    folder: Path
    ca: trustme.CA = field(default_factory=trustme.CA)
    keys: dict[str, str] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    target: str = ""
    shards: list[str] = field(default_factory=list)

    def start(self, store: Path) -> None:
        """Start all of it, and return once it answers from the snapshot."""
        self.ca.cert_pem.write_to_path(str(self.folder / "ca.pem"))
        (self.folder / "token").write_text("0123456789abcdef" * 2)
        self._make_keys()
        self.target, self.shards = free_address(), [free_address(), free_address()]
        ca, token = str(self.folder / "ca.pem"), str(self.folder / "token")
        common = ["--store", str(store), "--shards", *self.shards, "--cluster-token", token, "--direct"]
        certificate, key = write(self.folder, "shard", self.ca)
        tls = ["--tls-cert", certificate, "--tls-key", key, "--tls-client-ca", ca, "--allowed-clients", "router.local"]
        for number, address in enumerate(self.shards):
            self._run(f"shard-{number}", ["shard", *common, "--listen", address, "--name", address, *tls])
        certificate, key = write(self.folder, "router", self.ca)
        tls = ["--shard-tls-ca", ca, "--shard-tls-cert", certificate, "--shard-tls-key", key]
        tls += ["--tls-cert", certificate, "--tls-key", key, "--api-keys", str(self.folder / "keys")]
        self._run("router", ["router", *common, "--listen", self.target, "--deadline-ms", str(DEADLINE_MS), *tls])
        until(self.answers_personally, READY_WITHIN_S)

    def _make_keys(self) -> None:
        lines = []
        for name, role in (("shop", Role.READ), ("operator", Role.OPERATE)):
            self.keys[name], line = api_keys.make(name, [role])
            lines.append(line)
        (self.folder / "keys").write_text("\n".join(lines))

    def _run(self, name: str, arguments: list[str]) -> None:
        self.metrics[name] = free_address()
        every = ["--metrics-listen", self.metrics[name], "--log-level", "debug"]
        self.processes[name] = Process([*arguments, *every], self.folder / f"{name}.log")

    def client(self, who: str = "", **settings: object) -> Client:
        """A client who holds this key."""
        credentials = tls_credentials(self.folder / "ca.pem")
        key = self.keys.get(who, who)
        return Client(self.target, credentials=credentials, api_key=key, deadline_ms=DEADLINE_MS, **settings)  # type: ignore[arg-type]

    def direct(self, who: str, **shown: object) -> DirectClient:
        """A client who holds this key, and asks shards itself, showing them this."""
        credentials = tls_credentials(self.folder / "ca.pem")
        return DirectClient(
            self.target,
            credentials=credentials,
            api_key=self.keys[who],
            deadline_ms=DEADLINE_MS,
            **shown,  # type: ignore[arg-type]
        )

    def answers_personally(self) -> bool:
        """Whether every partition is covered, and a user gets what is theirs."""
        try:
            with self.client("operator") as operator, self.client("shop") as shop:
                covered = operator.status().covered
                return covered and shop.recommend(USERS[0]).receipt.rung == Rung.SNAPSHOT
        except Unavailable:
            return False

    def said(self) -> str:
        """All that was logged, and all that Prometheus is told."""
        logs = [path.read_text() for path in self.folder.glob("*.log")]
        told = [urllib.request.urlopen(f"http://{one}/metrics").read().decode() for one in self.metrics.values()]
        return "\n".join([*logs, *told])

    def end(self) -> None:
        """End every process."""
        for process in self.processes.values():
            process.kill()


def until(true: Callable[[], bool], within_s: float = WITHIN_S) -> None:
    """Ask until it is so."""
    ends = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < ends, "not within the time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def cluster(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """The cluster; the tests below only add to what was asked of it."""
    made = Secured(tmp_path_factory.mktemp("secured"))
    try:
        made.start(built.store)
        yield made
    finally:
        made.end()


def test_each_role_opens_its_own_door(cluster: Secured) -> None:
    """Who may read gets slates and no status, who may operate the other way round, and who is unknown nothing."""
    with cluster.client("shop") as shop, cluster.client("operator") as operator:
        assert shop.recommend(USERS[1]).receipt.rung == Rung.SNAPSHOT
        with pytest.raises(PermissionDenied):
            shop.status()
        assert operator.status().covered
        with pytest.raises(PermissionDenied):
            operator.recommend(USERS[1])
    for key, reason in (("", "CREDENTIALS_MISSING"), ("tsk_guessed", "CREDENTIALS_INVALID")):
        with cluster.client(key) as nobody, pytest.raises(Unauthenticated) as error:
            nobody.recommend(USERS[1])
        assert error.value.reason == reason


def test_the_command_line_shows_what_it_is_given(cluster: Secured) -> None:
    """Certificates as flags, the key from the environment."""
    command = [sys.executable, "-m", "cli.main", "status", "--target", cluster.target, "--json"]
    environment = {**os.environ, "TRUNKSHOW_API_KEY": cluster.keys["operator"]}
    done = subprocess.run(
        [*command, "--tls-ca", str(cluster.folder / "ca.pem")], env=environment, capture_output=True, check=True
    )
    assert json.loads(done.stdout)["partitions"] > 0


def test_a_shard_answers_no_caller_who_is_no_router(cluster: Secured) -> None:
    """Neither in plain text, nor without a certificate, nor with one of another name, nor without the token."""
    ca = cluster.folder / "ca.pem"
    own = cluster.folder / "router.pem", cluster.folder / "router.key"
    tried: list[tuple[grpc.ChannelCredentials | None, grpc.StatusCode]] = [
        (None, grpc.StatusCode.UNAVAILABLE),
        (tls_credentials(ca), grpc.StatusCode.UNAVAILABLE),
        (tls_credentials(ca, *write(cluster.folder, "curious", cluster.ca)), grpc.StatusCode.PERMISSION_DENIED),
        (
            tls_credentials(ca, *own),
            grpc.StatusCode.UNAUTHENTICATED,
        ),
    ]
    for credentials, code in tried:
        address = cluster.shards[0]
        opened = grpc.insecure_channel(address) if credentials is None else grpc.secure_channel(address, credentials)
        with opened as channel, pytest.raises(grpc.RpcError) as error:
            channel.unary_unary("/trunkshow.v1.ShardService/Predict")(b"", timeout=WITHIN_S)
        assert error.value.code() == code


def test_a_shard_answers_a_client_whom_a_router_vouches_for(cluster: Secured) -> None:
    """With a certificate of the cluster's authority, whatever its name; no shard sees the key."""
    own = tls_credentials(cluster.folder / "ca.pem", *write(cluster.folder, "shop", cluster.ca))
    with cluster.direct("shop", shard_credentials=own) as shop:
        until(lambda: shop.recommend(USERS[3]).receipt.direct)


def test_a_direct_client_whom_shards_turn_away_is_answered_by_the_router(cluster: Secured) -> None:
    """It has no certificate for them; every call is answered all the same."""
    with cluster.direct("shop") as shop:
        until(lambda: shop.recommend(USERS[4]).receipt.attempts[0].outcome is Outcome.FAILED)
        rungs = {shop.recommend(USERS[4]).receipt.rung for _ in range(20)}
        assert (rungs, shop.ways.direct) == ({Rung.SNAPSHOT}, 0)


def test_who_may_not_read_is_told_of_no_shard(cluster: Secured) -> None:
    """Not to be let in by the router is not to be let in."""
    with cluster.direct("operator") as operator:
        operator.connect()
        with pytest.raises(PermissionDenied):
            operator.recommend(USERS[5])
        assert not operator.direct


def test_certificates_are_renewed_under_load_without_a_poorer_slate(cluster: Secured) -> None:
    """The router's and the shards' files change; every call meanwhile is answered from the snapshot."""
    log = cluster.folder / "router.log"
    rungs = []
    lost = log.read_text().count("shard.lost")
    with cluster.client("shop") as shop:
        for name in ("shard", "router"):
            write(cluster.folder, name, cluster.ca)
        before = time.monotonic()
        while log.read_text().count("credentials.reloaded") < 1 or time.monotonic() - before < 3:
            rungs.append(shop.recommend(USERS[len(rungs) % len(USERS)]).receipt.rung)
            assert time.monotonic() - before < WITHIN_S
        assert set(rungs) == {Rung.SNAPSHOT}
    assert log.read_text().count("shard.lost") == lost
    with cluster.client("shop") as fresh:
        assert fresh.recommend(USERS[0]).receipt.rung == Rung.SNAPSHOT


def test_mute_connections_keep_nobody_waiting(cluster: Secured) -> None:
    """Hundreds of sockets that never shake hands, beside real calls; then they are closed."""
    host, port = cluster.target.split(":")

    async def crowd() -> None:
        mute = [await asyncio.open_connection(host, int(port)) for _ in range(300)]
        answer = await asyncio.to_thread(ask)
        assert answer == Rung.SNAPSHOT
        async with asyncio.timeout(WITHIN_S):
            ends = await asyncio.gather(*(reader.read() for reader, _ in mute), return_exceptions=True)
        assert all(one == b"" or isinstance(one, ConnectionError) for one in ends)

    def ask() -> Rung:
        with cluster.client("shop") as shop:
            return shop.recommend(USERS[2]).receipt.rung

    asyncio.run(crowd())


def test_logs_and_metrics_hold_no_users_and_no_credentials(cluster: Secured) -> None:
    """Whatever was asked, refused and broken before: no id, no key, no token."""
    with cluster.client("shop") as shop:
        for user in USERS:
            shop.recommend(user)
    said = cluster.said()
    assert "trunkshow_router_carousels_total" in said and "credentials.reloaded" in said
    hidden = [*USERS, *cluster.keys.values(), "tsk_guessed", (cluster.folder / "token").read_text()]
    words = set(said.replace('"', " ").replace("'", " ").replace("=", " ").replace(",", " ").split())
    assert [one for one in hidden if one in words] == []


def test_logs_are_events_whatever_strangers_did(cluster: Secured) -> None:
    """Every line is JSON: handshakes that failed, by the hundred, leave no line of their own."""
    lines = [line for path in cluster.folder.glob("*.log") for line in path.read_text().splitlines()]
    assert {type(json.loads(line)) for line in lines} == {dict}
    assert len(lines) < 500


@pytest.mark.parametrize("name", ["router", "shard-0"])
def test_sigterm_ends_a_process_well(cluster: Secured, name: str) -> None:
    """Its code says that all went well. Stands last: it ends the cluster's processes."""
    cluster.processes[name].signal(signal.SIGTERM)
    assert cluster.processes[name].wait() == 0


def test_beyond_this_machine_nobody_listens_without_credentials(built: Built) -> None:
    """One line that says what to do."""
    for command in (["shard"], ["router", "--shards", "127.0.0.1:1"]):
        arguments = [sys.executable, "-m", "cli.main", *command, "--store", str(built.store), "--listen", "0.0.0.0:0"]
        done = subprocess.run(arguments, capture_output=True, text=True, cwd=ROOT)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "--tls-cert" in done.stderr and "--insecure" in done.stderr
