"""A manifest says what a snapshot is; whatever differs from it by one bit is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from datasets import Built
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder import warm_start
from trunkshow.snapshot import partition
from trunkshow.snapshot.manifest import READABLE, SCHEMA, File, Manifest, SnapshotRefused, describe, verify
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store, resolve

same_folder = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

PLAIN = Manifest(
    schema=SCHEMA,
    version="v1",
    created_at="2024-05-01T00:00:00+00:00",
    dataset="Läden № 1",
    data_until="2024-04-30T00:00:00+00:00",
    parameters={"factors": 16, "repeat": False},
    counts={"users": 3},
    segments=("new", "löyal"),
    models={"ials": "for-you"},
    metrics={"model": {"recall@20": 0.25}},
    partitioning={},
    index={},
    files={"a/b.npy": File(3, "00ff")},
)


def without(field: str) -> str:
    """The plain manifest's text, a field short."""
    raw = json.loads(PLAIN.to_json())
    del raw[field]
    return json.dumps(raw)


def having(field: str, value: object) -> str:
    """The plain manifest's text with another value."""
    return json.dumps({**json.loads(PLAIN.to_json()), field: value})


def test_a_manifest_comes_back_as_it_was() -> None:
    """Writing and reading lose nothing."""
    assert Manifest.from_json(PLAIN.to_json()) == PLAIN


def test_a_manifest_says_up_to_where_the_log_was_read() -> None:
    """Where it was; one without, as all were once, is written without, so that older releases read it."""
    marked = replace(PLAIN, log_watermark="log/0:17")
    assert Manifest.from_json(marked.to_json()) == marked
    assert "log_watermark" not in PLAIN.to_json()


@pytest.mark.parametrize("text", ["17", "log", "log/0:1;", 17])
def test_a_watermark_that_is_none_is_refused(text: object) -> None:
    """Nobody could tell which events are new."""
    with pytest.raises(SnapshotRefused, match="log_watermark"):
        Manifest.from_json(having("log_watermark", text))


def test_a_manifest_says_which_records_were_the_last() -> None:
    """By lane; one without is written without."""
    marked = replace(PLAIN, log_lineage={"0": [17, "ab"], "3": [2, "cd"]})
    assert Manifest.from_json(marked.to_json()) == marked
    assert "log_lineage" not in PLAIN.to_json()


@pytest.mark.parametrize(
    "raw", [{"a": [1, "ab"]}, {"9" * 5000: [1, "ab"]}, {"0": [1]}, {"0": ["ab", 1]}, {"0": 1}, {"0": [True, "ab"]}]
)
def test_a_lineage_that_is_none_is_refused(raw: object) -> None:
    """Whoever opens the snapshot would fail by it later."""
    with pytest.raises(SnapshotRefused, match="log_lineage"):
        Manifest.from_json(having("log_lineage", raw))


def test_equal_manifests_are_equal_bytes() -> None:
    """The order in which a dict was filled does not show."""
    turned = replace(PLAIN, parameters=dict(reversed(PLAIN.parameters.items())))
    assert turned.to_json() == PLAIN.to_json()


def test_a_later_schema_is_refused() -> None:
    """A release does not guess at a format that it does not know."""
    with pytest.raises(SnapshotRefused, match="has schema 3; this release reads schemas 1 and 2"):
        Manifest.from_json(having("schema", SCHEMA + 1))


@pytest.mark.parametrize("schema", READABLE)
def test_schemas_of_before_are_read(schema: int) -> None:
    """What an older release built is served on, and may be rolled back to."""
    assert Manifest.from_json(having("schema", schema)) == replace(PLAIN, schema=schema)


@pytest.mark.parametrize("field", sorted(json.loads(PLAIN.to_json())))
def test_a_field_that_is_not_there_is_refused(field: str) -> None:
    """Every field is needed."""
    with pytest.raises(SnapshotRefused):
        Manifest.from_json(without(field))


@pytest.mark.parametrize("field", sorted(set(json.loads(PLAIN.to_json())) - {"segments"}))
@pytest.mark.parametrize("value", [None, 7.5, [1]])
def test_a_field_of_another_type_is_refused(field: str, value: object) -> None:
    """A value that would only fail later fails now."""
    with pytest.raises(SnapshotRefused):
        Manifest.from_json(having(field, value))


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", '"manifest"', '{"schema": 1}'])
def test_what_is_no_manifest_is_refused(text: str) -> None:
    """Other JSON, and text that is not even that."""
    with pytest.raises(SnapshotRefused):
        Manifest.from_json(text)


@pytest.mark.parametrize("file", [None, {}, {"bytes": "many", "sha256": ""}, {"bytes": 3}])
def test_a_file_that_is_not_described_is_refused(file: object) -> None:
    """Size and checksum of every file are needed."""
    with pytest.raises(SnapshotRefused):
        Manifest.from_json(having("files", {"a": file}))


@given(st.binary(max_size=300))
def test_no_bytes_make_it_fail_otherwise(garbage: bytes) -> None:
    """Reading a manifest gives one, or says that it is refused."""
    with pytest.raises(SnapshotRefused):
        Manifest.from_json(garbage.decode("latin-1"))


@same_folder
@given(content=st.binary(min_size=1, max_size=200), data=st.data())
def test_one_flipped_bit_is_refused(tmp_path: Path, content: bytes, data: st.DataObject) -> None:
    """Any bit of any file."""
    path = tmp_path / "file"
    path.write_bytes(content)
    files = {"file": describe(path)}
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    flipped = bytearray(content)
    flipped[bit // 8] ^= 1 << bit % 8
    path.write_bytes(flipped)
    with pytest.raises(SnapshotRefused, match="checksum"):
        verify(tmp_path, files)


@same_folder
@given(content=st.binary(min_size=1, max_size=200), data=st.data())
def test_a_file_cut_short_is_refused(tmp_path: Path, content: bytes, data: st.DataObject) -> None:
    """The size alone gives it away, before anything is hashed."""
    path = tmp_path / "file"
    path.write_bytes(content)
    files = {"file": describe(path)}
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(SnapshotRefused, match="bytes; the manifest says"):
        verify(tmp_path, files)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """The message names it."""
    with pytest.raises(SnapshotRefused, match=r"gone\.npy cannot be read"):
        verify(tmp_path, {"gone.npy": File(0, "")})


@pytest.fixture
def copied(built: Built, tmp_path: Path) -> Path:
    """A store of its own, to be broken."""
    return Path(shutil.copytree(built.store, tmp_path / "store"))


def flip(path: Path) -> None:
    """One bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    """The last byte is gone."""
    path.write_bytes(path.read_bytes()[:-1])


def open_all(store: Path) -> None:
    """Everything that any process opens."""
    opened = open_store(store)
    snapshot = Snapshot.open(opened)
    try:
        _ = snapshot.directory
        opened.ensure(snapshot.version, snapshot.manifest.under(warm_start.FOLDER))  # a build that starts warm
        for number in range(snapshot.partitions):
            snapshot.open_partition(number).close()
            snapshot.open_stand_ins(number).close()
    finally:
        snapshot.close()


@pytest.mark.parametrize("spoil", [flip, cut, Path.unlink])
def test_no_file_of_a_snapshot_can_be_spoilt_unnoticed(copied: Path, spoil: Callable[[Path], None]) -> None:
    """Whichever file it is, something that opens the snapshot refuses it."""
    (manifest,) = copied.glob("snapshots/*/manifest.json")
    accepted = []
    for path in sorted(file for file in manifest.parent.rglob("*") if file.is_file() and file != manifest):
        kept = path.read_bytes()
        spoil(path)
        try:
            open_all(copied)
        except SnapshotRefused:
            pass
        else:
            accepted.append(path.name)
        path.write_bytes(kept)
    assert accepted == []


def test_a_spoilt_partition_costs_that_partition_alone(copied: Path) -> None:
    """The others open."""
    (folder,) = copied.glob("snapshots/*")
    flip(folder / partition.name(1) / "users.faiss")
    snapshot = Snapshot.open(open_store(copied))
    with pytest.raises(SnapshotRefused, match=r"partitions/00001/users\.faiss"):
        snapshot.open_partition(1)
    snapshot.open_partition(0).close()
    snapshot.close()


def test_a_partition_that_the_snapshot_does_not_have_is_refused(snapshot: Snapshot) -> None:
    """A number too large is no reason to look for files."""
    with pytest.raises(SnapshotRefused, match="no partition 4"):
        snapshot.open_partition(snapshot.partitions)


def test_a_snapshot_of_models_that_are_not_installed_is_refused(copied: Path) -> None:
    """The message names what to install."""
    store = open_store(copied)
    manifest = store.manifest(resolve(store))
    models = {**manifest.models, "oracle": "oracle"}
    with pytest.raises(SnapshotRefused, match="not installed here: oracle"):
        Snapshot(store, replace(manifest, models=models))
