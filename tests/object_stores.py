"""Object stores to test against: a real one in a process of its own, and one that is made up, in a thread."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

BUCKET = "snapshots"
USER, SECRET = "tester", "a secret of tests"
UP_WITHIN_S = 120


@contextmanager
def seaweedfs(folder: Path) -> Iterator[str]:
    """A SeaweedFS server that speaks S3 and enforces preconditions; its endpoint."""
    master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc = _free_ports(8)
    identity = {"name": USER, "credentials": [{"accessKey": USER, "secretKey": SECRET}], "actions": ["Admin"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    flags = {
        "dir": folder,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "master.port": master,
        "master.port.grpc": master_grpc,
        "master.telemetry": "false",
        "volume.port": volume,
        "volume.port.grpc": volume_grpc,
        "volume.max": 20,
        "master.volumeSizeLimitMB": 64,
        "filer": "true",
        "filer.port": filer,
        "filer.port.grpc": filer_grpc,
        "s3": "true",
        "s3.port": s3,
        "s3.port.grpc": s3_grpc,
        "s3.config": folder / "s3.json",
        "s3.iam": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
    }
    weed = str(Path(sys.executable).with_name("weed"))
    command = [weed, "server", *(f"-{name}={value}" for name, value in flags.items())]
    with (folder / "weed.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        endpoint = f"http://127.0.0.1:{s3}"
        make_bucket(endpoint, process)
        yield endpoint
    finally:
        process.kill()
        process.wait()


@contextmanager
def moto() -> Iterator[str]:
    """An S3 that is made up in a thread of this process; its endpoint."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        make_bucket(f"http://{host}:{port}")
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def make_bucket(endpoint: str, process: subprocess.Popen[bytes] | None = None) -> None:
    """Make the bucket, as soon as the server takes it."""
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=USER,
        aws_secret_access_key=SECRET,
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=1, read_timeout=5),
    )
    until = time.monotonic() + UP_WITHIN_S
    while True:
        try:
            client.create_bucket(Bucket=BUCKET)
            return
        except (BotoCoreError, ClientError):
            if time.monotonic() > until or (process is not None and process.poll() is not None):
                raise
            time.sleep(0.05)


def point_at(endpoint: str, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Set the environment that an object store's client reads."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", USER)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports
