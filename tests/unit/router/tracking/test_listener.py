"""The listener's life, over real connections to this machine."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from router.tracking import entrance, listener
from router.tracking.listener import HEADER_BYTES_MAX, Listener
from trunkshow.serving.reloaded import LOOK_EVERY_S

HERE = "127.0.0.1:0"


class Subject:
    """A listener over an application that answers when it is told to."""

    def __init__(self, **chosen: Any) -> None:
        self.go = asyncio.Event()
        self.asked = asyncio.Event()
        routes = [Route("/", self._who), Route("/slow", self._slow)]
        self.listener = Listener(Starlette(routes=routes), **{"connections_max": 8, **chosen})
        self.port = 0

    async def _who(self, request: Request) -> Response:
        return PlainTextResponse(request.client.host if request.client else "")

    async def _slow(self, request: Request) -> Response:
        self.asked.set()
        await self.go.wait()
        return PlainTextResponse("done")

    async def get(self, path: str = "/", **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(f"http://127.0.0.1:{self.port}{path}", headers=headers)


@asynccontextmanager
async def running(**chosen: Any) -> AsyncIterator[Subject]:
    subject = Subject(**chosen)
    subject.port = await subject.listener.start(HERE)
    try:
        yield subject
    finally:
        await subject.listener.stop()


async def read_all(reader: asyncio.StreamReader) -> bytes:
    """Until the other end closes; bounded, for it should."""
    async with asyncio.timeout(10):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def test_it_answers_and_stops() -> None:
    """After it, the port is free."""
    async with running() as subject:
        assert (await subject.get()).text == "127.0.0.1"
    with pytest.raises(httpx.ConnectError):
        await subject.get()
    again = Subject()
    assert await again.listener.start(f"127.0.0.1:{subject.port}") == subject.port
    await again.listener.stop()


async def test_what_is_under_way_is_finished() -> None:
    """And nothing new is taken on."""
    async with running() as subject:
        under_way = asyncio.ensure_future(subject.get("/slow"))
        await subject.asked.wait()
        stopping = asyncio.ensure_future(subject.listener.stop())
        await asyncio.sleep(0)
        assert not stopping.done()
        subject.go.set()
        assert (await under_way).text == "done"
        await stopping


async def test_what_does_not_finish_is_cut_off() -> None:
    """A drain has an end."""
    async with running(drain_s=0) as subject:
        under_way = asyncio.ensure_future(subject.get("/slow"))
        await subject.asked.wait()
        await subject.listener.stop()
        assert (await asyncio.gather(under_way, return_exceptions=True))[0] is not None
        assert not subject.go.is_set()


async def test_an_end_that_nobody_asked_for_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the process can leave; one that was asked for is not."""
    async with running() as stopped:
        watch = asyncio.ensure_future(stopped.listener.watched())
        await stopped.get()
        await stopped.listener.stop()
        assert not watch.done()
        watch.cancel()

    async def breaks(*_: object) -> bool:
        raise OSError("broken")

    monkeypatch.setattr("uvicorn.Server.on_tick", breaks)
    subject = Subject()
    await subject.listener.start(HERE)
    with pytest.raises(RuntimeError, match="nobody listens"):
        await subject.listener.watched()


async def test_signals_stay_with_the_process() -> None:
    """Ending on SIGTERM is the router's business."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with running() as subject:
        await subject.get()
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


async def test_an_address_in_use_is_an_error() -> None:
    """Before anything is served."""
    async with running() as subject:
        with pytest.raises(OSError, match="in use"):
            await Subject().listener.start(f"127.0.0.1:{subject.port}")


async def test_connections_beyond_the_limit_are_closed_at_once() -> None:
    """And those within it go on."""
    async with running(connections_max=2) as subject:
        held = [await asyncio.open_connection("127.0.0.1", subject.port) for _ in range(2)]
        for _, writer in held:  # each is known to be in once it was answered
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        for reader, _ in held:
            await reader.readuntil(b"127.0.0.1")
        reader, writer = await asyncio.open_connection("127.0.0.1", subject.port)
        assert await read_all(reader) == b""
        held[0][1].write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"200 OK" in await held[0][0].readuntil(b"127.0.0.1")
        for one in (writer, *(writer for _, writer in held)):
            one.close()


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nx: y"])
async def test_who_says_nothing_is_not_listened_to_for_long(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where a header has begun."""
    monkeypatch.setattr(listener, "CONNECTION_S_MAX", 0.05)
    async with running() as subject:
        reader, writer = await asyncio.open_connection("127.0.0.1", subject.port)
        writer.write(said)
        assert await read_all(reader) == b""
        writer.close()


async def test_a_header_without_end_is_refused() -> None:
    """It is not kept in memory until it ends."""
    async with running() as subject:
        reader, writer = await asyncio.open_connection("127.0.0.1", subject.port)
        writer.write(b"GET / HTTP/1.1\r\nx: " + b"y" * (2 * HEADER_BYTES_MAX))
        assert (await read_all(reader)).startswith(b"HTTP/1.1 400")
        writer.close()


@pytest.mark.parametrize(
    ("proxies", "address"), [((), "127.0.0.1"), (("127.0.0.1",), "192.0.2.9"), (("10.0.0.0/8",), "127.0.0.1")]
)
async def test_only_named_proxies_are_believed(
    proxies: tuple[str, ...], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody can write a header; what the environment says to the server's library is not asked."""
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    async with running(proxies=proxies) as subject:
        assert (await subject.get(**{"x-forwarded-for": "192.0.2.9"})).text == address


async def test_it_shows_the_newest_certificate(tmp_path: Path) -> None:
    """Without a restart; a pair that does not belong together changes nothing."""
    authority = trustme.CA()
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def write(serial: int) -> None:
        issued = authority.issue_cert("127.0.0.1", organization_unit_name=str(serial))
        certificate.write_bytes(b"".join(one.bytes() for one in issued.cert_chain_pems))
        key.write_bytes(issued.private_key_pem.bytes())

    write(1)
    now = 0.0
    async with running(tls=(certificate, key), clock=lambda: now) as subject:
        assert await _unit(subject.port, authority) == "1"
        write(2)
        now += LOOK_EVERY_S
        assert await _unit(subject.port, authority) == "2"
        key.write_bytes(b"half a k")
        now += LOOK_EVERY_S
        assert await _unit(subject.port, authority) == "2"


def _trusting(authority: trustme.CA) -> ssl.SSLContext:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return trusting


async def _unit(port: int, authority: trustme.CA) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=_trusting(authority))
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert (await read_all(reader)).startswith(b"HTTP/1.1 200")
    subject = dict(one[0] for one in writer.get_extra_info("peercert")["subject"])
    writer.close()
    return str(subject["organizationalUnitName"])


async def test_a_handshake_that_does_not_come_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others are answered beside it, and after it."""
    monkeypatch.setattr(entrance, "HANDSHAKE_S_MAX", 0.05)
    authority = trustme.CA()
    async with running(tls=_pair(authority, tmp_path)) as subject:
        reader, writer = await asyncio.open_connection("127.0.0.1", subject.port)
        assert await read_all(reader) == b""
        writer.close()
        monkeypatch.setattr(entrance, "HANDSHAKE_S_MAX", 10)
        assert await _unit(subject.port, authority) == "1"


def _pair(authority: trustme.CA, folder: Path) -> tuple[Path, Path]:
    """Files of a certificate and its key."""
    issued = authority.issue_cert("127.0.0.1", organization_unit_name="1")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(b"".join(one.bytes() for one in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return certificate, key


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_handshakes_beyond_the_limit_make_way_for_newer_ones(
    run: Callable[[Coroutine[Any, Any, None]], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who opens sockets and says nothing takes so many descriptors and no more, and keeps no page out."""
    monkeypatch.setattr(entrance, "HANDSHAKES_MAX", 4)
    monkeypatch.setattr(entrance, "HANDSHAKE_S_MAX", 60.0)  # it is not time that frees them
    authority = trustme.CA()
    pair = _pair(authority, tmp_path)

    async def scene() -> None:
        async with running(tls=pair) as subject:
            settled = await asyncio.open_connection("127.0.0.1", subject.port, ssl=_trusting(authority))
            assert b"200 OK" in await _asked(settled)
            before = _descriptors()
            silent = [await asyncio.open_connection("127.0.0.1", subject.port) for _ in range(60)]
            assert _descriptors() - before - len(silent) <= 4 + SLACK
            gone = [asyncio.ensure_future(read_all(reader)) for reader, _ in silent]
            assert await asyncio.gather(*gone[:-4]) == [b""] * 56
            assert not any(one.done() for one in gone[-4:])
            await _turns(lambda: _descriptors() - before - len(silent) <= 4)
            assert await _unit(subject.port, authority) == "1"
            assert b"200 OK" in await _asked(settled)
            for _, writer in (*silent, settled):
                writer.close()
            await asyncio.gather(*gone)
            assert await _unit(subject.port, authority) == "1"

    run(scene())


SLACK = 8
"""Sockets that the server has let go of, and closes within a turn or two."""


async def _turns(until: Callable[[], bool]) -> None:
    """Give others turns until something is so."""
    for _ in range(60_000):
        if until():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came to that")


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def _asked(line: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> bytes:
    """What is answered on a connection that stays open."""
    reader, writer = line
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    return await reader.readuntil(b"127.0.0.1")


async def test_without_descriptors_nobody_is_taken_in_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """They wait, and are answered then; meanwhile the router has its turns."""
    monkeypatch.setattr(entrance, "REST_S", 0.05)
    tries: list[int] = []

    class Door(socket.socket):
        def accept(self) -> tuple[socket.socket, Any]:
            tries.append(0)
            if len(tries) < 3:
                raise OSError(errno.EMFILE, "too many open files")
            return super().accept()

    async def bound(host: str, port: int, *, shared: bool) -> socket.socket:
        door = Door()
        door.bind((host, port))
        door.listen()
        door.setblocking(False)
        return door

    monkeypatch.setattr(listener, "_bound", bound)
    async with running() as subject:
        assert (await subject.get()).text == "127.0.0.1"
        assert 3 <= len(tries) <= 5


async def test_a_handshake_under_way_keeps_no_listener_from_stopping(tmp_path: Path) -> None:
    """It is ended, and not waited for."""
    subject = Subject(tls=_pair(trustme.CA(), tmp_path))
    subject.port = await subject.listener.start(HERE)
    reader, writer = await asyncio.open_connection("127.0.0.1", subject.port)
    for _ in range(20):
        await asyncio.sleep(0)  # it is taken in
    await subject.listener.stop()
    assert await read_all(reader) == b""
    writer.close()


def test_a_pair_that_does_not_belong_together_is_refused_at_the_start(tmp_path: Path) -> None:
    """Loudly."""
    authority = trustme.CA()
    one, other = authority.issue_cert("a.example"), authority.issue_cert("b.example")
    (tmp_path / "cert.pem").write_bytes(one.cert_chain_pems[0].bytes())
    (tmp_path / "key.pem").write_bytes(other.private_key_pem.bytes())
    with pytest.raises(ValueError, match="cannot be used"):
        Listener(Starlette(), connections_max=1, tls=(tmp_path / "cert.pem", tmp_path / "key.pem"))
