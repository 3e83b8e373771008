"""A machine that is short of memory or descriptors says nothing of the files that it could not open."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import short_of

from trunkshow.snapshot import index, kv
from trunkshow.snapshot.index import VectorIndex

BYTES = 64 << 20
"""Of either file: more than an allocator has in hand."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[Callable[[Path], object], Path]:
    """A large file of either kind, by what opens it. Their rest is a hole, which takes no room."""
    folder = tmp_path_factory.mktemp("files")
    kv.write(folder / "a.lmdb", [(b"key", b"value")])
    os.truncate(folder / "a.lmdb", BYTES)
    index.build(np.ones((1 << 18, 64), np.float32), folder / "a.faiss", exact=True)
    return {kv.Reader: folder / "a.lmdb", VectorIndex: folder / "a.faiss"}


@pytest.mark.parametrize("opens", [kv.Reader, VectorIndex])
@pytest.mark.parametrize(("short", "code"), [(short_of.descriptors, errno.EMFILE), (short_of.memory, errno.ENOMEM)])
def test_what_the_machine_lacks_is_an_error_of_the_system(
    files: dict[Callable[[Path], object], Path],
    opens: Callable[[Path], object],
    short: Callable[[], AbstractContextManager[None]],
    code: int,
) -> None:
    """With its number, or `MemoryError`; whoever opens files knows these."""
    with short(), pytest.raises((OSError, MemoryError)) as failed:
        opens(files[opens])
    assert isinstance(failed.value, MemoryError) or (isinstance(failed.value, OSError) and failed.value.errno == code)


def test_afterwards_the_same_file_opens(files: dict[Callable[[Path], object], Path]) -> None:
    """Nothing of the try is left over."""
    path = files[kv.Reader]
    with short_of.memory(), pytest.raises(OSError):
        kv.Reader(path)
    with kv.Reader(path) as reader:
        assert bytes(reader.get(b"key")) == b"value"


@pytest.mark.parametrize("opens", [kv.Reader, VectorIndex])
@pytest.mark.parametrize("content", [b"", b"nonsense" * 2000])
def test_a_file_of_another_kind_is_no_error_of_the_system(
    tmp_path: Path, opens: Callable[[Path], object], content: bytes
) -> None:
    """That is a fault of the file."""
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(Exception) as failed:
        opens(path)
    assert not isinstance(failed.value, (OSError, MemoryError))
