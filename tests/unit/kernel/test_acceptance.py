"""A manifest is believed by rules; a snapshot that differs too much from what is served does not follow it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest
import tiny_snapshots
from hypothesis import given
from hypothesis import strategies as st

from trunkshow.snapshot import signature
from trunkshow.snapshot.acceptance import accept, compare
from trunkshow.snapshot.manifest import File, Manifest, SnapshotRefused

GOOD = File(3, "00" * 32)
ED25519_OID = bytes.fromhex("06032b6570")  # as it stands in a key's DER (RFC 8410)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """One that holds together."""
    return tiny_snapshots.write(tmp_path_factory.mktemp("built") / "snapshot", "v1")


def read(manifest: Manifest) -> Manifest:
    """What becomes of it on its way through a store."""
    return accept(manifest.to_json().encode(), "v1")


def counting(manifest: Manifest, **counts: Any) -> Manifest:
    """The manifest with other counts."""
    return replace(manifest, counts={**manifest.counts, **counts})


def naming(manifest: Manifest, path: str, file: File = GOOD) -> Manifest:
    """The manifest with one more file."""
    return replace(manifest, files={**manifest.files, path: file})


def test_a_manifest_that_holds_together_is_accepted(manifest: Manifest) -> None:
    """Nothing of it is lost."""
    data = manifest.to_json().encode()
    assert accept(data, "v1", hashlib.sha256(data).hexdigest()) == manifest


@given(st.data())
def test_a_flipped_bit_anywhere_is_refused(manifest: Manifest, data: st.DataObject) -> None:
    """The pointer names the checksum of what was pushed."""
    sealed = bytearray(manifest.to_json().encode())
    checksum = hashlib.sha256(sealed).hexdigest()
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SnapshotRefused, match="checksum that the pointer says"):
        accept(bytes(sealed), "v1", checksum)


def test_a_manifest_of_another_version_is_refused(manifest: Manifest) -> None:
    """A folder that was renamed by hand is not the snapshot it claims to be."""
    with pytest.raises(SnapshotRefused, match="calls itself 'v1'"):
        accept(manifest.to_json().encode(), "v2")


@pytest.mark.parametrize("version", ["", "../v1", "a/b", ".hidden", "a b", "x" * 129, "v1\n"])
def test_a_name_that_is_no_plain_word_is_refused(manifest: Manifest, version: str) -> None:
    """Versions name folders."""
    with pytest.raises(SnapshotRefused):
        accept(replace(manifest, version=version).to_json().encode(), version)


@pytest.mark.parametrize(
    "path",
    [
        *("/etc/passwd", "../v2/taste/directions.npy", "taste/../../x", "taste/..", "..", ".", "", "taste//x"),
        *("taste/./x", "./x", "taste/", "a\\..\\b", "C:\\x", "c:/x", "taste/x\0.npy", "taste/\n", "taste/ /x"),
        *("taste/.directions.npy.17-00", "manifest.json", "manifest.sig", "a/" * 600 + "x", "taste/\ud800"),
    ],
)
def test_a_path_that_could_lead_elsewhere_is_refused(manifest: Manifest, path: str) -> None:
    """Absolute, upwards, of another system, not in its shortest form, or one that we use ourselves."""
    data = json.dumps({**json.loads(manifest.to_json()), "files": {path: {"bytes": 3, "sha256": "00" * 32}}})
    with pytest.raises(SnapshotRefused, match="no path inside a snapshot"):
        accept(data.encode(), "v1")


@given(st.text(max_size=40))
def test_whatever_path_is_accepted_stays_inside(manifest: Manifest, path: str) -> None:
    """Whatever it is made of."""
    folder = Path("/store/snapshots/v1")
    try:
        read(naming(manifest, path))
    except SnapshotRefused:
        return
    assert (folder / path).resolve().is_relative_to(folder)
    assert (folder / path).relative_to(folder).as_posix() == path


@pytest.mark.parametrize(
    "file", [File(-1, "00" * 32), File(2**60, "00" * 32), File(3, "00"), File(3, "zz" * 32), File(3, "00" * 32 + "\n")]
)
def test_sizes_and_checksums_that_no_file_has_are_refused(manifest: Manifest, file: File) -> None:
    """Negative, larger than any disk, or no SHA-256."""
    with pytest.raises(SnapshotRefused, match="what no file has"):
        read(naming(manifest, "taste/x", file))


@pytest.mark.parametrize("size", [True, 3.0, "3", None, [3]])
def test_a_size_that_is_no_number_is_refused(manifest: Manifest, size: object) -> None:
    """What only looks like one would fail later."""
    raw = json.loads(manifest.to_json())
    raw["files"]["taste/x"] = {"bytes": size, "sha256": "00" * 32}
    with pytest.raises(SnapshotRefused):
        accept(json.dumps(raw).encode(), "v1")


@pytest.mark.parametrize(
    "counts",
    [
        {"users": -1},
        {"users": 20.0},
        {"users": True},
        {"users": None},
        {"events": "many"},
        {"items": 2**60},
        {"users": 21},
        {"items": 29},
        {"partitions": 2},
        {"partitions": 0, "users_per_partition": [], "items_per_partition": []},
        {"users_per_partition": [10, 10]},
        {"users_per_partition": 20},
        {"items_per_partition": []},
    ],
)
def test_counts_that_do_not_agree_are_refused(manifest: Manifest, counts: Mapping[str, Any]) -> None:
    """With one another, with the parameters, or with what a count can be."""
    with pytest.raises(SnapshotRefused):
        read(counting(manifest, **counts))


def test_more_partitions_than_the_directory_has_room_for_are_refused(manifest: Manifest) -> None:
    """Their users would be looked for in other ones."""
    many = replace(manifest, parameters={**manifest.parameters, "partitions": 65_536})
    with pytest.raises(SnapshotRefused, match="counts 65536 partitions"):
        read(counting(many, partitions=65_536))


def test_files_of_partitions_that_are_not_counted_are_refused(manifest: Manifest) -> None:
    """And counted ones without files."""
    with pytest.raises(SnapshotRefused, match="files of other ones"):
        read(naming(manifest, "partitions/00001/items.npy"))
    without = {path: file for path, file in manifest.files.items() if not path.startswith("partitions/")}
    with pytest.raises(SnapshotRefused, match="files of other ones"):
        read(replace(manifest, files=without))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"schema": ' + "1" * 5_000 + "}", '{"schema": 1e400}', "\ud800"])
def test_text_made_to_break_a_parser_is_refused(text: str) -> None:
    """Depth, length and numbers beyond bounds."""
    with pytest.raises(SnapshotRefused):
        accept(text.encode(errors="surrogatepass"), "v1")


# ---- against its parent


@pytest.mark.parametrize("what", ["users", "items", "events"])
@pytest.mark.parametrize(("share", "passes"), [(0.5, True), (0.45, False), (1.5, True), (1.55, False), (0.0, False)])
def test_counts_stay_within_the_variance(manifest: Manifest, what: str, share: float, passes: bool) -> None:
    """Half of it and one and a half times are let through, by default; more is a mistake upstream."""
    parent = counting(manifest, **{what: 100})
    child = counting(manifest, **{what: round(100 * share)})
    if passes:
        compare(child, parent)
    else:
        with pytest.raises(SnapshotRefused, match=f"{what}, v1 has 100: more than 50% apart"):
            compare(child, parent)


def test_any_difference_passes_who_says_so(manifest: Manifest) -> None:
    """A store may start small."""
    compare(counting(manifest, users=10**9), counting(manifest, users=1), variance=inf)


def test_another_data_set_or_dimension_is_refused(manifest: Manifest) -> None:
    """Whatever the variance: that is another store's snapshot."""
    with pytest.raises(SnapshotRefused, match="data set"):
        compare(replace(manifest, dataset="other"), manifest, inf)
    with pytest.raises(SnapshotRefused, match="16 dimensions, v1 of 8"):
        compare(replace(manifest, parameters={"partitions": 1, "factors": 16}), manifest, inf)


# ---- signed


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A private key and its public one."""
    signature.make_pair(tmp_path / "private.pem", tmp_path / "public.pem")
    return tmp_path / "private.pem", tmp_path / "public.pem"


def test_a_signed_manifest_is_accepted(manifest: Manifest, pair: tuple[Path, Path]) -> None:
    """By who has the public key."""
    data = manifest.to_json().encode()
    signed = signature.sign(pair[0], data)
    assert accept(data, "v1", key=signature.load_key(pair[1]), signature=signed) == manifest


def test_an_unsigned_or_wrongly_signed_manifest_is_refused(
    manifest: Manifest, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    """None, another key's, one of other bytes, and what is none at all."""
    data, key = manifest.to_json().encode(), signature.load_key(pair[1])
    (tmp_path / "other").mkdir()
    signature.make_pair(tmp_path / "other" / "private.pem", tmp_path / "other" / "public.pem")
    with pytest.raises(SnapshotRefused, match="v1 is not signed, and only"):
        accept(data, "v1", key=key)
    others = signature.sign(tmp_path / "other" / "private.pem", data)
    for wrong in (others, signature.sign(pair[0], data + b" "), b"no base64!", b"AAAA", b"\xff"):
        with pytest.raises(SnapshotRefused, match="not signed with the key"):
            accept(data, "v1", key=key, signature=wrong)


def test_the_private_key_is_for_its_owner_alone_and_never_overwritten(pair: tuple[Path, Path]) -> None:
    """Nobody else reads it; making a pair twice loses none."""
    assert pair[0].stat().st_mode & 0o077 == 0
    with pytest.raises(signature.KeyUnusable, match="there already"):
        signature.make_pair(*pair)


def test_a_file_that_holds_no_key_is_named(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """Missing, mixed up, or something else."""
    (tmp_path / "junk").write_text("junk")
    public = base64.b64decode("".join(pair[1].read_text().splitlines()[1:-1]))
    unknown = base64.b64encode(public.replace(ED25519_OID, ED25519_OID[:-1] + b"\x01")).decode()
    (tmp_path / "unknown").write_text(f"-----BEGIN PUBLIC KEY-----\n{unknown}\n-----END PUBLIC KEY-----\n")
    for path in (tmp_path / "gone", tmp_path / "junk", pair[1]):
        with pytest.raises(signature.KeyUnusable, match=path.name):
            signature.sign(path, b"")
    for path in (tmp_path / "gone", tmp_path / "junk", tmp_path / "unknown", pair[0]):
        with pytest.raises(signature.KeyUnusable, match=path.name):
            signature.load_key(path)
