"""The proxy does to connections what its weather says, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvloop

from cli.chaos.proxy import CLEAR, HALF_OPEN, PARTED, Link, Weather

QUIET_S = 0.15
"""That nothing arrives is seen by waiting for it so long."""


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[Link, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A link to a server that gives back what it gets, and a connection through it."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    link = Link(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", seed=1)
    await link.open()
    host, _, port = link.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield link, reader, writer
    finally:
        writer.close()
        await link.close()
        server.close()


async def arrives(reader: asyncio.StreamReader, data: bytes, within_s: float = 5.0) -> bool:
    """Whether just these bytes arrive."""
    try:
        return await asyncio.wait_for(reader.readexactly(len(data)), within_s) == data
    except TimeoutError:
        return False


async def test_clear_weather_changes_nothing() -> None:
    """A megabyte comes back as it went."""
    data = bytes(range(256)) * 4096
    async with linked() as (_, reader, writer):
        writer.write(data)
        assert await arrives(reader, data)


async def test_a_delay_is_kept_in_both_directions_and_in_order() -> None:
    """Two pieces come back in order, not before twice the delay."""
    async with linked() as (link, reader, writer):
        link.change(Weather(delay_ms=(40, 80)))
        began = asyncio.get_running_loop().time()
        writer.write(b"first")
        await writer.drain()
        writer.write(b"second")
        assert await arrives(reader, b"firstsecond")
        assert asyncio.get_running_loop().time() - began >= 0.08


async def test_a_throttle_carries_so_many_bytes_a_second() -> None:
    """A tenth of a second's worth takes a tenth of a second."""
    async with linked() as (link, reader, writer):
        link.change(Weather(bytes_per_s=100_000))
        began = asyncio.get_running_loop().time()
        writer.write(bytes(10_000))
        assert await arrives(reader, bytes(10_000))
        assert asyncio.get_running_loop().time() - began >= 0.1


@pytest.mark.parametrize("weather", [PARTED, HALF_OPEN, Weather(silent_up=True)], ids=["parted", "down", "up"])
async def test_silence_carries_nothing_and_loses_nothing(weather: Weather) -> None:
    """What was sent meanwhile arrives once it has ended."""
    async with linked() as (link, reader, writer):
        link.change(weather)
        writer.write(b"waits")
        assert not await arrives(reader, b"waits", QUIET_S)
        link.change(CLEAR)
        assert await arrives(reader, b"waits")


async def test_a_connection_made_in_silence_works_after_it() -> None:
    """Who connects during a partition is not refused; nobody answers."""
    async with linked() as (link, _, _):
        link.change(PARTED)
        host, _, port = link.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"hello")
        assert not await arrives(reader, b"hello", QUIET_S)
        link.change(CLEAR)
        assert await arrives(reader, b"hello")
        writer.close()


def test_who_hangs_up_in_silence_misses_what_comes_through_after_it() -> None:
    """The link goes on for everybody else, on the loop that the command runs on, which is strict about such things."""

    async def harmed() -> bool:
        async with linked() as (link, reader, writer):
            host, _, port = link.address.rpartition(":")
            impatient, hung_up = await asyncio.open_connection(host, int(port))
            hung_up.write(b"first")
            assert await arrives(impatient, b"first")
            link.change(HALF_OPEN)
            hung_up.write(b"again")
            assert not await arrives(impatient, b"again", QUIET_S)  # the answer waits in the link
            link.change(PARTED)  # nor does a goodbye pass
            hung_up.transport.abort()
            await asyncio.sleep(QUIET_S)
            link.change(CLEAR)
            writer.write(b"here")
            return await arrives(reader, b"here")

    assert uvloop.run(harmed())


async def test_a_reset_is_one() -> None:
    """The peer is told by RST, not by a goodbye."""
    async with linked() as (link, reader, writer):
        writer.write(b"x")
        assert await arrives(reader, b"x")
        link.reset()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.readexactly(1), 60)


async def test_a_server_that_is_not_there_is_a_reset() -> None:
    """And the link lives on."""
    link = Link("127.0.0.1:1", seed=1)
    await link.open()
    host, _, port = link.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 60)
    writer.close()
    await link.close()
