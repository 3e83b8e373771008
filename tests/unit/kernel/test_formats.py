"""What is written into a snapshot is what is read from it: records, keys and values, strings, the directory."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_st
from numpy.typing import NDArray
from user_records import columns, encoded, stand_in

from trunkshow import marks
from trunkshow.snapshot import arrays, directory, kv, records
from trunkshow.snapshot.arrays import Strings
from trunkshow.snapshot.records import UserRecord

same_folder = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
numbers = st.floats(width=32, allow_nan=False)
components = st.floats(-(2.0**100), 2.0**100, width=32)


@st.composite
def user_records(draw: Any) -> UserRecord:
    """Users with any taste and history."""
    length = draw(st.integers(0, 20))
    return UserRecord(
        draw(st.integers(-1, 2**15 - 1)),
        draw(np_st.arrays(np.float32, draw(st.integers(1, 16)), elements=components)),
        draw(np_st.arrays(np.int32, length, elements=st.integers(0, 2**31 - 1))),
        draw(np_st.arrays(np.float32, length, elements=numbers)),
        draw(np_st.arrays(np.uint32, length)),
        draw(st.just(records.UNMARKED) | np_st.arrays(np.uint8, length, elements=st.integers(0, 3))),
    )


def plain(record: UserRecord) -> list[Any]:
    """All but its vector as something that can be compared; what its marks say, however they are kept."""
    said = (*record[2:5], record.had, record.hidden)
    return [record.segment, *(column.tolist() for column in said)]


@given(record=user_records())
def test_a_user_comes_back_as_written(record: UserRecord) -> None:
    """Encoding and decoding lose nothing but what a vector's components have beyond half precision."""
    found = records.decode(encoded(record), len(record.vector))
    assert plain(found) == plain(record)
    assert_halved(found.vector, record.vector)


def assert_halved(found: NDArray[np.float32], vector: NDArray[np.float32]) -> None:
    """Right to three digits of its largest component, however long or short the vector is."""
    assert found.dtype == np.float32
    assert np.abs(found - vector).max() <= np.abs(vector).max() * 2.0**-11


@given(record=user_records())
def test_a_user_of_an_older_snapshot_comes_back_as_written(record: UserRecord) -> None:
    """Records of the first format had their vectors in single precision, and no scale; snapshots live for long."""
    marked = bool(len(record.marks))
    before = struct.pack("<BBhI", 1, marked, record.segment, len(record.items))
    before += b"".join(column.tobytes() for column in (record.vector, *record[2:6]))
    found = records.decode(before, len(record.vector))
    assert (plain(found), found.vector.tolist()) == (plain(record), record.vector.tolist())


@given(several=st.lists(user_records(), max_size=5), data=st.data())
def test_what_several_users_had_last_is_what_each_of_them_had(several: list[UserRecord], data: st.DataObject) -> None:
    """Who has one history, whole, is left out; the others' newest items are there, in order, with their weights."""
    factors, most = data.draw(st.integers(1, 8)), data.draw(st.integers(0, 4))
    vectors = [data.draw(np_st.arrays(np.float32, factors, elements=components)) for _ in several]
    written = [encoded(one._replace(vector=vector)) for one, vector in zip(several, vectors, strict=True)]
    own = data.draw(st.sampled_from([one.items for one in several] or [np.empty(0, np.int32)]))
    found = records.newest([(one, float(at)) for at, one in enumerate(written)], factors, most, own)
    others = [(at, one) for at, one in enumerate(several) if one.items.tolist() != own.tolist()]
    assert found.near == [at for at, _ in others]
    assert found.counts == [len(one.items[:most]) for _, one in others]
    assert found.items.tolist() == [row for _, one in others for row in one.items[:most].tolist()]
    assert found.weights.tolist() == [weight for _, one in others for weight in one.weights[:most].tolist()]


def test_formats_are_not_mixed() -> None:
    """A file is of one format; what says otherwise is spoilt."""
    record = UserRecord(-1, *(np.zeros(2, kind) for kind in (np.float32, np.int32, np.float32, np.uint32)))
    written = encoded(record)
    for mixed in ([written, b"\x01" + written[1:]], [b"\x01" + written[1:], written]):
        with pytest.raises(ValueError, match="of format"):
            records.newest([(one, 1.0) for one in mixed], 2, 5, record.items[:0])


@given(record=user_records(), data=st.data())
def test_a_record_cut_short_is_an_error(record: UserRecord, data: st.DataObject) -> None:
    """No array reaches beyond the bytes that are there."""
    written = encoded(record)
    with pytest.raises((ValueError, records.struct.error)):
        records.decode(written[: data.draw(st.integers(0, len(written) - 1))], len(record.vector))


@given(record=user_records(), data=st.data())
def test_a_history_cut_short_is_an_error(record: UserRecord, data: st.DataObject) -> None:
    """Though the newest of it may be there."""
    written = encoded(record._replace(marks=records.UNMARKED))
    with pytest.raises(ValueError, match="bytes"):
        records.newest(
            [(written[: data.draw(st.integers(0, len(written) - 4 * len(record.items) - 1))], 1.0)],
            len(record.vector),
            5,
            np.empty(0, np.int32),
        )


@given(record=user_records(), form=st.integers(3, 255))
def test_a_record_of_another_format_is_an_error(record: UserRecord, form: int) -> None:
    """A later format is not guessed at."""
    with pytest.raises(ValueError, match=f"format {form}"):
        records.decode(bytes([form]) + encoded(record)[1:], len(record.vector))


@given(record=user_records())
def test_a_decoded_history_is_a_view_of_its_bytes(record: UserRecord) -> None:
    """Nothing is copied, and nothing can be written."""
    assert not records.decode(encoded(record), len(record.vector)).items.flags.writeable


@given(record=user_records())
def test_a_stand_in_knows_what_a_user_had_and_what_of_it_was_liked(record: UserRecord) -> None:
    """Segment, items in their order, the sign of their weights, and which the user had, or hid."""
    record = record._replace(vector=np.ones(4, np.float32))
    found = records.decode_stand_in(stand_in(record), 4)
    rows = record.items.tolist()
    assert (found.segment, found.items.tolist()) == (record.segment, rows)
    assert (found.weights > 0).tolist() == (record.weights > 0).tolist()
    assert (found.had.tolist(), found.hidden.tolist()) == (record.had.tolist(), record.hidden.tolist())


def test_a_history_without_marks_was_had() -> None:
    """As all were before there were marks; nor does one take room that says nothing else."""
    record = UserRecord(-1, *(np.zeros(2, kind) for kind in (np.float32, np.int32, np.float32, np.uint32)))
    marked = record._replace(marks=np.full(2, marks.HAD, np.uint8))
    assert (record.had.tolist(), record.hidden.tolist()) == (record.items.tolist(), [])
    assert encoded(marked) == encoded(record)


@given(vector=np_st.arrays(np.float32, 8, elements=components))
def test_a_stand_ins_vector_is_right_to_three_digits(vector: NDArray[np.float32]) -> None:
    """As a record's is."""
    one = UserRecord(-1, vector, *(np.empty(0, kind) for kind in (np.int32, np.float32, np.uint32)))
    assert_halved(records.decode_stand_in(stand_in(one), 8).vector, vector)


@given(record=user_records(), data=st.data())
def test_a_stand_in_cut_short_is_an_error(record: UserRecord, data: st.DataObject) -> None:
    """As a record is."""
    record = record._replace(vector=np.ones(4, np.float32))
    written = stand_in(record)
    with pytest.raises((ValueError, records.struct.error)):
        records.decode_stand_in(written[: data.draw(st.integers(0, len(written) - 1))], len(record.vector))


@given(record=user_records(), form=st.integers(2, 255))
def test_a_stand_in_of_another_format_is_an_error(record: UserRecord, form: int) -> None:
    """As a record is."""
    ones = np.ones(4, np.float32)
    with pytest.raises(ValueError, match=f"format {form}"):
        records.decode_stand_in(bytes([form]) + stand_in(record._replace(vector=ones))[1:], 4)


@given(users=st.lists(user_records(), max_size=8))
def test_users_are_written_together_as_each_alone(users: list[UserRecord]) -> None:
    """Whatever comes before them, with marks or without, and however long."""
    users = [user._replace(vector=np.resize(user.vector, 4)) for user in users]
    together = columns(users, 4)
    assert list(together.encoded()) == [encoded(user) for user in users]
    assert list(together.stand_ins()) == [stand_in(user) for user in users]


pairs = st.dictionaries(st.binary(min_size=1, max_size=30), st.binary(max_size=5000), max_size=30)


@same_folder
@given(pairs=pairs)
def test_pairs_come_back_in_order(tmp_path_factory: pytest.TempPathFactory, pairs: dict[bytes, bytes]) -> None:
    """A file has what was written into it, keys ascending, and no more."""
    path = tmp_path_factory.mktemp("kv") / "pairs.lmdb"
    kv.write(path, sorted(pairs.items()))
    with kv.Reader(path) as reader:
        assert [(key, bytes(value)) for key, value in reader.items()] == sorted(pairs.items())
        assert len(reader) == len(pairs)


@same_folder
@given(pairs=pairs, count=st.integers(0, 40))
def test_keys_from_all_over_a_file_are_some_of_its_own(
    tmp_path_factory: pytest.TempPathFactory, pairs: dict[bytes, bytes], count: int
) -> None:
    """Each once, ascending, as many as asked for, the first one among them."""
    path = tmp_path_factory.mktemp("kv") / "pairs.lmdb"
    kv.write(path, sorted(pairs.items()))
    with kv.Reader(path) as reader:
        found = reader.spread(count)
    assert found == sorted(set(found) & pairs.keys())
    assert len(found) == min(count, len(pairs))
    assert found[:1] == sorted(pairs)[: min(count, 1)]


def test_keys_of_digits_are_found_from_all_over_a_file(tmp_path: Path) -> None:
    """Ids often are numbers, whose bytes are far from evenly spread."""
    kv.write(tmp_path / "kv", [(f"{number:06d}".encode(), b"") for number in range(50_000)])
    with kv.Reader(tmp_path / "kv") as reader:
        found = [int(key) for key in reader.spread(8)]
    assert len(found) == 8
    assert found[-1] - found[0] > 25_000


@same_folder
@given(pairs=pairs)
def test_the_same_pairs_are_the_same_bytes(tmp_path_factory: pytest.TempPathFactory, pairs: dict[bytes, bytes]) -> None:
    """A file is a function of its content."""
    folder = tmp_path_factory.mktemp("kv")
    for name in ("one", "other"):
        kv.write(folder / name, sorted(pairs.items()))
    assert (folder / "one").read_bytes() == (folder / "other").read_bytes()


@pytest.mark.parametrize("keys", [[b"b", b"a"], [b"a", b"a"], [b"a", b"c", b"b"]])
def test_keys_out_of_order_or_twice_are_an_error(tmp_path: Path, keys: list[bytes]) -> None:
    """A file that would have lost a key is not written in silence."""
    with pytest.raises(ValueError, match="out of order or come twice"):
        kv.write(tmp_path / "kv", [(key, b"") for key in keys])


def test_a_key_that_is_not_there_is_none(tmp_path: Path) -> None:
    """Asking for a stranger is no error."""
    kv.write(tmp_path / "kv", [(b"a", b"1")])
    with kv.Reader(tmp_path / "kv") as reader:
        assert reader.get(b"b") is None


def test_many_large_values_fit(tmp_path: Path) -> None:
    """Values over half a page take whole pages, and still find room."""
    count = kv.write(tmp_path / "kv", [(number.to_bytes(4, "big"), bytes(2100)) for number in range(40_000)])
    with kv.Reader(tmp_path / "kv") as reader:
        assert len(reader) == count == 40_000


def test_reading_a_file_that_is_not_there_makes_none(tmp_path: Path) -> None:
    """A reader never creates."""
    with pytest.raises(FileNotFoundError):
        kv.Reader(tmp_path / "kv")
    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_strings_come_back_as_packed(strings: list[str]) -> None:
    """Any text, empty ones too."""
    column = Strings(*Strings.pack(strings))
    assert [column[row] for row in range(len(column))] == strings


def test_arrays_come_back_read_only(tmp_path: Path) -> None:
    """What a snapshot holds is not written to again."""
    arrays.save(tmp_path / "a", {"ones": np.ones(3, np.float32)})
    loaded = arrays.load(tmp_path / "a")["ones"]
    assert loaded.tolist() == [1, 1, 1]
    assert not loaded.flags.writeable


def test_objects_are_not_stored(tmp_path: Path) -> None:
    """What could only be pickled is an error."""
    with pytest.raises(ValueError, match="holds objects"):
        arrays.save(tmp_path, {"a": np.array([{}])})


def homes(folder: Path, users: list[str]) -> directory.Directory:
    """A directory in which the n-th user lives in partition n."""
    partitions: NDArray[np.int32] = np.arange(len(users), dtype=np.int32)
    directory.write(folder, users, partitions, partitions % 3 - 1)
    return directory.Directory(folder)


ids = st.sets(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20), max_size=50)


@same_folder
@given(users=ids)
def test_the_directory_finds_every_user(tmp_path_factory: pytest.TempPathFactory, users: set[str]) -> None:
    """Partition and segment are those that were written, asked for again as well, and with more users than are kept."""
    listed = sorted(users)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(directory, "FOUND_MAX", 4)
        found = homes(tmp_path_factory.mktemp("directory"), listed)
    for asked in (listed, listed[:3], listed[:3], listed):
        assert [found.find(user) for user in asked] == [(n, n % 3 - 1) for n in range(len(asked))]


@same_folder
@given(users=ids, strangers=ids)
def test_the_directory_knows_no_strangers(
    tmp_path_factory: pytest.TempPathFactory, users: set[str], strangers: set[str]
) -> None:
    """Whoever was not written is not found."""
    found = homes(tmp_path_factory.mktemp("directory"), sorted(users))
    assert [found.find(stranger) for stranger in strangers - users] == [None] * len(strangers - users)


def test_an_empty_directory_knows_nobody(tmp_path: Path) -> None:
    """There is nothing to search, and that is no error."""
    assert homes(tmp_path, []).find("anybody") is None


def test_a_user_named_twice_is_an_error(tmp_path: Path) -> None:
    """Two homes for one user cannot be told apart by any salt."""
    with pytest.raises(ValueError, match="same id"):
        homes(tmp_path, ["ann", "bob", "ann"])
