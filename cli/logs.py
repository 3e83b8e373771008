"""Where the processes of one cluster log: a folder of its own, of which the newest few are kept.

Two clusters on one store must not write to each other's files, and what the last one said is still there when the next
one is started. A folder whose starter lives is never removed.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from cli.output import UsageError

KEPT = 5
_OURS = re.compile(r"\d{8}T\d{12}-(\d+)")


def fresh_folder(base: Path) -> Path:
    """A new folder in `base`, named after this moment and this process; older ones beyond `KEPT` are removed.

    Raises:
        UsageError: it cannot be made.
    """
    folder = base / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{os.getpid()}"
    try:
        folder.mkdir(parents=True)
        old = sorted((path for path in base.iterdir() if _OURS.fullmatch(path.name)), reverse=True)[KEPT:]
    except OSError as error:
        raise UsageError(
            f"no logs can be kept in {base} ({error.strerror}); choose another folder with --logs"
        ) from None
    for path in old:
        if not _lives(int(path.name.rpartition("-")[2])):
            shutil.rmtree(path, ignore_errors=True)
    return folder


def _lives(pid: int) -> bool:
    with suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
    return True
