"""`trunkshow features` and `feature-windows` as a person meets them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from scripted_router import ScriptedRouter, scripted_router

from cli.main import run


@pytest.fixture
def router() -> Iterator[ScriptedRouter]:
    with scripted_router() as router:
        yield router


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


def test_windows_stand_side_by_side(router: ScriptedRouter, capsys: pytest.CaptureFixture[str]) -> None:
    """What may be incomplete has a star; who is not known, or not told of, is said to be."""
    assert run(["features", "--target", router.target, "--user", "ann,bob", "--item", "coat"]) == 0
    said = capsys.readouterr().out
    assert "1h" in said
    assert "1d*" in said
    assert next(line.split() for line in said.splitlines() if "click" in line) == ["click", "3", "1,234"]
    assert "hats [warm]" in said
    assert "not told: SHARD_LATE" in said
    assert "nothing known of the last 30 days" in said


def test_json_has_all_of_it(router: ScriptedRouter, capsys: pytest.CaptureFixture[str]) -> None:
    """For machines."""
    assert run(["features", "--target", router.target, "--user", "ann", "--user", "bob", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["users"][0]["windows"][1]["counts"] == {"click": 1234, "content-impression": 2, "other": 1}
    assert [one["missing"] for one in told["users"]] == [None, "SHARD_LATE"]
    assert list(router.seen[0].request.user_ids) == ["ann", "bob"]


def test_somebody_must_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Before a router is looked for."""
    assert run(["features"]) == 2
    assert "--user" in capsys.readouterr().err


@pytest.mark.parametrize("given", [[], ["--at", "2026-01-01", "--rows", "rows.parquet"]])
def test_a_table_is_of_one_moment_or_of_rows(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """And not of both, or neither."""
    assert run(["feature-windows", "dataset.toml", "--out", "table.parquet", *given]) == 2
    assert "--at or --rows" in capsys.readouterr().err


def test_a_table_needs_an_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the builder reads of other sources has no impressions, and no ids to count events once by."""
    dataset = tmp_path / "dataset.toml"
    events = '[[events]]\npath = "e.csv"\nuser = "u"\nitem = "i"\ninteraction = "k"\ntimestamp = "t"\n'
    dataset.write_text(f'name = "shop"\n{events}[interactions]\nview = 1.0\n', encoding="utf-8")
    assert run(["feature-windows", str(dataset), "--out", str(tmp_path / "t.parquet"), "--at", "2026-01-01"]) == 2
    assert "export-events" in capsys.readouterr().err


def test_a_table_that_cannot_be_read_is_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its name."""
    (tmp_path / "export.json").write_text(
        '{"schema": 1, "watermark": "", "events": [], "shown": [], "duplicates": 0, "lost": 0}', encoding="utf-8"
    )
    dataset = tmp_path / "dataset.toml"
    dataset.write_text('name = "shop"\n[log]\nexport = "."\n[interactions]\nview = 1.0\n', encoding="utf-8")
    rows, out = tmp_path / "rows.parquet", tmp_path / "t.parquet"
    rows.write_text("no table", encoding="utf-8")
    assert run(["feature-windows", str(dataset), "--out", str(out), "--rows", str(rows)]) == 2
    assert "rows.parquet" in capsys.readouterr().err
    pl.DataFrame({"user": ["ann"], "timestamp": [1_700_000_000]}).write_parquet(rows)
    assert run(["feature-windows", str(dataset), "--out", str(out), "--rows", str(rows), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(out), "rows": 1, "events": 0}
    assert pl.read_parquet(out)["user_30d_view"].to_list() == [0]
