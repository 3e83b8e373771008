"""Files read in parts: where they are divided, and what is said of what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder import divided
from builder.crew.port import Alone
from builder.dataset import Dataset, load_dataset
from builder.errors import BuildError, SourceMissing
from builder.events import read_events
from builder.ingest import parts
from builder.part_reading import PartTask

HEADER = "user,item,kind,time\n"
GOOD = "a,b,buy,2024-01-31\n"
ROWS = 200


class Crew(Alone):
    """This process, asked for parts as workers are.

    Attributes:
        unseen: files that it says it does not see.
    """

    unseen: frozenset[str] = frozenset()

    @property
    def alone(self) -> bool:
        """So it is asked for parts."""
        return False

    def seen(self, files: object) -> set[str]:
        """All but a few."""
        assert isinstance(files, dict)
        return {path for path in files if Path(path).name not in self.unseen}


class HalfBlind(Crew):
    """One that does not see the first file."""

    unseen = frozenset({"0.csv"})


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_BYTES", 500)
    monkeypatch.setattr(parts, "STEP_BYTES", 200)


def shop(folder: Path, *contents: str, form: str = "csv") -> Dataset:
    for number, content in enumerate(contents):
        (folder / f"{number}.{form}").write_text(content, encoding="utf-8")
    (folder / "shop.toml").write_text(
        f"""
name = "shop"
[[events]]
path = "*.{form}"
user = "user"
item = "item"
interaction = "kind"
timestamp = "time"
[interactions]
buy = 1.0
[ingest]
bad_rows_share_max = 0
""",
        encoding="utf-8",
    )
    return load_dataset(folder / "shop.toml")


def refusal(dataset: Dataset, crew: Alone | None) -> str:
    with pytest.raises(BuildError) as caught:
        read_events(dataset, crew=crew)
    return f"{type(caught.value).__name__}: {caught.value}"


@pytest.mark.parametrize(
    "last",
    [
        "a,b,steal,2024-01-31\n",
        "too,few\n",
        ",b,buy,2024-01-31\n",
        "a,b,buy,soon\n",
        "a,b,buy,2099-01-31\n",
        '"a,b,buy,2024-01-31\n',
    ],
)
def test_what_is_wrong_is_named_by_its_line_in_the_file(tmp_path: Path, last: str) -> None:
    """In the last part of the second file, as if there were no parts."""
    dataset = shop(tmp_path, HEADER + ROWS * GOOD, HEADER + ROWS * GOOD + last)
    said = refusal(dataset, Crew(tmp_path / "work"))
    assert f"1.csv line {ROWS + 2}" in said
    assert said == refusal(dataset, None)


def test_the_first_of_several_refusals_is_told(tmp_path: Path) -> None:
    """Whoever is done first."""
    wrong = "a,b,steal,2024-01-31\n"
    dataset = shop(tmp_path, HEADER + ROWS * GOOD + wrong + ROWS * GOOD + wrong, "user\n")
    said = refusal(dataset, Crew(tmp_path / "work"))
    assert f"0.csv line {ROWS + 2}" in said
    assert said == refusal(dataset, None)


def test_what_only_a_whole_file_can_tell_is_told_of_it(tmp_path: Path) -> None:
    """No timestamp in any part of the first file; a key that no line of the second has."""
    csv = shop(tmp_path, HEADER + ROWS * "a,b,buy,soon\n", HEADER + GOOD)
    said = refusal(csv, Crew(tmp_path / "work"))
    assert said.startswith("TimestampUnreadable: 0.csv line 2")
    assert said == refusal(csv, None)
    lines = shop(tmp_path, ROWS * '{"user": "a", "item": "b", "kind": "buy"}\n', form="jsonl")
    said = refusal(lines, Crew(tmp_path / "work"))
    assert said.startswith('ColumnMissing: 0.jsonl: has no column "time"')
    assert said == refusal(lines, None)


def test_files_that_workers_do_not_see_are_read_here(tmp_path: Path) -> None:
    """And that is said."""
    dataset = shop(tmp_path, HEADER + ROWS * GOOD, HEADER + ROWS * "c,d,buy,2024-01-31\n")
    said: list[str] = []
    events, report = read_events(dataset, crew=HalfBlind(tmp_path / "work"), say=said.append)
    assert (len(events), report.rows_read) == (2, 2 * ROWS)
    (line,) = said
    assert "0.csv" in line
    assert "1 of 2 files" in line


def test_a_part_that_a_worker_cannot_read_is_read_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one that came late, and has not the file."""
    dataset = shop(tmp_path, HEADER + ROWS * GOOD)
    monkeypatch.setattr(divided, "read_or_none", _blind)
    events, report = read_events(dataset, crew=Crew(tmp_path / "work"))
    assert (len(events), report.rows_read) == (1, ROWS)


def _blind(task: PartTask) -> None:
    with pytest.raises(SourceMissing):
        raise SourceMissing(task.file.name)


def test_no_file_of_a_part_is_left(tmp_path: Path) -> None:
    """They would lie beside what is built from them."""
    read_events(shop(tmp_path, HEADER + ROWS * GOOD), crew=Crew(tmp_path / "work"))
    assert [path.name for path in (tmp_path / "work" / "read").iterdir()] == ["people"]


# ---- where files are divided


@pytest.mark.parametrize(
    ("line", "divides"),
    [
        (GOOD, True),
        ('"a","b","buy","2024-01-31"\n', True),
        ('"a","b with ""quotes""","buy","2024-01-31"\n', True),
        ('"a\n","b","buy","2024-01-31"\n', False),
    ],
)
def test_csv_is_divided_where_no_record_goes_over_a_line_feed(tmp_path: Path, line: str, divides: bool) -> None:
    """Into parts of about the size asked for, none of them empty, which together are the file."""
    path = tmp_path / "0.csv"
    path.write_text(HEADER + ROWS * line, encoding="utf-8")
    found = parts.parts_of(path, ",")
    if not divides:
        assert found == [parts.Part(path)]
        return
    size = path.stat().st_size
    assert len(found) == pytest.approx(size / parts.PART_BYTES, abs=1.5)
    assert [part.start for part in found] == [0, *(part.stop for part in found[:-1])]
    assert found[-1].stop == size
    assert all(path.read_bytes()[part.start - 1 : part.start] in (b"", b"\n") for part in found)


def test_a_record_over_several_lines_moves_the_place(tmp_path: Path) -> None:
    """Behind it by as many lines as a record may have."""
    path = tmp_path / "0.csv"
    path.write_text(HEADER + 20 * GOOD + '"a\nb",b,buy,2024-01-31\n' + 2 * ROWS * GOOD, encoding="utf-8")
    first = parts.parts_of(path, ",")[0]
    assert first.stop is not None
    lines_between = path.read_bytes()[: first.stop].count(b"\n") - 22
    assert lines_between >= 98


@pytest.mark.parametrize("name", ["0.csv", "0.csv.gz", "0.jsonl.gz"])
def test_what_is_small_or_compressed_stays_whole(tmp_path: Path, name: str) -> None:
    """However large it is where it is compressed: it has to be read from its beginning."""
    path = tmp_path / name
    path.write_bytes(b"x" * 400 if name == "0.csv" else b"x" * 4000)
    assert parts.parts_of(path, ",") == [parts.Part(path)]
