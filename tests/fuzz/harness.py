"""A coverage-guided fuzzer of what is read before it is trusted: `python tests/fuzz/harness.py manifest|pointer …`.

Its bytes are read as they are, or say which values of a whole document are replaced, and by what: bytes alone hardly
ever get beyond the JSON parser. Further arguments are libFuzzer's: `-max_total_time=300`, `-runs=20000`, a folder for
the corpus. It ends with another exit code than 0 where the parser raises what it does not promise.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import atheris

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

with atheris.instrument_imports(include=["trunkshow.snapshot"]):
    import tiny_snapshots

    from trunkshow.snapshot import pointer_json
    from trunkshow.snapshot.acceptance import accept
    from trunkshow.snapshot.lifecycle import Pointer
    from trunkshow.snapshot.manifest import File, Manifest, SnapshotRefused
    from trunkshow.snapshot.pointer_json import PointerUnreadable
    from trunkshow.snapshot.states import State

VERSION = "v1"
FILES = {path: File(len(content), "0" * 64) for path, content in tiny_snapshots.FILES.items()}
MANIFEST = replace(tiny_snapshots.PLAIN, version=VERSION, files=FILES).to_json()
POINTER = pointer_json.dumps(Pointer(3, {"v1": State.PREVIOUS, "v2": State.CURRENT, "v3": State.PUSHED}))


def spoilt(whole: str, data: bytes) -> bytes:
    """The bytes themselves, or a whole document in which they replaced some values."""
    drawn = atheris.FuzzedDataProvider(data)
    if drawn.ConsumeIntInRange(0, 7) == 0:
        return bytes(drawn.ConsumeBytes(drawn.remaining_bytes()))
    document = json.loads(whole)
    for _ in range(drawn.ConsumeIntInRange(1, 3)):
        replace_one(document, drawn)
    return json.dumps(document).encode()


def replace_one(document: Any, drawn: atheris.FuzzedDataProvider) -> None:
    """Go down to some value, and put another one there, or beside it, or nothing."""
    places = list(document) if isinstance(document, dict) else list(range(len(document)))
    place = drawn.PickValueInList(places)
    if document[place] and isinstance(document[place], dict | list) and drawn.ConsumeIntInRange(0, 3):
        replace_one(document[place], drawn)
    elif drawn.ConsumeIntInRange(0, 3):
        document[place] = value(drawn)
    elif isinstance(document, dict) and drawn.ConsumeBool():
        document[drawn.ConsumeUnicode(40)] = document[place]
    elif len(places) > 1:
        del document[place]


def value(drawn: atheris.FuzzedDataProvider) -> Any:
    """Of any kind that JSON has."""
    kinds: list[Callable[[], Any]] = [
        lambda: drawn.ConsumeInt(9),
        lambda: drawn.ConsumeUnicode(60),
        lambda: drawn.ConsumeFloat(),
        lambda: None,
        lambda: drawn.ConsumeBool(),
        lambda: [drawn.ConsumeInt(2)],
        lambda: {drawn.ConsumeUnicode(8): drawn.ConsumeInt(2)},
    ]
    return drawn.PickValueInList(kinds)()


def manifest(data: bytes) -> None:
    """Bytes are a manifest that may be believed, or are refused; a manifest survives the journey."""
    try:
        read = accept(spoilt(MANIFEST, data), VERSION)
    except SnapshotRefused:
        return
    Manifest.from_json(read.to_json())


def pointer(data: bytes) -> None:
    """Bytes are a pointer, or are refused; a pointer survives the journey."""
    try:
        read = pointer_json.loads(spoilt(POINTER, data))
    except PointerUnreadable:
        return
    assert pointer_json.loads(pointer_json.dumps(read)) == read


TARGETS: dict[str, Callable[[bytes], None]] = {"manifest": manifest, "pointer": pointer}

if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()
