"""Any bytes may stand in any file that a process reads: each is read or refused with an error of its own, never else.

What is behind a checksum (arrays, LMDB, FAISS) is tried as a store would spoil it: the change is found before the file
is opened. Those libraries are not fuzzed beyond that: a builder that writes a malicious index with a right checksum is
a builder that is trusted, and signatures say who that is (`docs/security.md`).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from datasets import Built
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.dataset import load_dataset
from builder.errors import BuildError
from builder.events import read_events
from trunkshow.membership import MembersUnknown, parse_lines
from trunkshow.snapshot import pointer_json, records
from trunkshow.snapshot.manifest import FILE_NAME, Manifest, SnapshotRefused
from trunkshow.snapshot.pointer_json import PointerUnreadable
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import StoreError, open_store

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "40"))
FUZZED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def spoilt(draw: st.DrawFn, data: bytes) -> bytes:
    """The data with a stretch of it replaced, cut off, doubled or put elsewhere."""
    begin = draw(st.integers(0, len(data)))
    end = draw(st.integers(begin, min(len(data), begin + draw(st.sampled_from((0, 1, 8, 200, len(data)))))))
    put = draw(st.one_of(st.binary(max_size=8), st.just(data[begin:end] * 2), st.just(b"1e999"), st.just(b"[" * 5000)))
    return data[:begin] + put + data[end:]


@st.composite
def near(draw: st.DrawFn, data: bytes) -> bytes:
    """Something like the data, or nothing like it."""
    return draw(st.binary(max_size=300)) if draw(st.integers(0, 9)) == 0 else spoilt(draw, data)


def reads_or_refuses(read: Callable[[], object], *refusals: type[Exception]) -> None:
    """Whatever else is raised fails the test."""
    try:
        read()
    except refusals as error:
        assert str(error)


# ---- documents


def test_any_manifest_is_read_or_refused(built: Built) -> None:
    """From text that was spoilt."""
    text = built.report.manifest.to_json().encode()

    @FUZZED
    @given(near(text))
    def read(data: bytes) -> None:
        reads_or_refuses(lambda: Manifest.from_json(data.decode("utf-8", "replace")), SnapshotRefused)

    read()


@FUZZED
@given(st.dictionaries(st.sampled_from(["schema", "version", "files", "segments", "parameters", "counts"]), JSON))
def test_any_json_is_a_manifest_or_none(raw: dict[str, object]) -> None:
    """From JSON of any shape."""
    reads_or_refuses(lambda: Manifest.from_json(json.dumps({"schema": 1, **raw})), SnapshotRefused)


def test_any_pointer_is_read_or_refused(built: Built) -> None:
    """And one that is read is written and read again as it is."""
    text = pointer_json.dumps(open_store(built.store).pointer()).encode()

    @FUZZED
    @given(near(text))
    def read(data: bytes) -> None:
        def again() -> None:
            pointer = pointer_json.loads(data)
            assert pointer_json.loads(pointer_json.dumps(pointer)) == pointer

        reads_or_refuses(again, PointerUnreadable)

    read()


@FUZZED
@given(st.text(max_size=200))
def test_any_list_of_members_is_read_or_refused(text: str) -> None:
    """A line that is no address is no membership."""
    reads_or_refuses(lambda: parse_lines(text), ValueError, MembersUnknown)


@FUZZED
@given(st.binary(max_size=200), st.integers(1, 64))
def test_any_record_is_read_or_refused(data: bytes, factors: int) -> None:
    """A user's bytes that end early are no user."""
    reads_or_refuses(lambda: records.decode(data, factors), ValueError)
    reads_or_refuses(lambda: records.newest([(data, 1.0)], factors, 5, np.empty(0, np.int32)), ValueError)
    reads_or_refuses(lambda: records.decode_stand_in(data, factors), ValueError)


# ---- what the builder reads


@pytest.fixture
def shop(built: Built, tmp_path: Path) -> Path:
    """A folder with the shop's files, to be spoilt."""
    folder = tmp_path / "shop"
    shutil.copytree(built.dataset.parent, folder)
    return folder / built.dataset.name


def test_any_dataset_file_is_read_or_refused(shop: Path) -> None:
    """TOML of any kind."""
    text = shop.read_bytes()

    @FUZZED
    @given(near(text))
    def read(data: bytes) -> None:
        shop.write_bytes(data)
        reads_or_refuses(lambda: load_dataset(shop), BuildError)

    read()


def test_a_dataset_file_nested_beyond_reason_is_refused(shop: Path) -> None:
    """The parser's own recursion is no reason for a traceback."""
    shop.write_text(f"name = {'[' * 100_000}", encoding="utf-8")
    with pytest.raises(BuildError, match="nested too deep"):
        load_dataset(shop)


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_any_events_file_is_read_or_refused(shop: Path, form: str) -> None:
    """In each of its forms."""
    frame = pl.read_csv(shop.parent / "events.csv", infer_schema=False).head(50)
    path = shop.parent / f"events.{form}"
    {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet}[form](path)
    shop.write_text(shop.read_text(encoding="utf-8").replace("events.csv", path.name), encoding="utf-8")
    whole, dataset = path.read_bytes(), load_dataset(shop)

    @settings(FUZZED, max_examples=5 * EXAMPLES)  # some damage to Parquet, and it takes some tries, makes polars panic
    @given(near(whole))
    def read(data: bytes) -> None:
        path.write_bytes(data)
        reads_or_refuses(lambda: read_events(dataset), BuildError)

    read()


# ---- a snapshot's files


def open_everything(store: Path) -> None:
    """What a router and a shard open, all of it."""
    snapshot = Snapshot.open(open_store(store))
    try:
        len(snapshot.directory)
        for number in range(snapshot.partitions):
            snapshot.open_partition(number).close()
            snapshot.open_stand_ins(number).close()
    finally:
        snapshot.close()


def test_a_snapshot_with_any_file_spoilt_is_refused(built: Built, tmp_path: Path) -> None:
    """Whichever file, wherever in it: found out before it is opened, and told which."""
    store = tmp_path / "store"
    shutil.copytree(built.store, store)
    folder = next((store / "snapshots").iterdir())
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

    @FUZZED
    @given(st.data())
    def refuse(data: st.DataObject) -> None:
        path = folder / data.draw(st.sampled_from(files))
        whole = path.read_bytes()
        changed = data.draw(near(whole))
        try:
            path.write_bytes(changed)
            if changed == whole:
                return
            with pytest.raises((SnapshotRefused, StoreError)) as refused:
                open_everything(store)
            assert path.name in str(refused.value) or path.name == FILE_NAME
        finally:
            path.write_bytes(whole)

    refuse()
    open_everything(store)
