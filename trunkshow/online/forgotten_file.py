"""`forgotten.json` in a process's cache: the tombstones that it heard, for a start while the log does not answer.

What is served from copies must not outlive what was heard about them, so both lie in one folder. The file is data: it
is checked, bounded, and written whole under another name; one that is spoilt is told of, and is as good as none. It
only adds: whom the log tells of is heard from the log, as ever. Processes may share a folder; who writes keeps what
another one wrote.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import time
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Never

import structlog

from trunkshow.online.forgotten import Forgotten, Tombstone, watermark_of
from trunkshow.online.positions import Position
from trunkshow.snapshot import local_files

FILE_NAME = "forgotten.json"
SCHEMA = 1
BYTES_MAX = 256 << 20
"""More than the whole log of tombstones has room for."""

PAUSE_S = 1.0
PAUSE_SHARE = 20
"""Times as long as writing took is not written again: many people make a large file."""

log = structlog.get_logger()


class ForgottenFile:
    """Of one process.

    Args:
        folder: its cache; made where it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._people = {one.user_id: one for one in _read(self._path)}
        self._changed = asyncio.Event()

    def recall(self, forgotten: Forgotten) -> None:
        """Have these people forgotten, and hear of all who come."""
        for tombstone in self._people.values():
            forgotten.recall(tombstone)
        if self._people:
            log.info("forgotten.recalled", people=len(self._people))
        forgotten.listen(self._hear)

    async def keep(self) -> Never:
        """Write whoever is heard of, until cancelled; a disk that takes nothing is told of, and tried again."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            began = time.monotonic()
            try:
                await asyncio.to_thread(_write, self._path, dict(self._people))
            except OSError as error:
                log.error("forgotten.not_kept", error=str(error))
                self._changed.set()
            await asyncio.sleep(max(PAUSE_S, PAUSE_SHARE * (time.monotonic() - began)))

    def _hear(self, tombstone: Tombstone) -> None:
        if self._people.get(tombstone.user_id) != tombstone:
            self._people[tombstone.user_id] = tombstone
            self._changed.set()


def _read(path: Path) -> tuple[Tombstone, ...]:
    """What a file has; nobody where there is none, or it is spoilt."""
    try:
        if path.stat().st_size > BYTES_MAX:
            raise ValueError(f"larger than {BYTES_MAX} bytes")
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["schema"] != SCHEMA or raw["sha256"] != _checksum(raw["people"]):
            raise ValueError("not what was written")
        return tuple(_tombstone(one) for one in raw["people"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        log.error("forgotten.spoilt", file=FILE_NAME, error=f"{error!s:.100}")
        return ()


def _write(path: Path, people: Mapping[str, Tombstone]) -> None:
    """These, and whom another process wrote."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{FILE_NAME}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        everybody = dict(people)
        for one in _read(path):
            known = everybody.get(one.user_id)
            if known is None or known.time_ms < one.time_ms:
                everybody[one.user_id] = one
        text = _text(everybody.values())

        def write(fresh: Path) -> None:
            fresh.touch(mode=0o600)
            with fresh.open("w", encoding="utf-8") as opened:
                opened.write(text)
                opened.flush()
                os.fsync(opened.fileno())

        local_files.replace(path, write)


def _text(tombstones: Iterable[Tombstone]) -> str:
    people = [
        [one.id, one.user_id, one.time_ms, str(one.events_until or ""), one.at.log, one.at.lane, one.at.number]
        for one in tombstones
    ]
    return json.dumps({"schema": SCHEMA, "sha256": _checksum(people), "people": people}) + "\n"


def _checksum(people: Any) -> str:
    return sha256(json.dumps(people).encode()).hexdigest()


def _tombstone(raw: list[Any]) -> Tombstone:
    id_, user_id, time_ms, until, name, lane, number = raw
    at = Position(str(name), int(lane), int(number))
    return Tombstone(str(id_), str(user_id), int(time_ms), watermark_of(str(until)), at)
