"""The pointer as a document: JSON that people, scripts and later releases can read.

What it says is checked when it is read, since anybody may have edited it. What the pointer means is left to
`trunkshow.snapshot.lifecycle`, where the document lies to the stores.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from types import MappingProxyType

from trunkshow.snapshot.lifecycle import Move, Pointer, is_name
from trunkshow.snapshot.states import CANDIDATE, State

SCHEMA = 1


class PointerUnreadable(Exception):
    """The bytes are no pointer that this release reads; the message says why, in one line."""


def dumps(pointer: Pointer, mark: str = "") -> str:
    """The pointer as text; a mark makes this very document known from another of the same content."""
    body = {
        **({"mark": mark} if mark else {}),
        "schema": SCHEMA,
        "serial": pointer.serial,
        "current": pointer.current,  # for people, and for scripts; it is read from `states`
        "states": dict(pointer.states),
        "pinned": pointer.pinned,
        "canary_share": pointer.canary_share,
        "manifests": dict(pointer.manifests),
        "history": [asdict(move) for move in pointer.history],
    }
    return json.dumps(body, indent=1, ensure_ascii=False) + "\n"


def loads(text: str | bytes) -> Pointer:
    """The pointer in `text`.

    Raises:
        PointerUnreadable: it is none, or of a schema that this release does not read.
    """
    try:
        raw = json.loads(text)
        schema = raw["schema"]
        if schema != SCHEMA:
            raise PointerUnreadable(f"the pointer has schema {schema}; this release reads schema {SCHEMA}")
        pointer = Pointer(
            int(raw["serial"]),
            MappingProxyType({str(version): State(state) for version, state in raw["states"].items()}),
            bool(raw["pinned"]),
            float(raw["canary_share"]),
            tuple(Move(**{key: str(value) for key, value in move.items()}) for move in raw["history"]),
            MappingProxyType({str(version): str(sha256) for version, sha256 in raw["manifests"].items()}),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise PointerUnreadable(f"the pointer cannot be read: {error!r:.200}") from error
    _check(pointer)
    return pointer


def _check(pointer: Pointer) -> None:
    for only in ({State.CURRENT}, {State.PREVIOUS}, CANDIDATE):
        if sum(1 for one in pointer.states.values() if one in only) > 1:
            raise PointerUnreadable(f"the pointer names more than one {' or '.join(sorted(only))} version")
    strange = [version for version in pointer.states if not is_name(version)]
    if strange:
        raise PointerUnreadable(f"the pointer names {strange[0][:100]!r}, which is no name of a version")
    if pointer.serial < 0 or not 0 <= pointer.canary_share <= 1:
        raise PointerUnreadable("the pointer's serial or canary_share is out of range")
