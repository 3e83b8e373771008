"""`trunkshow make-key`: an API key, shown once, and the line by which routers know it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cli import output
from cli.output import Names, UsageError
from trunkshow.serving import api_keys
from trunkshow.serving.auth import Role

OF_THE_OWNER = 0o600


def make_key(
    name: str,
    /,
    *,
    roles: Names = ("read",),
    append_to: Path | None = None,
    json: Annotated[bool, Parameter(help="Print both as JSON.")] = False,
) -> None:
    """Make an API key. It is shown once and kept nowhere; the file of keys gets its hash alone.

    Args:
        name: who is to hold it; stands in the routers' logs.
        roles: what they may: read, record, operate.
        append_to: file of API keys to append the line to; routers read it again by themselves.
        json: print both as JSON.
    """
    try:
        key, line = api_keys.make(name, [Role(role) for role in roles])
    except ValueError as error:
        raise UsageError(f"{error}; roles are read, record and operate, and a name has no spaces") from None
    if append_to is not None:
        _append(append_to, line)
    if json:
        output.show_json({"name": name, "key": key, "line": line})
        return
    print(f"key   {key}")
    print(f"line  {line}")


def _append(path: Path, line: str) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, OF_THE_OWNER), "a") as file:
            file.write(f"{line}\n")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
