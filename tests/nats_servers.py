"""Real NATS servers with JetStream, each in a process of its own, on a free port; ended here, by its own process id."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from cli import nats
from cli.addresses import free_address

END_WITHIN_S = 60
CLUSTER = "trunkshow-log"


class NatsServer:
    """A server whose port and folder outlive its process, so that it can be killed and come back.

    Attributes:
        address: HOST:PORT.
        url: of the log on it, as `open_log` takes it.
        folder: with its files, and its output in `server.log`.
    """

    def __init__(self, folder: Path, settings: Mapping[str, object]) -> None:
        self.address = free_address()
        self._settings = settings
        self.url = nats.url(self.address)
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process that runs now."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and return once it is up."""
        command = nats.child(self.folder, self.address, None, sync="2m").command
        written = Path(command[-1])
        written.write_text(json.dumps(json.loads(written.read_text()) | self._settings))
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        # On a thread of its own: where this is called from, a loop may run already.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, asyncio.wait_for(nats.until_up(self.address), nats.UP_WITHIN_S)).result()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone; nothing where it does not run."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(END_WITHIN_S)
        self._process = None

    def pause(self) -> None:
        """SIGSTOP, and return once every thread stands still: it takes connections, and says nothing more."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        until_s = time.monotonic() + END_WITHIN_S
        while not _stands_still(self.pid):
            if time.monotonic() > until_s:
                raise TimeoutError(f"process {self.pid} does not stop")
            time.sleep(0.005)

    def resume(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


def _stands_still(pid: int) -> bool:
    states = [stat.read_text().rpartition(")")[2].split()[0] for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) == {"T"}


@contextmanager
def running(folder: Path, **settings: object) -> Iterator[NatsServer]:
    """A server that is up, and gone afterwards, whatever happened to it; more settings are named as in its own file."""
    folder.mkdir(parents=True, exist_ok=True)
    server = NatsServer(folder, settings)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextmanager
def clustered(folder: Path, servers: int = 3) -> Iterator[tuple[NatsServer, ...]]:
    """Servers that keep a stream's copies among them and choose who leads, as on Kubernetes; they start together.

    The first to be there alone would ask in vain to lead, and wait for seconds before it asks again.
    """
    links = [free_address() for _ in range(servers)]
    routes = [f"nats-route://{link}" for link in links]
    made = []
    for number, link in enumerate(links):
        own = folder / f"server-{number}"
        own.mkdir(parents=True)
        cluster = {"name": CLUSTER, "listen": link, "routes": routes}
        made.append(NatsServer(own, {"server_name": own.name, "cluster": cluster}))
    try:
        with ThreadPoolExecutor(servers) as threads:
            list(threads.map(NatsServer.start, made))
        yield tuple(made)
    finally:
        for server in made:
            server.kill()
