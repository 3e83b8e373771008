"""What a build has read of hidden and of viewed items is kept to by every slate, whoever makes it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import datasets
import pytest

from builder.pipeline import BuildSettings, build
from shard.predict import Predictor
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

USER = datasets.user_id(17)
WANTED = ("for-you", "popular", "new-arrivals")


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Snapshot, Snapshot, str, str]]:
    """A shop's snapshot, one that was built once a user had hidden an item and viewed another, and these two items."""
    folder = tmp_path_factory.mktemp("marks")
    shop = datasets.clustered(users=60, items=60, events_per_user=10)
    before = _built(shop, folder / "before")
    hidden, viewed = [item for item in _shown(before, pb.RUNG_SNAPSHOT) if item in _bought(shop)][:2]
    did = [(hidden, "hide"), (viewed, "view")]
    events = tuple(datasets.Event(USER, item, shop.events[0].time_ms, kind) for item, kind in did)
    after = _built(replace(shop, events=(*shop.events, *events)), folder / "after")
    yield before, after, hidden, viewed
    before.close()
    after.close()


@pytest.mark.parametrize("rung", [pb.RUNG_SNAPSHOT, pb.RUNG_STAND_IN])
def test_a_hidden_item_stays_hidden_across_snapshots(
    snapshots: tuple[Snapshot, Snapshot, str, str], rung: pb.Rung
) -> None:
    """Also where somebody else's compact copy stands in; and whoever asks for what they had does not ask for that."""
    before, after, hidden, _ = snapshots
    assert hidden in _shown(before, rung)
    assert hidden not in _shown(after, rung)
    assert hidden not in _shown(after, rung, include_seen=True)


def test_an_item_that_was_viewed_was_not_had(snapshots: tuple[Snapshot, Snapshot, str, str]) -> None:
    """Where repeats are not wanted it may be shown still, as before the build."""
    _, after, _, viewed = snapshots
    assert not after.repeat
    assert viewed in _shown(after, pb.RUNG_SNAPSHOT)


def _built(shop: datasets.Shop, folder: Path) -> Snapshot:
    file = datasets.write(shop, folder)
    file.write_text(file.read_text().replace("purchase = 1.0", "purchase = 1.0\nview = 0.01\nhide = 0"))
    build(file, folder / "store", BuildSettings(partitions=2, factors=8))
    return Snapshot.open(open_store(folder / "store"))


def _bought(shop: datasets.Shop) -> set[str]:
    """Items that others bought, so that both snapshots know them."""
    return {event.item for event in shop.events if event.user != USER}


def _shown(snapshot: Snapshot, rung: pb.Rung, **request: bool) -> list[str]:
    home = snapshot.directory.find(USER)
    assert home is not None
    partitions = {number: snapshot.open_partition(number) for number in range(snapshot.partitions)}
    copies = {home.partition: snapshot.open_stand_ins(home.partition)}
    asked = shard_pb2.PredictRequest(
        request=pb.RecommendRequest(user_id=USER, items_per_carousel=100, **request).SerializeToString(),
        snapshot_version=snapshot.version,
        partitions=[home.partition],
        carousels=WANTED,
        rung=rung,
    )
    answer = asyncio.run(Predictor(snapshot, partitions, copies).predict(asked))
    for opened in (*partitions.values(), *copies.values()):
        opened.close()
    slate = pb.RecommendResponse.FromString(answer.slate)
    return [item.item_id for carousel in slate.carousels for item in carousel.items]
