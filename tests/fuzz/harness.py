"""A coverage-guided fuzzer of what is read before it is trusted: `python tests/fuzz/harness.py manifest|pointer …`.

Further arguments are libFuzzer's: `-max_total_time=300`, `-runs=20000`, a folder for the corpus. It ends with another
exit code than 0 where the parser raises what it does not promise.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["trunkshow.snapshot"]):
    from trunkshow.snapshot.lifecycle import Pointer, PointerUnreadable
    from trunkshow.snapshot.manifest import Manifest, SnapshotRefused


def manifest(data: bytes) -> None:
    """Text is a manifest, or is refused; a manifest survives the journey."""
    try:
        read = Manifest.from_json(data.decode("utf-8", "replace"))
    except SnapshotRefused:
        return
    Manifest.from_json(read.to_json())


def pointer(data: bytes) -> None:
    """Bytes are a pointer, or are refused; a pointer survives the journey."""
    try:
        read = Pointer.from_json(data)
    except PointerUnreadable:
        return
    assert Pointer.from_json(read.to_json()) == read


TARGETS: dict[str, Callable[[bytes], None]] = {"manifest": manifest, "pointer": pointer}

if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()
