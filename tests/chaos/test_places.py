"""Where chaos keeps its store: gone, hanging and back again, with what was there; a folder and a bucket alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from tiny_snapshots import publish

from cli.chaos.places import BucketPlace, FolderPlace, Place
from trunkshow.snapshot import object_store_clients
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.store import NoSuchSnapshot, StoreError, StoreUnreachable, open_store

SURELY_S = 60.0


@pytest.fixture(params=[FolderPlace, BucketPlace])
async def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Place]:
    """A place of each kind, with a store in it that serves `b`, and served `a` before."""
    (tmp_path / "store").mkdir()
    made: Place = request.param(tmp_path)
    try:
        await made.start()
        await asyncio.to_thread(publish, open_store(made.url), "a", "b")
        monkeypatch.setattr(object_store_clients, "ANSWER_S_MAX", 1.0)
        yield made
    finally:
        await made.end()


async def current(place: Place) -> str:
    """What its store says that it serves."""
    return (await asyncio.to_thread(open_store(place.url).pointer)).current


async def test_a_store_that_is_gone_does_not_answer_and_comes_back_as_it_was(place: Place) -> None:
    """With all that it had acknowledged."""
    await place.go()
    with pytest.raises(StoreUnreachable):
        await current(place)
    await place.come_back()
    assert await current(place) == "b"


async def test_a_store_that_hangs_gives_no_pointer_and_then_answers_again(place: Place) -> None:
    """Nobody hears of an empty one meanwhile: whoever waited gets the pointer, or an error."""
    await place.hang()
    waiting = asyncio.ensure_future(asyncio.to_thread(_pointer_or_nothing, place.url))
    done, _ = await asyncio.wait({waiting}, timeout=0.3)
    before = [one.result() for one in done]
    await place.answer()
    after = await asyncio.wait_for(waiting, SURELY_S)
    assert before in ([], [None])
    assert after is None or after.current == "b"
    assert await current(place) == "b"


def _pointer_or_nothing(url: str) -> Pointer | None:
    with suppress(StoreError):
        return open_store(url).pointer()
    return None


async def test_a_version_that_is_lost_is_not_there_and_the_others_are(place: Place) -> None:
    """Whatever the pointer says of it."""
    await place.lose("b")
    store = open_store(place.url)
    with pytest.raises(NoSuchSnapshot):
        await asyncio.to_thread(store.manifest, "b")
    assert (await asyncio.to_thread(store.manifest, "a")).version == "a"
    assert await current(place) == "b"
