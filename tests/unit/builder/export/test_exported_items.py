"""New items of the log beside an export: one row each, as they were told of last, and what a build makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import polars as pl
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from memory_log import MemoryLog

from builder.dataset import load_dataset
from builder.errors import DatasetInvalid
from builder.export import items
from builder.export.exporting import export
from builder.export.folder import held
from builder.pipeline import BuildSettings, build
from builder.tables import read_items
from trunkshow.eventlog.log import LogMissing
from trunkshow.eventlog.watermark import Watermark
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store
from trunkshow.v1 import events_pb2 as pb

CREATED_S = datasets.START_MS // 1000 + 99 * 86_400


def item(item_id: str, **fields: Any) -> pb.NewItem:
    made = pb.NewItem(
        id=item_id, created=Timestamp(seconds=CREATED_S), category="taste 1", attributes={"colour": "red"}
    )
    made.MergeFrom(pb.NewItem(**fields))
    return made


async def exported(folder: Path, told: MemoryLog) -> pl.DataFrame:
    """The items of a folder once it was exported to."""
    with held(folder) as opened:
        await export(MemoryLog(), MemoryLog("gone"), opened, None, items=told)
    return items.read(folder)


async def test_an_item_is_exported_as_it_was_told_of_last(tmp_path: Path) -> None:
    """The next export goes on, and replaces what changed."""
    told = MemoryLog("items")
    await told.tell([item("a", title="A"), item("b"), item("a", title="B", occasions=["wedding"])], 1)
    first = await exported(tmp_path, told)
    assert first["id"].to_list() == ["b", "a"]
    assert first.row(1, named=True)["title"] == "B"
    await told.tell([item("b", available=False), item("c")], 1)
    second = await exported(tmp_path, told)
    assert dict(second.select("id", "available").iter_rows()) == {"a": True, "b": False, "c": True}
    assert (await exported(tmp_path, told)).equals(second)
    told.name, told.records = "anew", []
    await told.tell([item("d")], 1)
    assert sorted((await exported(tmp_path, told))["id"]) == ["a", "b", "c", "d"]


async def test_a_log_of_items_that_went_back_is_read_whole(tmp_path: Path) -> None:
    """Restored from an older copy, it tells of others at numbers that were read."""
    told = MemoryLog("items")
    for one in ("a", "b", "c"):
        await told.tell([item(one)], 1)
    await exported(tmp_path, told)
    told.records = told.records[:1]
    await told.tell([item("d")], 1)
    assert sorted((await exported(tmp_path, told))["id"]) == ["a", "b", "c", "d"]


async def test_without_a_log_of_items_there_are_none(tmp_path: Path) -> None:
    """It is made by the first router."""

    class Missing(MemoryLog):
        async def end(self, within_s: float) -> Watermark:
            raise LogMissing("there is none")

    assert not (await exported(tmp_path, Missing("items"))).height


async def test_items_that_are_named_and_missing_end_the_build(tmp_path: Path) -> None:
    """Rather than be forgotten."""
    told = MemoryLog("items")
    await told.tell([item("a")], 1)
    await exported(tmp_path, told)
    (tmp_path / items.FILE_NAME).unlink()
    with pytest.raises(DatasetInvalid, match=r"items\.parquet"):
        items.read(tmp_path)


async def test_the_next_build_knows_new_items(tmp_path: Path) -> None:
    """With what was told of them; what the shop's own table has is as it stands there, and an addition no more."""
    told = MemoryLog("items")
    own = datasets.item_id(3)
    await told.tell([item("new-1", title="Just in", occasions=["wedding"]), item(own, title="Another title")], 1)
    await exported(tmp_path / "exported", told)
    dataset = datasets.write(datasets.clustered(users=60, items=40), tmp_path, extra='[log]\nexport = "exported"')
    build(dataset, tmp_path / "store", BuildSettings(partitions=2, factors=8))
    snapshot = Snapshot.open(open_store(tmp_path / "store"))
    try:
        row = snapshot.catalogue.built_row("new-1")
        assert row is not None
        said = snapshot.catalogue.described(row)
        assert (said.title, said.category, dict(said.attributes)) == ("Just in", "taste 1", {"colour": "red"})
        assert snapshot.catalogue.title(snapshot.catalogue.row(own) or 0) == "Article № 3"
    finally:
        snapshot.close()


async def test_a_data_set_without_a_table_of_its_own_has_these(tmp_path: Path) -> None:
    """With the attributes that they have, whatever these are called."""
    told = MemoryLog("items")
    await told.tell([item("a", attributes={"id": "x", "size": "L"}), item("b")], 1)
    await exported(tmp_path, told)
    table = read_items(load_dataset(tmp_path / "dataset.toml"))
    assert table is not None
    assert table.ids.to_list() == ["a", "b"]
    assert {name: values.to_list() for name, values in table.attributes.items()} == {
        "colour": ["red", "red"],
        "id": ["x", None],
        "size": ["L", None],
    }
    assert table.created_at.tolist() == [CREATED_S * 1000] * 2
