"""A dataset file is read whole and checked before any source is opened."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from builder.dataset import Dataset, load_dataset
from builder.errors import DatasetInvalid

EVENTS = """
name = "shop"

[[events]]
path = "events.csv"
user = "user_id"
item = "item_id"
interaction = "interaction"
timestamp = "timestamp"
"""
INTERACTIONS = """
[interactions]
purchase = 1.0
return = -1.0
"""


def load(folder: Path, text: str) -> Dataset:
    path = folder / "shop.toml"
    path.write_text(text, encoding="utf-8")
    return load_dataset(path)


def message(folder: Path, text: str) -> str:
    with pytest.raises(DatasetInvalid) as caught:
        load(folder, text)
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith("shop.toml: ")
    return said


def test_the_file_of_the_guide_works_as_written(tmp_path: Path) -> None:
    """Every key of the guide's example lands in its field."""
    dataset = load(
        tmp_path,
        """
name = "online-retail"

[[events]]
path = "events.csv"          # relative to this file; globs allowed; the format from the ending
user = "user_id"
item = "item_id"
interaction = "interaction"  # a column; or `interaction_type = "rent"`, one type for the whole source
timestamp = "timestamp"
value = "value"              # optional

[interactions]               # weight of each type
purchase = 1.0
return = -1.0

[serving]
repeat = false

[items]                      # optional, every column but id optional
path = "items.parquet"
id = "item_id"
title = "title"
category = "category"
occasions = "occasion"       # one value or a list
""",
    )
    assert dataset.name == "online-retail"
    assert dataset.folder == tmp_path
    assert dataset.events[0].value == "value"
    assert list(dataset.interactions.items()) == [("purchase", 1.0), ("return", -1.0)]
    assert dataset.items is not None
    assert (dataset.items.title, dataset.items.occasions, dataset.items.attributes) == (
        "title",
        "occasion",
        (),
    )
    assert dataset.users is None


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    """Only the name, one source and the interactions are required."""
    dataset = load(tmp_path, EVENTS + INTERACTIONS)
    serving, evaluation = dataset.serving, dataset.evaluation
    assert (serving.repeat, serving.new_arrival_days, serving.popularity_half_life_days) == (
        False,
        30.0,
        30.0,
    )
    assert (evaluation.test_share, evaluation.cut) == (0.1, None)
    assert dataset.ingest.bad_rows_share_max == 0.01


def test_every_optional_key_is_taken(tmp_path: Path) -> None:
    """The settings of serving, evaluation, ingest, items and users reach their fields."""
    dataset = load(
        tmp_path,
        EVENTS
        + INTERACTIONS
        + """
[serving]
repeat = true
new_arrival_days = 7
popularity_half_life_days = 3.5
[evaluation]
test_share = 0.2
[ingest]
bad_rows_share_max = 0
[items]
path = "items.csv"
id = "id"
attributes = ["brand", "colour"]
available = "in_stock"
created_at = "created"
occasions_separator = ";"
[users]
path = "users.csv"
id = "id"
segment = ["age", "country"]
""",
    )
    assert dataset.serving.repeat
    assert dataset.serving.new_arrival_days == 7.0
    assert dataset.evaluation.test_share == 0.2
    assert dataset.ingest.bad_rows_share_max == 0.0
    assert dataset.items is not None
    assert dataset.items.attributes == ("brand", "colour")
    assert dataset.items.occasions_separator == ";"
    assert dataset.users is not None
    assert dataset.users.segment == ("age", "country")


def test_a_segment_may_be_one_column(tmp_path: Path) -> None:
    """A single column needs no list around it."""
    dataset = load(tmp_path, EVENTS + INTERACTIONS + '[users]\npath = "u.csv"\nid = "id"\nsegment = "age"\n')
    assert dataset.users is not None
    assert dataset.users.segment == ("age",)


@pytest.mark.parametrize("cut", ['"2024-01-31"', "2024-01-31", '"2024-01-31T01:00:00+01:00"', '"1706659200"'])
def test_the_cut_takes_any_form_of_a_timestamp(tmp_path: Path, cut: str) -> None:
    """Quoted or TOML's own, a date or an instant: the cut becomes the same time in UTC."""
    dataset = load(tmp_path, EVENTS + INTERACTIONS + f"[evaluation]\ncut = {cut}\n")
    assert dataset.evaluation.cut == datetime(2024, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ("[serving]\nrepaet = true", ['[serving] has an unknown key "repaet"', 'did you mean "repeat"?']),
        ("[item]\n", ['unknown key "item"', 'did you mean "items"?']),
        ("[serving]\nqqq = 1", ['"qqq"', "the keys are new_arrival_days, popularity_half_life_days, repeat"]),
        ("[serving]\nrepeat = 1", ['"repeat" in [serving] is 1', "expected true or false"]),
        ('[serving]\nnew_arrival_days = "30"', ['"new_arrival_days" in [serving]', "expected a number"]),
        ("[serving]\nnew_arrival_days = -1", ["is -1", "at least 0"]),
        ("[evaluation]\ntest_share = 1.5", ['"test_share" in [evaluation] is 1.5', "at most 0.9"]),
        ('[evaluation]\ncut = "January"', ['"cut" in [evaluation]', "ISO text"]),
        ("[evaluation]\ncut = true", ['"cut" in [evaluation] is True', "a date or a time"]),
        ("[ingest]\nbad_rows_share_max = nan", ['"bad_rows_share_max" in [ingest]', "a number"]),
        ('[items]\npath = "i.csv"', ['"id" in [items] is missing', "the name of a column"]),
        (
            '[items]\npath = "i.csv"\nid = "id"\nattributes = [1]',
            ['"attributes" in [items]', "list of columns"],
        ),
        (
            '[items]\npath = "i.csv"\nid = "id"\nseparator = "--"',
            ['"separator" in [items]', "one ASCII character"],
        ),
        ("items = 3", ['"items" in', "is 3", "a table: [items]"]),
    ],
)
def test_a_wrong_key_or_value_is_named(tmp_path: Path, extra: str, says: list[str]) -> None:
    """An error names the table, the key, what is there and what was expected, in one line."""
    top_level = "[" not in extra
    text = extra + EVENTS + INTERACTIONS if top_level else EVENTS + INTERACTIONS + extra
    said = message(tmp_path, text)
    for part in says:
        assert part in said


def test_an_unknown_key_comes_before_the_missing_one_that_it_explains(tmp_path: Path) -> None:
    """A misspelt key is called misspelt, rather than its right form missing."""
    said = message(tmp_path, EVENTS.replace("user =", "usr =") + INTERACTIONS)
    assert '[[events]] has an unknown key "usr"; did you mean "user"?' in said


def test_of_several_event_sources_the_wrong_one_is_numbered(tmp_path: Path) -> None:
    """With two [[events]] tables, an error says which."""
    second = '[[events]]\npath = "b.csv"\nuser = "u"\nitem = "i"\ninteraction_type = "rent"\ntimestamp = 3\n'
    said = message(tmp_path, EVENTS + second + "[interactions]\nrent = 1")
    assert '"timestamp" in [[events]] number 2 is 3' in said


@pytest.mark.parametrize("line", ['interaction_type = "purchase"\ninteraction = "kind"', ""])
def test_a_source_has_its_interaction_from_one_place(tmp_path: Path, line: str) -> None:
    """Both a column and a type, or neither, is an error."""
    said = message(tmp_path, EVENTS.replace('interaction = "interaction"', line) + INTERACTIONS)
    assert "either interaction (a column) or interaction_type" in said


def test_the_one_type_of_a_source_needs_a_weight(tmp_path: Path) -> None:
    """An interaction_type that is not in [interactions] is an error that lists the known ones."""
    text = EVENTS.replace('interaction = "interaction"', 'interaction_type = "rent"') + INTERACTIONS
    assert "expected one of [interactions]: purchase, return" in message(tmp_path, text)


@pytest.mark.parametrize("interactions", ["", "[interactions]\n"])
def test_interactions_are_required(tmp_path: Path, interactions: str) -> None:
    """Without weights there is nothing to learn from."""
    assert '"interactions"' in message(tmp_path, EVENTS + interactions)


def test_broken_toml_is_named_with_its_line(tmp_path: Path) -> None:
    """A syntax error keeps the parser's line and column."""
    assert "line 2" in message(tmp_path, 'name = "x"\nname\n')


def test_a_dataset_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A wrong path is an error of the dataset, not a traceback."""
    with pytest.raises(DatasetInvalid, match=r"nowhere\.toml: cannot be read \(No such file or directory\)"):
        load_dataset(tmp_path / "nowhere.toml")
