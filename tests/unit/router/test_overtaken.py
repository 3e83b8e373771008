"""A router that starts while promotions overtake one another answers from what the shards serve."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import small_snapshot
from fake_shard import FakeShard, everything

from router import assembly
from router.config import RouterConfig
from router.served.views import View, Views
from router.service import Router
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.states import State
from trunkshow.snapshot.store import Store


class Overtaken:
    """A store whose current version no shard has, and that retired the one that they serve."""

    reachable = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def pointer(self) -> Pointer:
        """As it stands."""
        return Pointer(3, {"v1": State.RETIRED, "v3": State.CURRENT})

    def move(self, *_: object) -> None:
        """Not a test of this."""
        raise AssertionError

    def forget(self, version: str) -> None:
        """Nothing is kept."""

    def opened(self, version: str) -> View:
        """Any version."""
        made = small_snapshot.make(self._folder / version)
        made.version = version
        return View.of(cast("Snapshot", made))


async def test_a_router_is_ready_once_it_serves_what_shards_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the pointer names it no more; it is found by what the shards say as they are found."""
    store, shard = Overtaken(tmp_path), FakeShard(everything())
    monkeypatch.setattr(assembly, "opened", Overtaken.opened)
    address = await shard.start()
    config = RouterConfig(store="", shards=(address,))
    router = Router(config, Views.of(store.opened("v3")), cast("Store", store))
    await router.start()
    views = router.keeper.now
    await router.close()
    await shard.stop()
    assert (views.current.version, views.before and views.before.version) == ("v3", "v1")
