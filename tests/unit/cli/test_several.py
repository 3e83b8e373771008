"""Several router processes on one port: what each is started with, what is told of all, and which of them hangs."""

from __future__ import annotations

import asyncio
import itertools
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1._async import HealthServicer

from cli import several, several_looks, several_metrics
from cli.processes import Supervisor
from cli.several_looks import SILENT_MAX, Crew, Look
from router.config import RouterConfig

ARGUMENTS = ["router", "--store", "s", "--processes", "3", "--metrics-listen", "9450", "--health_listen=0.0.0.0:8450"]


def test_each_process_has_its_own_number_and_sockets(tmp_path: Path) -> None:
    """And nothing of the parent's but what holds for all."""
    *_, module, router, store, where, processes, three, process, two, metrics, there, health, here = several.command(
        ARGUMENTS, 2, tmp_path
    )
    assert [module, router, store, where, processes, three] == ["cli.main", *ARGUMENTS[:5]]
    assert (process, two) == ("--process", "2")
    assert (metrics, there) == ("--metrics-listen", f"unix:{tmp_path}/metrics-2")
    assert (health, here) == ("--health-listen", f"unix:{tmp_path}/health-2")


ONE = b"""\
# HELP a_total Of a.
# TYPE a_total counter
a_total{code="O K"} 1.0
a_total 2.0
# HELP b Of b.
# TYPE b histogram
b_bucket{le="+Inf"} 3.0
b_count 3.0
"""
OTHER = b"""\
# HELP b Of b.
# TYPE b histogram
b_count 4.0
# HELP c Of c.
# TYPE c gauge
c{} 5.0
"""


def test_samples_of_all_processes_stand_together_each_with_its_own_label() -> None:
    """A metric is explained once, and all of its samples follow."""
    assert several_metrics.merged({"1": ONE, "2": OTHER}).decode().splitlines() == [
        "# HELP a_total Of a.",
        "# TYPE a_total counter",
        'a_total{process="1",code="O K"} 1.0',
        'a_total{process="1"} 2.0',
        "# HELP b Of b.",
        "# TYPE b histogram",
        'b_bucket{process="1",le="+Inf"} 3.0',
        'b_count{process="1"} 3.0',
        'b_count{process="2"} 4.0',
        "# HELP c Of c.",
        "# TYPE c gauge",
        'c{process="2"} 5.0',
    ]


async def test_a_process_that_does_not_answer_is_left_out(tmp_path: Path) -> None:
    """What the others say is told all the same, as is what the parent counts."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + OTHER)
        writer.close()

    server = await asyncio.start_unix_server(answer, tmp_path / "2")
    async with server:
        text = (await several_metrics.scraped({"1": tmp_path / "1", "2": tmp_path / "2"})).decode()
    assert 'c{process="2"} 5.0' in text
    assert 'process="1"' not in text
    assert 'trunkshow_router_process_deaths_total{process="parent"}' in text


def test_a_process_that_answered_once_and_then_says_nothing_hangs() -> None:
    """After so many looks in a row, and it is told once."""
    crew = Crew([1])
    assert not crew.hanging({1: Look.NOT_SERVING})
    found = [list(crew.hanging({1: Look.SILENT})) for _ in range(2 * SILENT_MAX)]
    assert found == [[]] * (SILENT_MAX - 1) + [[1]] + [[]] * SILENT_MAX


@pytest.mark.parametrize("between", [Look.SERVING, Look.NOT_SERVING, Look.GONE])
def test_silence_that_ends_in_time_is_forgiven(between: Look) -> None:
    """It counts from the beginning again."""
    crew = Crew([1])
    looks = [Look.SERVING, *[Look.SILENT] * (SILENT_MAX - 1), between, *[Look.SILENT] * (SILENT_MAX - 1)]
    assert not any(crew.hanging({1: look}) for look in looks)


def test_a_process_that_never_answered_does_not_hang_yet() -> None:
    """Its start is whose business it is who keeps it."""
    crew = Crew([1, 2])
    assert not any(crew.hanging({1: Look.SILENT, 2: Look.SERVING}) for _ in range(3 * SILENT_MAX))


@pytest.mark.parametrize(
    ("chosen", "why"),
    [
        ({"processes": 0}, "processes: 0"),
        ({"processes": 65}, "processes: 65"),
        ({"processes": 2, "process": 3}, "process: 3"),
        ({"processes": 2, "listen": "127.0.0.1:0"}, "cannot share a port"),
    ],
)
def test_processes_that_cannot_be_are_refused(chosen: dict[str, object], why: str) -> None:
    """Before anything starts."""
    with pytest.raises(ValueError, match=why):
        RouterConfig(store="s", shards=("127.0.0.1:1",), **chosen)  # type: ignore[arg-type]


async def test_a_process_that_hangs_is_killed_and_those_that_serve_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever keeps it starts it again; health says SERVING all the while, since another one does."""
    looks = {1: iter([Look.SERVING, *[Look.SILENT] * SILENT_MAX]), 2: itertools.repeat(Look.SERVING)}
    over = asyncio.Event()

    async def look(number: int) -> Look:
        found = next(looks[number], None)
        if found is None:
            over.set()
            await asyncio.Event().wait()
            raise AssertionError
        return found

    @asynccontextmanager
    async def eyes(sockets: object) -> AsyncIterator[several_looks.Eyes]:
        del sockets
        yield look

    monkeypatch.setattr(several_looks, "eyes", eyes)
    monkeypatch.setattr(several, "LOOK_EVERY_S", 0.0)
    health = HealthServicer()
    hanging = await asyncio.create_subprocess_exec(sys.executable, "-c", "import signal; signal.pause()")
    try:
        supervisor = Supervisor([], lambda event, **details: None)
        supervisor.pids["1"] = hanging.pid
        watching = asyncio.create_task(several._watch(supervisor, Path("nowhere"), (1, 2), health))
        await asyncio.wait_for(over.wait(), 60)
        watching.cancel()
        assert await asyncio.wait_for(hanging.wait(), 60) == -signal.SIGKILL
        request = health_pb2.HealthCheckRequest()
        assert (await health.Check(request, None)).status == health_pb2.HealthCheckResponse.SERVING
    finally:
        with suppress(ProcessLookupError):
            hanging.kill()
