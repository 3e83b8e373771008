"""A build reads what an export's folder names, beside other sources, and refuses a folder that makes no sense."""

from __future__ import annotations

from pathlib import Path

import pytest
from exported_log import WHEN, event, exported, log_of

from builder.dataset import load_dataset
from builder.errors import BuildError
from builder.events import read_events
from builder.export import state


async def test_the_builder_reads_what_is_named(tmp_path: Path) -> None:
    """With the data set file beside it, and the watermark."""
    log = await log_of([event(1, "view"), event(2, "impression"), event(3, "order", item="shoe")])
    await exported(log, tmp_path)
    (tmp_path / "events-000009.parquet").write_bytes(b"of nobody")
    events, report = read_events(load_dataset(tmp_path / "dataset.toml"))
    assert events.item_ids.to_list() == ["hat", "shoe"]
    assert events.times.tolist() == [int(WHEN.timestamp() * 1000)] * 2
    assert (report.log_watermark, report.bad) == ("memory/0:1", {})


async def test_an_export_stands_beside_other_sources(tmp_path: Path) -> None:
    """Of the same data set."""
    await exported(await log_of([event(1, "order")]), tmp_path / "log")
    (tmp_path / "old.csv").write_text("u,i,t\nbob,cap,2023-01-01\n")
    (tmp_path / "shop.toml").write_text(
        'name = "shop"\n[log]\nexport = "log"\n[[events]]\npath = "old.csv"\nuser = "u"\nitem = "i"\ntimestamp = "t"\n'
        'interaction_type = "order"\n[interactions]\norder = 1\n'
    )
    events, _ = read_events(load_dataset(tmp_path / "shop.toml"))
    assert events.user_ids.to_list() == ["ada", "bob"]


@pytest.mark.parametrize("said", ["", "{}", '{"schema": 2}', "[]", "nonsense"])
def test_a_folder_that_says_nothing_sensible_is_refused(tmp_path: Path, said: str) -> None:
    """In one line that names the file."""
    (tmp_path / "shop.toml").write_text('name = "shop"\n[log]\nexport = "."\n[interactions]\norder = 1\n')
    (tmp_path / state.FILE_NAME).write_text(said)
    with pytest.raises(BuildError, match=r"export\.json"):
        read_events(load_dataset(tmp_path / "shop.toml"))


def test_a_folder_without_an_export_is_refused(tmp_path: Path) -> None:
    """With what to do."""
    (tmp_path / "shop.toml").write_text('name = "shop"\n[log]\nexport = "."\n[interactions]\norder = 1\n')
    with pytest.raises(BuildError, match="run `trunkshow export-events`"):
        read_events(load_dataset(tmp_path / "shop.toml"))
