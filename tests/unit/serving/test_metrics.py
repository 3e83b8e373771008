"""What a server counts, and how it is read."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import echo_service as echo
import grpc
import grpc.aio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from router.asking.tally import Tally
from trunkshow.serving import exporter, metrics
from trunkshow.serving.exporter import exporting
from trunkshow.serving.options import ServerOptions
from trunkshow.serving.server import Server

DOCUMENTED = Path(__file__).parents[3] / "docs" / "metrics.md"


@pytest.fixture
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    """A connection to an echo server."""
    server = Server([echo.SERVICE])
    port = await server.start("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened
    await server.stop(0)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Where metrics are answered."""
    async with exporting("127.0.0.1:0") as bound:
        yield bound


async def get(port: int, request: bytes) -> bytes:
    """What an HTTP request gets."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


def counted(method: str, code: str) -> float:
    """Calls of a method that ended so."""
    return metrics.REGISTRY.get_sample_value("trunkshow_requests_total", {"method": method, "code": code}) or 0.0


async def until_counted(channel: grpc.aio.Channel, method: str, code: str, calls: float) -> None:
    """Return once so many are counted: the caller hears of the end of a call before the server has done with it."""
    async with asyncio.timeout(60):
        while counted(method, code) < calls:
            await channel.unary_unary(f"/{echo.NAME}/Identify")(b"")
    assert counted(method, code) == calls


@pytest.mark.parametrize(
    ("method", "request_", "code"),
    [
        ("Echo", b"x", "OK"),
        ("Miss", b"x", "NOT_FOUND"),
        ("Break", b"x", "INTERNAL"),
        ("Parse", b"\xff", "INVALID_ARGUMENT"),
    ],
)
async def test_a_call_is_counted_by_method_and_status(
    channel: grpc.aio.Channel, method: str, request_: bytes, code: str
) -> None:
    """Each once, whatever became of it."""
    name = f"{echo.NAME}/{method}"
    before = counted(name, code)
    await asyncio.gather(channel.unary_unary(f"/{name}")(request_), return_exceptions=True)
    await until_counted(channel, name, code, before + 1)


async def test_a_stream_is_counted_by_how_it_ended(channel: grpc.aio.Channel) -> None:
    """One that came to its end, one that failed on the way."""
    name = f"{echo.NAME}/Count"
    before = counted(name, "OK"), counted(name, "NOT_FOUND")
    assert len([one async for one in channel.unary_stream(f"/{name}")(b"2")]) == 2
    with pytest.raises(grpc.aio.AioRpcError):
        [one async for one in channel.unary_stream(f"/{name}")(b"5")]
    await until_counted(channel, name, "OK", before[0] + 1)
    await until_counted(channel, name, "NOT_FOUND", before[1] + 1)


async def test_a_call_whose_caller_left_is_counted_as_cancelled(channel: grpc.aio.Channel) -> None:
    """Not as an error of ours."""
    name = f"{echo.NAME}/Wait"
    before = counted(name, "CANCELLED")
    with pytest.raises(grpc.aio.AioRpcError):
        await channel.unary_unary(f"/{name}")(b"60000", timeout=0.05)
    await until_counted(channel, name, "CANCELLED", before + 1)


async def test_a_scrape_gets_everything(port: int) -> None:
    """In the text format, as Prometheus reads it."""
    head, _, body = (await get(port, b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4")
    assert f"Content-Length: {len(body)}".encode() in head
    families = {family.name for family in text_string_to_metric_families(body.decode())}
    assert {"trunkshow_requests", "trunkshow_serving", "process_open_fds"} <= families


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1", b"POST /metrics HTTP/1.1", b"nonsense", b""])
async def test_nothing_else_is_answered(port: int, line: bytes) -> None:
    """One path, one method."""
    assert (await get(port, line + b"\r\n\r\n")).startswith(b"HTTP/1.1 404 ")


async def test_a_header_without_end_is_cut_off(port: int) -> None:
    """A scraper may not fill the memory."""
    with pytest.raises(ConnectionError):
        await get(port, b"GET /metrics HTTP/1.1\r\n" + b"x" * (4 * exporter.HEADER_BYTES_MAX))
        raise ConnectionResetError  # the answer may also be the plain end of the connection


async def test_a_mute_scraper_is_cut_off(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time, and the next one is answered beside it."""
    monkeypatch.setattr(exporter, "SCRAPE_S_MAX", 0.2)
    muted = asyncio.ensure_future(get(port, b"GET /metr"))
    assert (await get(port, b"GET /metrics HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    await asyncio.wait_for(asyncio.gather(muted, return_exceptions=True), 60)


async def test_nobody_listens_unless_told() -> None:
    """Off by default."""
    async with exporting(ServerOptions().metrics_listen) as bound:
        assert bound == 0


def test_an_address_that_is_none_is_refused() -> None:
    """Before anything starts, and by its name."""
    with pytest.raises(ValueError, match="metrics_listen: 'nowhere'"):
        ServerOptions(metrics_listen="nowhere")


def test_every_metric_is_documented_and_every_documented_one_exists() -> None:
    """What stands in docs/metrics.md is what is exported."""
    import cli.several
    import router.main
    import router.numbers
    import shard.main
    import shard.numbers
    import trunkshow.eventlog.appending
    import trunkshow.eventlog.reading
    from trunkshow.v1 import cluster_pb2, shard_pb2

    assert cli.several and router.main and shard.main and trunkshow.eventlog.appending and trunkshow.eventlog.reading
    read = [
        *router.numbers.of(cluster_pb2.GetClusterStatusResponse(event_log=cluster_pb2.EventLogStatus())),
        *router.numbers.of_asking(Tally(), 0, 0),
        *shard.numbers.of(shard_pb2.ShardStatus()),
        *metrics.REGISTRY.collect(),
    ]
    written = set(re.findall(r"^\| `(trunkshow_\w+)` \|", DOCUMENTED.read_text(), re.MULTILINE))
    made = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in read
        if family.name.startswith("trunkshow_")
    }
    assert written == made
