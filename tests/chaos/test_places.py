"""Where chaos keeps its store: gone, hanging and back again, with what was there; a folder and a bucket alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio
from tiny_snapshots import publish

from cli.chaos.places import BucketPlace, FolderPlace, Place
from trunkshow.snapshot import object_store_clients
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.store import NoSuchSnapshot, StoreError, StoreUnreachable, open_store

SURELY_S = 60.0
NAMES = count()
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[FolderPlace, BucketPlace])
async def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """A place of each kind; whatever a test does to it, it undoes, but for what was published there."""
    folder: Path = tmp_path_factory.mktemp("place")
    (folder / "store").mkdir()
    made: Place = request.param(folder)
    try:
        await made.start()
        yield made
    finally:
        await made.end()


class Served(NamedTuple):
    """The version that a store served before, and the one that it serves."""

    before: str
    now: str


@pytest_asyncio.fixture(loop_scope="module")
async def served(place: Place, monkeypatch: pytest.MonkeyPatch) -> Served:
    """Two versions that no other test knows of."""
    number = next(NAMES)
    versions = Served(f"a{number}", f"b{number}")
    await asyncio.to_thread(publish, open_store(place.url), *versions)
    monkeypatch.setattr(object_store_clients, "ANSWER_S_MAX", 1.0)
    return versions


async def current(place: Place) -> str:
    """What its store says that it serves."""
    return (await asyncio.to_thread(open_store(place.url).pointer)).current


async def test_a_store_that_is_gone_does_not_answer_and_comes_back_as_it_was(place: Place, served: Served) -> None:
    """With all that it had acknowledged."""
    await place.go()
    with pytest.raises(StoreUnreachable):
        await current(place)
    await place.come_back()
    assert await current(place) == served.now


async def test_a_store_that_hangs_gives_no_pointer_and_then_answers_again(place: Place, served: Served) -> None:
    """Nobody hears of an empty one meanwhile: whoever waited gets the pointer, or an error."""
    await place.hang()
    waiting = asyncio.ensure_future(asyncio.to_thread(_pointer_or_nothing, place.url))
    done, _ = await asyncio.wait({waiting}, timeout=0.3)
    before = [one.result() for one in done]
    await place.answer()
    after = await asyncio.wait_for(waiting, SURELY_S)
    assert before in ([], [None])
    assert after is None or after.current == served.now
    assert await current(place) == served.now


def _pointer_or_nothing(url: str) -> Pointer | None:
    with suppress(StoreError):
        return open_store(url).pointer()
    return None


async def test_a_version_that_is_lost_is_not_there_and_the_others_are(place: Place, served: Served) -> None:
    """Whatever the pointer says of it."""
    await place.lose(served.now)
    store = open_store(place.url)
    with pytest.raises(NoSuchSnapshot):
        await asyncio.to_thread(store.manifest, served.now)
    assert (await asyncio.to_thread(store.manifest, served.before)).version == served.before
    assert await current(place) == served.now
