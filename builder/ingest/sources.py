"""From a path or glob in the dataset file to blocks of rows: finds the files and picks each one's reader."""

from __future__ import annotations

import glob
import gzip
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from builder.errors import DatasetInvalid, SourceEmpty, SourceMissing
from builder.ingest.block import Block
from builder.ingest.csv_file import read_csv_blocks
from builder.ingest.json_lines import KeysSeen, read_json_blocks
from builder.ingest.parquet_file import read_parquet_blocks

ENDINGS = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".parquet")


def find_files(folder: Path, pattern: str) -> tuple[Path, ...]:
    """The files that a source's path or glob means, sorted.

    Raises:
        SourceMissing: There is none.
        DatasetInvalid: One has an ending that is not read.
    """
    literal = folder / pattern
    # Path.glob takes no absolute pattern, and finds hidden files that a person does not see.
    matches = [folder / name for name in glob.glob(pattern, root_dir=folder, recursive=True)]  # noqa: PTH207
    # A path that exists is meant as it is, even with a bracket in it.
    found = [literal] if literal.is_file() else matches
    files = tuple(sorted(path for path in found if path.is_file()))
    if not files:
        what = "the glob matches no file" if glob.has_magic(pattern) else "there is no such file"
        raise SourceMissing(f"{pattern}: {what} in {folder.resolve()}; correct the path in the dataset file")
    for path in files:
        if not path.name.lower().endswith(ENDINGS):
            raise DatasetInvalid(
                f"{file_name(path, folder)}: has an unknown ending; the formats are {', '.join(ENDINGS)}"
            )
    return files


def file_name(path: Path, folder: Path) -> str:
    """How messages and reports call a file: relative to the dataset's folder where it is inside."""
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def is_json_lines(path: Path) -> bool:
    """Whether a file's ending says that it has an object on each line."""
    return path.name.lower().endswith((".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz"))


def read_blocks(
    path: Path,
    file: str,
    columns: Sequence[str],
    separator: str = ",",
    lists: Collection[str] = (),
    keys: KeysSeen | None = None,
) -> Iterator[Block]:
    """Read some columns of one file, in the order of the file, a bounded block at a time.

    Args:
        path: The file; its ending tells the format.
        file: How messages call it.
        columns: The columns wanted; a name may come twice.
        separator: Between the fields of a CSV file.
        lists: The columns that may hold lists in Parquet.
        keys: Told of JSON lines where it is for the caller to check them.

    Raises:
        ColumnMissing: The file has not got one of the columns.
        SourceEmpty: It has nothing in it, not even a header.
        SourceMissing: It cannot be opened.
        DatasetInvalid: It is not of the format that its ending promises.
    """
    wanted = tuple(dict.fromkeys(columns))
    name = path.name.lower()
    with told(file):
        if path.stat().st_size == 0:
            raise SourceEmpty(f"{file}: is empty; fill it, or leave it out")
        if name.endswith(".parquet"):
            yield from read_parquet_blocks(path, file, wanted, lists)
            return
        with _open(path) as stream:
            if name.endswith((".csv", ".csv.gz")):
                yield from read_csv_blocks(stream, file, wanted, separator)
            else:
                yield from read_json_blocks(stream, file, wanted, keys)


@contextmanager
def told(file: str) -> Iterator[None]:
    """Raise what goes wrong in reading a file as what the builder says of it."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DatasetInvalid(f"{file}: is not a whole gzip file ({error}); write it again") from error
    except OSError as error:
        raise SourceMissing(f"{file}: cannot be read ({error.strerror}); check the path and its permissions") from error


def _open(path: Path) -> gzip.GzipFile | BufferedReader:
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")
